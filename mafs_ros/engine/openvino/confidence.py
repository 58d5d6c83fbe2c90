"""Adds the confidence of the labels to a converted graph, in fp32 or int8."""

from __future__ import annotations

import numpy as np
import openvino
from openvino import opset8

LABELS = 1  # of the outputs


def add_confidence(model: openvino.Model, temperature: float) -> None:
    """Give a graph of `convert`, or of an int8 file, its third output, as `ConfidentGraph` has.

    What is there computes what it did. The classes' logits are those that the labels come of: a
    chain of comparisons (`first_largest` of the network), one class with the largest before it.

    Raises ValueError for a graph without such a chain.
    """
    logits = _compared(_way_to_labels(model)[1])
    largest = logits[0]
    for values in logits[1:]:
        largest = opset8.maximum(largest, values)
    scale = np.float32(1 / temperature)
    parts = [opset8.exp(opset8.multiply(opset8.subtract(x, largest), scale)) for x in logits]
    total = parts[0]
    for part in parts[1:]:
        total = opset8.add(total, part)
    # The largest class's own part is 1.
    confidence = opset8.round(opset8.divide(np.float32(255), total), "half_to_even")
    # From there the way of the labels: cells laid out, cropped, as bytes. Its operations are
    # copied with the whole graph, as none can be alone.
    way, _ = _way_to_labels(model.clone())
    way[-1].input(0).replace_source_output(confidence.output(0))
    for operation in way:
        operation.set_friendly_name(f"{operation.get_friendly_name()}/confidence")
    way[0].input_value(0).get_tensor().set_names({"confidence"})
    model.add_results([way[0]])
    model.validate_nodes_and_infer_types()


def _way_to_labels(model: openvino.Model) -> tuple[list[openvino.Node], openvino.Node]:
    """The operations behind the last choice of a class, the output first; and that choice."""
    way, operation = [], model.outputs[LABELS].get_node()
    while operation.get_type_name() != "Select":
        way.append(operation)
        if not operation.input_values():
            raise ValueError("the labels of this graph are not made by comparisons of logits")
        operation = operation.input_value(0).get_node()
    return way, operation


def _compared(choice: openvino.Node) -> list[openvino.Output]:
    """The logits of the classes, the last class first."""
    logits = []
    while choice.get_type_name() == "Select":
        greater = choice.input_value(0).get_node()
        logits.append(greater.input_value(0))
        before = greater.input_value(1)
        choice = choice.input_value(2).get_node()
    return [*logits, before]
