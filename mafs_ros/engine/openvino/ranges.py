"""Which convolutions of an int8 model round their inputs, and in what range of values."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import openvino

from mafs_ros.engine.openvino.convert import SEPARATOR, module_of

CONVOLUTIONS = ("Convolution", "GroupConvolution")
FAKE_QUANTIZE = "FakeQuantize"
# These hand values on as they are.
PASSING = {"Broadcast", "Concat", "MaxPool", "Pad", "ReduceMax", "Reshape", "Slice", "Squeeze"}
PASSING |= {"Split", "StridedSlice", "Transpose", "Unsqueeze", "VariadicSplit"}
NUMBER = re.compile(r"_(\d+)")


def rounded_inputs(model: openvino.Model) -> dict[str, list[float | None]]:
    """The largest magnitude that each convolution of an int8 model can read, by module.

    A module that is called several times, or has several convolutions of its own, has a value for
    each, in the order of execution; None where the input is not rounded. The name is that in the
    friendly names of `convert`: a convolution that a normalisation went into has the latter's.
    """
    found: dict[str, dict[int, float | None]] = defaultdict(dict)
    for operation in model.get_ordered_ops():
        if operation.get_type_name() in CONVOLUTIONS:
            name = operation.get_friendly_name()
            number = NUMBER.search(name.partition(SEPARATOR)[2])
            # Of a convolution that was taken apart (see `depthwise`) any part will do.
            found[module_of(name)][int(number[1]) if number else 0] = _range(operation)
    return {path: [calls[number] for number in sorted(calls)] for path, calls in found.items()}


def _range(operation: openvino.Node) -> float | None:
    """The largest magnitude of the rounded values that an operation reads."""
    largest = 0.0
    pending = [operation.input_value(0).get_node()]
    while pending:
        source = pending.pop()
        kind = source.get_type_name()
        if kind == FAKE_QUANTIZE:
            for port in (3, 4):  # the ends of the range after rounding
                ends = source.input_value(port).get_node().get_data()
                largest = max(largest, float(np.abs(ends).max()))
        elif kind == "Concat":
            pending += [value.get_node() for value in source.input_values()]
        elif kind in PASSING:
            pending.append(source.input_value(0).get_node())
        else:
            return None
    return largest
