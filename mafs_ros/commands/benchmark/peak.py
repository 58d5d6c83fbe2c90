"""What this CPU reaches at best: large convolutions in OpenVINO, in each precision it has."""

from __future__ import annotations

import time
from typing import Any

CHANNELS, SIDE, LAYERS = 256, 56, 6
ROUNDS = 12


def measure(threads: int = 0) -> dict[str, float]:
    """Precision -> GFLOP/s (2 per multiply-accumulate), the best of a few rounds run in turn.

    A chain of 3x3 convolutions of 256 channels at 56x56, whose operands stay in the cache.
    """
    import numpy as np
    import openvino

    from mafs_ros.engine.openvino.precision import compile_options, native_precisions

    core = openvino.Core()
    native = native_precisions(core)
    image = np.random.default_rng(0).random((1, CHANNELS, SIDE, SIDE), np.float32)
    runs = {
        name: core.compile_model(
            chain(int8=name == "int8"), "CPU", compile_options(name, threads, native)
        ).create_infer_request()
        for name in native
    }
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            run.infer([image], share_inputs=True)
            best[name] = min(best[name], time.perf_counter() - start)
    gflop = 2 * LAYERS * 9 * CHANNELS**2 * SIDE**2 / 1e9
    return {name: gflop / seconds for name, seconds in best.items()}


def chain(*, int8: bool) -> Any:
    """The convolutions as an OpenVINO model; with int8 values in and between them rounded."""
    import numpy as np
    import openvino
    from openvino import opset13 as ops

    def rounded(value: Any, low: float, high: float, levels: int) -> Any:
        limits = [np.array(v, np.float32) for v in (low, high, low, high)]
        return ops.fake_quantize(value, *limits, levels) if int8 else value

    rng = np.random.default_rng(0)
    image = ops.parameter([1, CHANNELS, SIDE, SIDE], np.float32)
    value = image
    for _ in range(LAYERS):
        weight = rng.normal(0, 1 / (3 * CHANNELS**0.5), (CHANNELS, CHANNELS, 3, 3))
        value = ops.convolution(
            rounded(value, 0.0, 4.0, 256),
            rounded(ops.constant(weight.astype(np.float32)), -0.1, 0.1, 255),
            [1, 1],
            [1, 1],
            [1, 1],
            [1, 1],
        )
        value = ops.relu(value)
    return openvino.Model([value], [image], "peak")
