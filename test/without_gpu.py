"""torch_tensorrt on a machine without a GPU, as far as it converts a graph; for tests alone.

Pinned to the releases in requirements/tensorrt.txt. torch_tensorrt asks torch.cuda about the GPU
while it is imported and while it converts: the answers are those of a GPU with SM89. Its C++
runtime is linked with the CUDA build of torch, so it has to look absent beside the CPU build.
"""

from __future__ import annotations

import os
from types import ModuleType, SimpleNamespace
from unittest import mock

import torch

PROPERTIES = SimpleNamespace(
    name="stub", major=8, minor=9, total_memory=24 << 30, multi_processor_count=128
)
ANSWERS = {
    "get_device_capability": (8, 9),
    "current_device": 0,
    "get_device_name": "stub",
    "set_device": None,
    "synchronize": None,
    "empty_cache": None,
    "get_device_properties": PROPERTIES,
    "mem_get_info": (20 << 30, 24 << 30),
}


def import_torch_tensorrt() -> ModuleType:
    """Import torch_tensorrt with answers in place of a GPU; they stay for this process."""
    for name, answer in ANSWERS.items():
        setattr(torch.cuda, name, lambda *_, _answer=answer, **__: _answer)
    if not hasattr(torch._C, "_CudaDeviceProperties"):
        torch._C._CudaDeviceProperties = SimpleNamespace  # named in an annotation
    there = os.path.isfile
    with mock.patch("os.path.isfile", lambda path: "libtorchtrt" not in str(path) and there(path)):
        import torch_tensorrt
    return torch_tensorrt
