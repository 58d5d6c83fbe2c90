"""Names of the backends and their precisions, and a default; imports no library, for everybody."""

from __future__ import annotations

BACKENDS = ("openvino", "tensorrt", "torch")
PRECISIONS = {
    "openvino": ("fp32", "bf16", "fp16", "int8"),
    "tensorrt": ("fp32", "fp16", "int8"),
    "torch": ("fp32", "fp16"),
}
ALL_PRECISIONS = ("fp32", "bf16", "fp16", "int8")
CACHE_MB = 4096  # what the folder of compiled engines may hold
