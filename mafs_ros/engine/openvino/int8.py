"""The deployed graph in int8, by NNCF's post-training quantization; needed to make it, not to run.

NNCF observes every operation on some pairs and puts a rounding to 256 levels before those that
OpenVINO has in int8. The ends of the graph, the fusion's last convolution and what follows it are
left alone: 256 levels of theirs would be steps in the picture.
"""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np
import openvino
from numpy.typing import NDArray

from mafs_ros.engine.openvino.convert import module_of

Image = NDArray[np.uint8]
COMPUTE = ("Convolution", "GroupConvolution", "MatMul", "ConvolutionBackpropData")
FAKE_QUANTIZE = "FakeQuantize"
# A part of the network: 'encoder.stem_fusion', 'encoder.visible_trunk.stages.2', ...
PART = re.compile(r"\w+(\.\w+)?(\.(stages|blocks|upsampling))?(\.\d+)?")
TIMED_CALLS = 15


def quantize(
    model: openvino.Model, pairs: Sequence[tuple[Image, Image]], kept: Collection[str] = ()
) -> openvino.Model:
    """Return an int8 model of a converted graph (`openvino_graph.convert`), which stays as it is.

    pairs: rgb uint8 [H, W, 3] and thermal uint8 [H, W] that it will meet, in the graph's size.
    kept: names of parts (see `parts`) that are not quantized.

    Raises ImportError without nncf.
    """
    os.environ.setdefault("NNCF_CI", "1")  # else it reports its use over the network
    import nncf

    # Not nncf.set_log_level, which sets the level of every handler there, be it shared.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    ignored = [
        operation.get_friendly_name()
        for operation in model.get_ordered_ops()
        if part_of(operation.get_friendly_name()) in ("", *kept)
    ]
    ignored += [operation.get_friendly_name() for operation in _end_of_fusion(model)]
    items = [(rgb[None], thermal[None]) for rgb, thermal in pairs]
    how = nncf.quantization.advanced_parameters
    return nncf.quantize(
        model.clone(),
        nncf.Dataset(items),
        preset=nncf.QuantizationPreset.PERFORMANCE,  # MIXED is slower and no nearer
        subset_size=len(items),
        ignored_scope=nncf.IgnoredScope(names=sorted(set(ignored)), validate=False),
        # One range for a whole map. Those per channel, which NNCF uses before depthwise
        # convolutions, it takes along the wrong axis where a matrix product comes before one, and
        # OpenVINO refuses the model.
        advanced_parameters=how.AdvancedQuantizationParameters(
            activations_quantization_params=how.QuantizationParameters(per_channel=False)
        ),
    )


def parts(model: openvino.Model) -> list[str]:
    """The parts of the network that have something to quantize, in the order of the graph."""
    found = [
        part_of(operation.get_friendly_name())
        for operation in model.get_ordered_ops()
        if operation.get_type_name() in COMPUTE
    ]
    return [name for name in dict.fromkeys(found) if name]


def fusion_parts(model: openvino.Model) -> list[str]:
    """The parts that only the fused image depends on, not the labels."""
    of_labels = {part_of(name) for name in _inputs_of(model.outputs[1].get_node())}
    return [name for name in parts(model) if name not in of_labels]


def part_of(name: str) -> str:
    """The part of the network that an operation belongs to; empty at the ends of the graph."""
    return part_of_module(module_of(name))


def part_of_module(path: str) -> str:
    """The part of the network that a module belongs to; empty for an empty path."""
    match = PART.match(path)
    return match[0] if match else ""


def slow_parts(
    model: openvino.Model, quantized: openvino.Model, pair: tuple[Image, Image]
) -> list[str]:
    """The parts that are no faster in int8 on this machine than without it, by `operation_times`.

    Those of many small operations, as a rule: each rounding is one more. model: the converted
    graph, quantized: what `quantize` made of it, pair: what to time them with.
    """
    from mafs_ros.engine.openvino.counters import operation_times
    from mafs_ros.engine.openvino.precision import compile_options, native_precisions

    core = openvino.Core()
    options = compile_options("int8", 0, native_precisions(core))
    times = []
    for graph in (model, quantized):
        of_parts: dict[str, float] = defaultdict(float)
        images = [image[None] for image in pair]
        for operation in operation_times(core, graph, options, images, TIMED_CALLS):
            of_parts[part_of_module(operation.module)] += operation.ms
        times.append(of_parts)
    return [name for name in parts(model) if times[1][name] >= times[0][name]]


def without_rounding(quantized: openvino.Model, kept: Collection[str]) -> openvino.Model:
    """A copy of an int8 model in which the operations of some parts read unrounded values.

    Quick, and nearly what quantizing anew without these parts gives.
    """
    model = quantized.clone()
    for operation in model.get_ordered_ops():
        if part_of(operation.get_friendly_name()) in kept:
            for port in operation.inputs():
                source = port.get_source_output().get_node()
                if source.get_type_name() == FAKE_QUANTIZE:
                    port.replace_source_output(source.input_value(0))
    model.validate_nodes_and_infer_types()
    return model


def _end_of_fusion(model: openvino.Model) -> list[openvino.Node]:
    """The last convolution(s) of the network on the way to the fused image, and all after them."""
    end = []
    pending = [model.outputs[0].get_node()]
    seen: set[str] = set()
    while pending:
        operation = pending.pop()
        name = operation.get_friendly_name()
        if name in seen:
            continue
        seen.add(name)
        end.append(operation)
        if operation.get_type_name() not in COMPUTE or not module_of(name):
            pending += _sources(operation)
    return end


def _inputs_of(operation: openvino.Node) -> set[str]:
    """Names of all operations that an operation depends on."""
    names: set[str] = set()
    pending = [operation]
    while pending:
        for source in _sources(pending.pop()):
            if source.get_friendly_name() not in names:
                names.add(source.get_friendly_name())
                pending.append(source)
    return names


def _sources(operation: openvino.Node) -> list[openvino.Node]:
    return [value.get_node() for value in operation.input_values()]
