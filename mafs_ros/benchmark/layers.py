"""Where the time goes inside a network: OpenVINO's counters, added up per module."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

CALLS = 20
DEPTH = 4  # components of a module's path that are told apart
OUTSIDE = "(ends of the graph)"


def profile(
    weights: Path, size: tuple[int, int], precision: str, threads: int, cache: Path | None
) -> dict[str, Any]:
    """Milliseconds of each module, largest first, and of each kind of operation.

    size: height, width; cache: folder of converted graphs. OpenVINO fuses operations across
    modules; what it fused counts for the module of the first. The counters themselves cost time:
    the sum is more than `plain_ms`, the time without them (the best of a few calls).
    """
    import numpy as np
    import openvino
    from openvino import properties

    from mafs_ros.engine.openvino import OpenVinoEngine

    engine = OpenVinoEngine(weights, threads, cache, precision)
    core = openvino.Core()
    model, options, used = engine.source(size)
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (1, *size, 3), np.uint8),
        rng.integers(0, 256, (1, *size), np.uint8),
    ]
    plain = core.compile_model(model, "CPU", options).create_infer_request()
    compiled = core.compile_model(model, "CPU", {**options, properties.enable_profiling(): True})
    counted = compiled.create_infer_request()
    best = float("inf")
    modules: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    origins = {
        operation.get_friendly_name(): _origin(operation)
        for operation in compiled.get_runtime_model().get_ops()
    }
    counted.infer(images)
    for _ in range(CALLS):
        start = time.perf_counter()
        plain.infer(images)
        best = min(best, 1000 * (time.perf_counter() - start))
        counted.infer(images)
        for entry in counted.get_profiling_info():
            ms = entry.real_time.total_seconds() * 1000 / CALLS
            modules[_module(origins.get(entry.node_name) or entry.node_name)] += ms
            kinds[f"{entry.node_type} ({entry.exec_type})"] += ms
    return {
        "precision": used,
        "plain_ms": best,
        "modules_ms": dict(modules.most_common()),
        "kinds_ms": {name: ms for name, ms in kinds.most_common() if ms >= 0.005},
    }


def _origin(operation: Any) -> str:
    """The names of the operations that one of the compiled graph was made of."""
    info = operation.get_rt_info()
    if "originalLayersNames" not in info:
        return ""
    value = info["originalLayersNames"]
    return str(getattr(value, "value", value))


def _module(names: str) -> str:
    """The module of the first of some names that has one, at most DEPTH components long."""
    from mafs_ros.engine.openvino_graph import module_of

    modules = [module_of(name) for name in re.split(r",(?=[\w.]*\|)", names)]
    module = next((name for name in modules if name), "")
    return ".".join(module.split(".")[:DEPTH]) or OUTSIDE
