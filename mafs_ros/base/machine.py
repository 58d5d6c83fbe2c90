"""What this machine is: its processor and the versions of its libraries."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from pathlib import Path

LIBRARIES = (
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "openvino",
    "torch",
    "torch-tensorrt",
    "tensorrt",
    "safetensors",
    "rosbags",
)


def cpu_name() -> str:
    """The CPU's model name as Linux tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def libraries() -> dict[str, str]:
    """Name -> version of each library that is installed."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def version_of(ros_package: str) -> str:
    try:
        return importlib.metadata.version(ros_package)
    except importlib.metadata.PackageNotFoundError:
        return "found"


def cpu_flags() -> set[str]:
    """What Linux says that the processor can do; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    flags = [line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))]
    return set(flags[0].split()) if flags else set()
