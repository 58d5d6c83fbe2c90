"""TensorRT as it is installed, and what an engine depends on of it and of the GPU.

That is TensorRT, or TensorRT-RTX, its sibling for desktop GPUs, where it is there alone.
"""

from __future__ import annotations

import importlib.util

import torch

if importlib.util.find_spec("torch_tensorrt") is not None:
    import torch_tensorrt  # noqa: F401 - it may put TensorRT-RTX in the place of TensorRT

try:
    import tensorrt  # isort: skip
except ModuleNotFoundError:
    import tensorrt_rtx as tensorrt  # isort: skip

__all__ = ["machine_facts", "tensorrt"]


def machine_facts() -> dict[str, str]:
    """Return what an engine is tied to besides the graph: the GPU and the versions."""
    major, minor = torch.cuda.get_device_capability()
    return {
        "gpu": f"{torch.cuda.get_device_name()} ({major}.{minor})",
        "tensorrt": tensorrt.__version__,
        "torch": torch.__version__,
    }
