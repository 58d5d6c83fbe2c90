"""Sigmoids of maps of one channel, kept out of the convolutions before them.

OpenVINO makes a sigmoid a part of the convolution that it follows. Of one channel that is computed
pixel by pixel there: in CAM's spatial gate three times as long as convolution and sigmoid apart.
"""

from __future__ import annotations

import openvino
from openvino import opset1 as ops


def part_gates(model: openvino.Model) -> None:
    """Put, in place, a pooling of single pixels, which changes nothing, before such a sigmoid."""
    for sigmoid in model.get_ordered_ops():
        if sigmoid.get_type_name() != "Sigmoid":
            continue
        source = sigmoid.input_value(0)
        if source.get_node().get_type_name() == "Convolution" and source.get_shape()[1] == 1:
            pooled = ops.max_pool(source, [1, 1], [0, 0], [0, 0], [1, 1])
            pooled.set_friendly_name(f"{sigmoid.get_friendly_name()}/apart")
            sigmoid.input(0).replace_source_output(pooled.output(0))
