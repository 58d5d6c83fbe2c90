"""Which precisions a processor has, and OpenVINO's options for them."""

from __future__ import annotations

from typing import Any

import openvino
from openvino import properties
from openvino.properties import hint

from mafs_ros.base.machine import cpu_flags

TYPES = {
    "fp32": openvino.Type.f32,
    "bf16": openvino.Type.bf16,
    "fp16": openvino.Type.f16,
}
# Without these (VNNI and Arm's dot product) int8 saturates where the check did not, and is slow.
INT8_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}
Size = tuple[int, int]  # height, width


def native_precisions(core: openvino.Core) -> list[str]:
    """The precisions that this CPU computes in by itself, of fp32, bf16, fp16 and int8."""
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    names = [name for name in TYPES if name.upper() in capabilities]
    return names + ["int8"] * bool("INT8" in capabilities and INT8_FLAGS & cpu_flags())


def compile_options(precision: str, threads: int, native: list[str]) -> dict[str, Any]:
    """OpenVINO's options for one of the precisions. threads: 0 for OpenVINO's choice."""
    if precision == "int8":  # of the rest
        precision = "bf16" if "bf16" in native else "fp32"
    options: dict[str, Any] = {
        hint.performance_mode(): hint.PerformanceMode.LATENCY,
        # Its own choice is fp32 on some processors that have bf16, and bf16 on others.
        hint.inference_precision(): TYPES[precision],
    }
    if threads:
        options[properties.inference_num_threads()] = threads
    return options
