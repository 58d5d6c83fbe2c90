"""Whether one call with the images of several pairs is faster than one call a pair.

    .venv/bin/python docs/batching.py [ROUNDS]

The shipped int8 model is made for a batch of one: what in its graph says so is set to 2 and to 4.
Each round runs the same four simulated pairs once one by one, by twos and at once, so that the
ratios are of the same moments. CPU time is that of all threads, and hardly minds other load.
"""

import sys
import time
from statistics import median
from typing import Any

import numpy as np
import openvino
from openvino import opset13

from mafs_ros.base.resources import default_weights
from mafs_ros.engine.openvino.engine import OpenVinoEngine
from mafs_ros.perception.thermal import ThermalScaler
from mafs_ros.simulation import StreetSimulation

SIZE, BATCHES, PAIRS = (480, 640), (1, 2, 4), 4


def with_batch(model: openvino.Model, batch: int) -> openvino.Model:
    """Set the sizes of a batch in inputs, target shapes and splits of a graph for one pair."""
    for parameter in model.get_parameters():
        shape = [batch, *list(parameter.get_partial_shape())[1:]]
        parameter.set_partial_shape(openvino.PartialShape(shape))
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Reshape":
            source, target = (node.input_value(i).get_node() for i in (0, 1))
            if source.get_type_name() != "Constant" and target.get_type_name() == "Constant":
                lengths = [-1, *list(node.output(0).get_shape())[1:]]
                node.input(1).replace_source_output(constant(lengths))
        elif node.get_type_name() == "VariadicSplit":  # RGB from thermal, stacked in the batch
            axis, lengths = (node.input_value(i).get_node().get_data() for i in (1, 2))
            node.input(2).replace_source_output(constant(lengths * (batch if axis == 0 else 1)))
    model.validate_nodes_and_infer_types()
    return model


def constant(values: Any) -> openvino.Output:
    return opset13.constant(np.array(values, np.int64)).output(0)


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Four frames of the simulated street, rgb [4, H, W, 3] and thermal [4, H, W]."""
    street, scaler = StreetSimulation(seed=1, height=SIZE[0], width=SIZE[1]), ThermalScaler()
    frames = [street.frame(10.0 * index) for index in range(PAIRS)]
    thermal = [scaler(frame.thermal, float(index)) for index, frame in enumerate(frames)]
    return np.stack([frame.rgb for frame in frames]), np.stack(thermal)


def main(rounds: int) -> None:
    engine = OpenVinoEngine(default_weights(), threads=2, precision="int8")
    path, options, precision = engine.source(SIZE)
    core = openvino.Core()
    requests = {
        batch: core.compile_model(
            with_batch(core.read_model(path), batch), "CPU", options
        ).create_infer_request()
        for batch in BATCHES
    }
    rgb, thermal = pairs()
    results: dict[int, np.ndarray] = {}
    wall: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    cpu: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    for number in range(rounds + 2):  # the first two warm up
        for batch, request in requests.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            fused = []
            for first in range(0, PAIRS, batch):
                part = slice(first, first + batch)
                fused.append(np.array(request.infer([rgb[part], thermal[part]])[0]))
            if number >= 2:
                wall[batch].append(1000 * (time.perf_counter() - start) / PAIRS)
                cpu[batch].append(1000 * (time.process_time() - start_cpu) / PAIRS)
            results[batch] = np.concatenate(fused).astype(int)
    for batch in BATCHES:
        ratios = [
            median(a / b for a, b in zip(times[batch], times[1], strict=True))
            for times in (wall, cpu)
        ]
        apart = np.abs(results[batch] - results[1])
        print(
            f"batch {batch}, {precision}: {median(wall[batch]):.1f} ms a pair, times batch 1: "
            f"wall {ratios[0]:.2f}, CPU {ratios[1]:.2f}; fused differs by at most {apart.max()}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
