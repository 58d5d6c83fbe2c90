"""Names of the backends and of the precisions each one has; imports no library, for everybody."""

from __future__ import annotations

BACKENDS = ("openvino", "tensorrt", "torch")
PRECISIONS = {
    "openvino": ("fp32", "bf16", "fp16", "int8"),
    "tensorrt": ("fp32", "fp16", "int8"),
    "torch": ("fp32", "fp16"),
}
ALL_PRECISIONS = ("fp32", "bf16", "fp16", "int8")
