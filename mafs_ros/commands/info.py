"""`mafs info`: what is installed here, and where the weights come from."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mafs_ros import __version__
from mafs_ros.base.machine import cpu_name, libraries
from mafs_ros.base.nvidia import ask, has_nvidia

if TYPE_CHECKING:
    from mafs_ros.model.weights import ModelInfo

EXAMPLE = """\
examples:
  mafs info
  mafs info --weights my_model.safetensors

Put its output into a bug report."""
ASK_BACKENDS = """
import json
from mafs_ros.engine import available_backends
print(json.dumps(available_backends()))
"""
ASK_BACKENDS_S = 60.0  # it may load torch, on a slow board
ROS_PACKAGES = (
    "rclpy",
    "sensor_msgs",
    "diagnostic_msgs",
    "lifecycle_msgs",
    "message_filters",
    "cv_bridge",
    "vision_msgs",
    "launch_ros",
)


def add_parser(commands) -> None:
    """Add `mafs info` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "info",
        help="print versions, GPU, engines, ROS, weights and their provenance",
        epilog=EXAMPLE,
        description="Print versions, the GPU, the engines and ROS packages found, and the weights "
        "with their provenance.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--weights",
        metavar="FILE",
        type=Path,
        help="model file (.safetensors); default: the one shipped",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print all sections, the weights last; raises OSError or ValueError where they are unfit."""
    from mafs_ros.engine.gpu import gpu_rows

    print_section("mafs_ros", {"version": __version__, "from": str(Path(__file__).parents[1])})
    print_section("machine", machine())
    gpu = gpu_rows()
    print_section("gpu", gpu)
    print_section("libraries", {name: v for name, v in libraries().items() if name not in gpu})
    print_section("engines", engines())
    print_section("ros", ros())
    from mafs_ros.base.resources import default_weights
    from mafs_ros.model.weights import read_info

    path = args.weights or default_weights()
    print_section("weights", weights(path, read_info(path)))
    return 0


def print_section(title: str, rows: dict[str, str]) -> None:
    width = max((len(name) for name in rows), default=0)
    print(title)
    for name, value in rows.items():
        print(f"  {name:{width}}  {value}")


def machine() -> dict[str, str]:
    return {
        "system": platform.platform(),
        "cpu": f"{cpu_name()}, {os.cpu_count()} threads",
        "python": platform.python_version(),
    }


def engines() -> dict[str, str]:
    """What there is; where a driver may hang whoever asks it, another process does."""
    from mafs_ros.engine import available_backends

    if not has_nvidia():
        return available_backends()
    said = ask([sys.executable, "-c", ASK_BACKENDS], ASK_BACKENDS_S)
    return json.loads(said) if said else {"no answer": "whoever asks the driver ends or hangs"}


def ros() -> dict[str, str]:
    """What the node would find; nothing of ROS is imported here, so this works without it."""
    rows = {
        "distribution": os.environ.get("ROS_DISTRO", "none sourced (ROS_DISTRO is not set)"),
        "rmw": os.environ.get("RMW_IMPLEMENTATION", "the default of the distribution"),
    }
    for name in ROS_PACKAGES:
        rows[name] = "not found" if importlib.util.find_spec(name) is None else version_of(name)
    return rows


def weights(path: Path, info: ModelInfo) -> dict[str, str]:
    """What a model file says of itself."""
    rows = {
        "file": f"{path} ({path.stat().st_size / 1e6:.1f} MB)",
        "preset": info.preset,
        "classes": describe_classes(info.class_table),
    }
    sections = {"training": info.training, "scores": info.scores, "confidence": info.confidence}
    for section, facts in sections.items():
        for name, value in facts.items():
            rows[f"{section} {name}"] = value if isinstance(value, str) else json.dumps(value)
    rows["licence"] = info.licence or "not stated"
    return rows


def describe_classes(class_table: dict[str, Any]) -> str:
    from mafs_ros.perception.classes import ClassTable

    table = ClassTable.from_dict(class_table)
    classes = ", ".join(f"{c.id} {c.name}" for c in table.classes)
    return f"{table.name}: {classes}"


def version_of(ros_package: str) -> str:
    try:
        return importlib.metadata.version(ros_package)
    except importlib.metadata.PackageNotFoundError:
        return "found"
