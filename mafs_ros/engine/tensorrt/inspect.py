"""What is inside an engine of TensorRT: its inspector's layers, its profiler's times.

The inspector gives objects of layers where the engine was built with detailed verbosity, else
names alone (TensorRT's developer guide, "Engine Inspector").
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from mafs_ros.engine.inspection import Inspection, Layer
from mafs_ros.engine.tensorrt.library import tensorrt

CALLS = 10
# In "Format/Datatype", which is a type's name or a sentence with its short name.
PRECISIONS = {
    "int8": "int8",
    "uint8": "uint8",
    "half": "fp16",
    "fp16": "fp16",
    "bf16": "bf16",
    "bfloat16": "bf16",
    "float": "fp32",
    "fp32": "fp32",
    "int32": "int32",
    "int64": "int64",
    "bool": "bool",
}
NAMES_ALONE = (
    "the engine keeps the names of its layers alone, not their kind and precision: it was built "
    "without detailed verbosity"
)


def inspect(engine: Any, context: Any, run: Callable[[], None], precision: str) -> Inspection:
    """Look into an engine (ICudaEngine) and measure its layers over some calls.

    run: one frame on `context`, not as a CUDA graph, waited for to its end.
    """
    told = engine.create_engine_inspector().get_engine_information(
        tensorrt.LayerInformationFormat.JSON
    )
    layers = layers_of(json.loads(told))
    frame_ms = _median_ms(run)
    times = layer_times(context, run)
    timed = [layer._replace(ms=times.get(layer.name)) for layer in layers]
    remark = NAMES_ALONE if layers and not any(layer.kind for layer in layers) else ""
    return Inspection(precision, timed, memory_of(engine), frame_ms, remark)


def layers_of(told: dict[str, Any]) -> list[Layer]:
    """The layers of the inspector's JSON, without times."""
    return [
        Layer(layer, "", "", None)
        if isinstance(layer, str)
        else Layer(layer.get("Name", ""), layer.get("LayerType", ""), _precision(layer), None)
        for layer in told.get("Layers", [])
    ]


def _precision(layer: dict[str, Any]) -> str:
    """The type of the layer's first output, of its input where it has none."""
    for end in [*layer.get("Outputs", []), *layer.get("Inputs", [])]:
        words = re.findall(r"[a-z]+\d*", str(end.get("Format/Datatype", "")).lower())
        if found := [PRECISIONS[word] for word in words if word in PRECISIONS]:
            return found[-1]
    return ""


def memory_of(engine: Any) -> dict[str, int]:
    """Bytes by TensorRT's own count."""
    with engine.serialize() as plan:
        memory = {"engine as it is kept, mostly weights": int(plan.nbytes)}
    # The older name, which is gone in 11, comes second: its number overflows.
    for name in ("device_memory_size_v2", "device_memory_size"):
        if hasattr(engine, name):
            return {**memory, "activations and workspace": int(getattr(engine, name))}
    return memory


def layer_times(context: Any, run: Callable[[], None]) -> dict[str, float]:
    """Name of each layer -> its milliseconds, the median of some calls."""
    times: dict[str, list[float]] = defaultdict(list)

    class Times(tensorrt.IProfiler):
        def __init__(self) -> None:
            tensorrt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            times[layer_name].append(ms)

    before, context.profiler = context.profiler, Times()
    try:
        for _ in range(CALLS):
            run()
    finally:
        context.profiler = before
    return {name: statistics.median(values) for name, values in times.items()}


def _median_ms(run: Callable[[], None]) -> float:
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)
