"""Convolutions in groups of two channels as depthwise ones, which OpenVINO has fast kernels for.

Its kernel for groups fills the processor's vectors with the channels of one group: with the two of
DEM most of each is empty, in the paper's network a tenth of all time.
"""

from __future__ import annotations

import numpy as np
import openvino
from openvino import opset8 as ops

BLOCK = 16  # channels of a group that fill a vector


def use_depthwise(model: openvino.Model) -> None:
    """Replace every convolution with a kernel and groups of 2 to 2 channels in place.

    Output channel c of a group with the other channel c' is
    depthwise(x)[c] + depthwise(x with the channels of each group exchanged)[c].
    """
    for operation in model.get_ordered_ops():
        if operation.get_type_name() != "GroupConvolution":
            continue
        weights = operation.input_value(1).get_node()
        if weights.get_type_name() != "Constant":
            continue
        groups, outputs, inputs, *kernel = weights.shape
        if (outputs, inputs) == (2, 2) and kernel != [1, 1] and groups % (BLOCK // 2) == 0:
            _replace(operation, np.asarray(weights.get_data()))


def _replace(operation: openvino.Node, weights: np.ndarray) -> None:
    name, x = operation.get_friendly_name(), operation.input_value(0)
    how = {
        key: operation.get_attributes()[key]
        for key in ("strides", "pads_begin", "pads_end", "dilations")
    }
    groups = len(weights)
    depthwise = (2 * groups, 1, 1, *weights.shape[3:])
    own = weights[:, [0, 1], [0, 1]].reshape(depthwise)
    other = weights[:, [0, 1], [1, 0]].reshape(depthwise)
    # As a convolution, because a Gather over channels moves the map through another layout.
    exchange = np.kron(np.eye(BLOCK // 2), [[0, 1], [1, 0]]).astype(weights.dtype)
    blocks = np.tile(exchange[None, :, :, None, None], (2 * groups // BLOCK, 1, 1, 1, 1))
    exchanged = ops.group_convolution(x, blocks, [1, 1], [0, 0], [0, 0], [1, 1])
    parts = [
        ops.group_convolution(source, kernels, **how)
        for source, kernels in ((x, own), (exchanged, other))
    ]
    total = ops.add(*parts)
    for number, new in enumerate((exchanged, *parts, total)):
        new.set_friendly_name(f"{name}/{number}")
    for user in operation.output(0).get_target_inputs():
        user.replace_source_output(total.output(0))
