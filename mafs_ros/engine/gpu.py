"""The GPU as torch sees it: what an engine is tied to, and what `mafs info` says of it."""

from __future__ import annotations

import importlib.metadata
import math
import sys

from mafs_ros.base.nvidia import (
    ask,
    driver_cuda,
    driver_version,
    has_nvidia,
    l4t_version,
    power_mode,
)

NOT_HERE = "not here"
TORCH_S = 60.0  # in which a process has asked torch: a board loads it slowly
ASK_TORCH = """
from mafs_ros.engine.gpu import gpu_facts
facts = gpu_facts()
print(facts["gpu"], facts["cuda"], sep="\\n")
"""
SMI = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
# Distributions of the same module: for boards and servers, and for RTX cards.
TENSORRT = ("tensorrt", "tensorrt-rtx", "tensorrt-cu13", "tensorrt-cu12")
TORCH_TENSORRT = ("torch-tensorrt", "torch-tensorrt-rtx")


def gpu_facts() -> dict[str, str]:
    """What an engine is tied to of this process's GPU, its driver and CUDA.

    Boards share their name: what tells one 'Orin (8.7)' from another is the number of
    multiprocessors and the memory, of which a few MB differ from start to start.
    Raises RuntimeError or AssertionError where there is no CUDA device.
    """
    import torch

    told = torch.cuda.get_device_properties(torch.cuda.current_device())
    memory = 2 * math.ceil(told.total_memory / (2 << 30))
    return {
        "gpu": f"{told.name} ({told.major}.{told.minor}), {told.multi_processor_count} SMs, "
        f"{memory} GB",
        "cuda": str(torch.version.cuda),
        "driver": driver_version() or driver_cuda() or "unknown",
    }


def gpu_rows() -> dict[str, str]:
    """What `mafs info` says; asks other processes, since a driver may hang or end whoever asks."""
    rows = _gpu() if has_nvidia() else {"gpu": f"{NOT_HERE}: no NVIDIA driver", "cuda": NOT_HERE}
    return {
        **rows,
        "driver": driver_version() or NOT_HERE,
        "tensorrt": _version(TENSORRT),
        "torch-tensorrt": _version(TORCH_TENSORRT),
        "l4t": l4t_version() or f"{NOT_HERE}: no Jetson",
        "power mode": power_mode() or f"{NOT_HERE}: nvpmodel does not say",
    }


def _gpu() -> dict[str, str]:
    cuda = f"{driver_cuda() or 'unknown'} (driver)"
    if seen := ask([sys.executable, "-c", ASK_TORCH], TORCH_S).splitlines():
        return {"gpu": seen[0], "cuda": f"{cuda}, {seen[-1]} (PyTorch)"}
    name = ", ".join(ask(SMI).splitlines()) or "a driver, which does not say what it drives"
    return {"gpu": f"{name}; PyTorch does not reach it", "cuda": cuda}


def _version(distributions: tuple[str, ...]) -> str:
    for name in distributions:
        try:
            return f"{importlib.metadata.version(name)}" + (
                "" if name == distributions[0] else f" ({name})"
            )
        except importlib.metadata.PackageNotFoundError:
            continue
    return NOT_HERE
