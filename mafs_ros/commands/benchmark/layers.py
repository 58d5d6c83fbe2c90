"""Where the time goes inside a network: OpenVINO's counters, added up per module."""

from __future__ import annotations

import time
from collections import defaultdict
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

    from mafs_ros.engine.openvino.counters import operation_times
    from mafs_ros.engine.openvino.engine import OpenVinoEngine

    core = openvino.Core()
    model, options, used = OpenVinoEngine(weights, threads, cache, precision).source(size)
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (1, *size, 3), np.uint8),
        rng.integers(0, 256, (1, *size), np.uint8),
    ]
    plain = core.compile_model(model, "CPU", options).create_infer_request()
    best = float("inf")
    for _ in range(CALLS):
        start = time.perf_counter()
        plain.infer(images)
        best = min(best, 1000 * (time.perf_counter() - start))
    modules: dict[str, float] = defaultdict(float)
    kinds: dict[str, float] = defaultdict(float)
    for operation in operation_times(core, model, options, images, CALLS):
        modules[".".join(operation.module.split(".")[:DEPTH]) or OUTSIDE] += operation.ms
        kinds[operation.kind] += operation.ms
    return {
        "precision": used,
        "plain_ms": best,
        "modules_ms": largest_first(modules),
        "kinds_ms": {name: ms for name, ms in largest_first(kinds).items() if ms >= 0.005},
    }


def largest_first(times: dict[str, float]) -> dict[str, float]:
    return dict(sorted(times.items(), key=lambda item: -item[1]))
