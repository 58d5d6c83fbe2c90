"""TensorRT as it is installed, and what an engine depends on of it and of the GPU.

That is TensorRT, or TensorRT-RTX, its sibling for desktop GPUs, where it is there alone.
"""

from __future__ import annotations

import importlib.util

import torch

from mafs_ros.engine.gpu import gpu_facts

if importlib.util.find_spec("torch_tensorrt") is not None:
    import torch_tensorrt  # noqa: F401 - it may put TensorRT-RTX in the place of TensorRT

try:
    import tensorrt  # isort: skip
except ModuleNotFoundError:
    import tensorrt_rtx as tensorrt  # isort: skip

__all__ = ["machine_facts", "tensorrt"]


def machine_facts() -> dict[str, str]:
    """Return what an engine is tied to besides the graph: GPU, driver and versions."""
    return {
        **gpu_facts(),
        "tensorrt": tensorrt.__version__,
        "torch": torch.__version__,
    }
