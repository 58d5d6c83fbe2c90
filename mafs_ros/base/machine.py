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
    return _cpu_entry("model name") or platform.machine()


def cpu_flags() -> set[str]:
    """What Linux says that the processor can do; empty elsewhere."""
    return set(_cpu_entry("flags", "Features").split())


def _cpu_entry(*names: str) -> str:
    """The first entry of /proc/cpuinfo with one of these names; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(names)), "")


def libraries() -> dict[str, str]:
    """Name -> version of each library that is installed."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
