"""How long each operation of a compiled model takes, by OpenVINO's own counters."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import openvino
from openvino import properties

from mafs_ros.engine.openvino.convert import module_of


class OperationTime(NamedTuple):
    """module: path of the network's module that the operation comes from, '' at the ends of the
    graph; of several that were fused the first. kind: operation and kernel. ms: median.
    name: OpenVINO's own. precision: what it computes in, such as f32."""

    module: str
    kind: str
    ms: float
    name: str
    precision: str


def operation_times(
    core: openvino.Core,
    model: openvino.Model,
    options: dict[Any, Any],
    images: Sequence[Any],
    calls: int,
) -> list[OperationTime]:
    """Compile a model with counters and measure its operations over some calls.

    The counters themselves take time: the sum is more than a call without them.
    """
    compiled = core.compile_model(model, "CPU", {**options, properties.enable_profiling(): True})
    request = compiled.create_infer_request()
    times: dict[str, list[float]] = defaultdict(list)
    kinds: dict[str, str] = {}
    request.infer(images)
    for _ in range(calls):
        request.infer(images)
        for entry in request.get_profiling_info():
            times[entry.node_name].append(1000 * entry.real_time.total_seconds())
            kinds[entry.node_name] = f"{entry.node_type} ({entry.exec_type})"
    operations = {
        operation.get_friendly_name(): operation
        for operation in compiled.get_runtime_model().get_ops()
    }
    return [
        OperationTime(
            # The names of the operations that this one of the compiled graph was made of.
            _first_module(_told(operations.get(name), "originalLayersNames") or name),
            kinds[name],
            statistics.median(values),
            name,
            _told(operations.get(name), "runtimePrecision"),
        )
        for name, values in times.items()
    ]


def _told(operation: Any, key: str) -> str:
    """What the compiled graph tells of an operation; '' where it does not."""
    info = {} if operation is None else operation.get_rt_info()
    if key not in info:
        return ""
    return str(getattr(info[key], "value", info[key]))


def _first_module(names: str) -> str:
    modules = (module_of(name) for name in re.split(r",(?=[\w.]*\|)", names))
    return next((name for name in modules if name), "")
