"""What is inside an engine of OpenVINO: it is compiled, run and asked for its own counters."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from mafs_ros.base.memory import resident_bytes
from mafs_ros.engine.inspection import Inspection, Layer
from mafs_ros.engine.openvino.counters import operation_times

CALLS = 10


def inspect(
    core: openvino.Core,
    model: Path | openvino.Model,
    options: dict[str, Any],
    precision: str,
    size: tuple[int, int],
) -> Inspection:
    """Look into a model for images of size (height, width), compiled with these options."""
    graph = core.read_model(model) if isinstance(model, Path) else model
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (1, *size, 3), np.uint8),
        rng.integers(0, 256, (1, *size), np.uint8),
    ]
    before = resident_bytes()
    request = core.compile_model(graph, "CPU", options).create_infer_request()
    request.infer(images)
    memory = {
        "weights": sum(constant_bytes(operation) for operation in graph.get_ops()),
        "process, by compiling and running": max(resident_bytes() - before, 0),
    }
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        request.infer(images)
        times.append(1000 * (time.perf_counter() - start))
    layers = [
        Layer(told.name, told.kind, told.precision, told.ms)
        for told in operation_times(core, graph, options, images, CALLS)
        if told.precision  # else it was fused into another and is not run
    ]
    return Inspection(precision, layers, memory, statistics.median(times))


def constant_bytes(operation: Any) -> int:
    if operation.get_type_name() != "Constant":
        return 0
    return int(operation.get_byte_size())
