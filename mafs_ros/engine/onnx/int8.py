"""Rounding to 8 bits in the ONNX graph, where and as NNCF put it into OpenVINO's int8 model.

TensorRT reads it as QuantizeLinear and DequantizeLinear before a convolution, with one scale for
the input and one a channel for the weights, and runs that convolution in int8. Its bytes have a
sign and no offset, so that a range from 0 on has 128 levels where OpenVINO has 256. All else keeps
the graph's type, sums between convolutions and the matrix products of attention among it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

LEVELS = 127  # of a byte with a sign, on either side of 0
LEAST = 2.0**-24  # the smallest number of fp16
SCOPES = "pkg.torch.onnx.name_scopes"  # written by torch's exporter


class RoundingError(ValueError):
    """An int8 model and an ONNX graph that do not go together."""


def add_rounding(model: onnx.ModelProto, ranges: Mapping[str, Sequence[float | None]]) -> int:
    """Round inputs and weights of convolutions in place; returns of how many.

    model: what `onnx_graph` returned. ranges: the largest magnitude that each convolution of a
    module can read, see `mafs_ros.engine.openvino.ranges`; None where nothing is rounded.

    Raises RoundingError where convolutions and ranges are not one to one.
    """
    graph = model.graph
    readers = {name: node for node in graph.node for name in node.input}
    makers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    left = {path: list(calls) for path, calls in ranges.items()}
    rounded: dict[tuple[str, float], str] = {}  # an input and its range -> the values rounded
    nodes: list[onnx.NodeProto] = []
    count = 0
    for node in list(graph.node):
        largest = _next_range(node, left, readers) if node.op_type == "Conv" else None
        if largest is not None:
            count += 1
            name, weights = node.output[0], _value(node.input[1], constants, makers)
            key = node.input[0], largest
            if key not in rounded:
                whole = np.array(largest, weights.dtype)
                nodes += _rounding(graph, node.input[0], f"{name}_input", whole)
                rounded[key] = nodes[-1].output[0]
            kernels = f"{name}_kernels"
            graph.initializer.append(numpy_helper.from_array(weights, kernels))
            channels = np.abs(weights).max(axis=tuple(range(1, weights.ndim)))
            nodes += _rounding(graph, kernels, kernels, channels)
            node.input[0], node.input[1] = rounded[key], nodes[-1].output[0]
        nodes.append(node)
    if missing := [path for path, calls in left.items() if calls]:
        raise RoundingError(f"the ONNX graph lacks convolutions of {', '.join(missing)}")
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unread(graph)
    return count


def _next_range(
    convolution: onnx.NodeProto,
    left: dict[str, list[float | None]],
    readers: Mapping[str, onnx.NodeProto],
) -> float | None:
    """Take the range of a convolution from those that are left.

    Its module is that of the normalisation that it took in, in both graphs; of a module that is
    called twice the normalisation stands behind it here.
    """
    path = _module(convolution)
    if not left.get(path):
        path = _module(readers[convolution.output[0]])
    if not left.get(path):
        raise RoundingError(
            f"the int8 model lacks a convolution of {_module(convolution) or 'the whole network'}"
        )
    return left[path].pop(0)


def _module(node: onnx.NodeProto) -> str:
    """The module that a node comes from, as `mafs_ros.engine.openvino.convert` names it."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "")
    if not scopes:
        raise RoundingError(
            f"{node.name or node.op_type} does not say which module it comes from: "
            "requirements/rtx.txt names the onnxscript that writes it"
        )
    return ast.literal_eval(scopes)[-2].removeprefix("network").removeprefix(".")


def _value(
    name: str, constants: Mapping[str, onnx.TensorProto], makers: Mapping[str, onnx.NodeProto]
) -> NDArray[Any]:
    """The weights of a convolution, which may be a part of a constant."""
    if name in constants:
        return numpy_helper.to_array(constants[name])
    maker = makers[name]
    values = {source: _value(source, constants, makers) for source in maker.input}
    parts = ReferenceEvaluator(maker).run(None, values)
    return parts[list(maker.output).index(name)]


def _rounding(
    graph: onnx.GraphProto, source: str, name: str, largest: NDArray[Any]
) -> list[onnx.NodeProto]:
    """The two nodes that round values; largest: their magnitude, of all or of each channel."""
    # Never below what it stands for, so that the largest value is not cut off; nor 0.
    exact = np.maximum(largest.astype(np.float32) / LEVELS, LEAST)
    scale = exact.astype(largest.dtype)
    scale = np.where(scale < exact, np.nextafter(scale, largest.dtype.type(np.inf)), scale)
    ends = [f"{name}_scale", f"{name}_zero"]
    for end, values in zip(ends, (scale, np.zeros(scale.shape, np.int8)), strict=True):
        graph.initializer.append(numpy_helper.from_array(np.asarray(values), end))
    axis = {"axis": 0} if scale.ndim else {}
    return [
        helper.make_node("QuantizeLinear", [source, *ends], [f"{name}_int8"], **axis),
        helper.make_node("DequantizeLinear", [f"{name}_int8", *ends], [f"{name}_rounded"], **axis),
    ]


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Remove the nodes and constants that nothing reads any more."""
    read = {end.name for end in graph.output}
    kept = []
    for node in reversed(graph.node):
        if read.intersection(node.output):
            kept.append(node)
            read.update(node.input)
    constants = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)
