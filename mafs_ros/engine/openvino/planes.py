"""The camera's picture is taken apart into its colours as bytes, which become floats later.

OpenVINO casts before it lays out the picture anew, and is slow at moving floats in threes. It is
not done in the network itself, because TensorRT does nothing with bytes but cast them.
"""

from __future__ import annotations

import openvino
from openvino import opset8 as ops

SPLITS = ("Split", "VariadicSplit")
SCALES = ("Multiply", "Divide")


def split_bytes(model: openvino.Model) -> None:
    """Replace split(transpose(float(bytes))) in place, each of the parts becomes floats itself.

    The bytes of an image are split once for all that read its colours, scaled ones too.
    """
    planes: dict[openvino.Output, list[openvino.Output]] = {}
    for split in model.get_ordered_ops():
        if split.get_type_name() not in SPLITS:
            continue
        transpose = split.input_value(0).get_node()
        if transpose.get_type_name() != "Transpose":
            continue
        scale = _scale(transpose.input_value(0).get_node())
        cast = (scale or transpose).input_value(0).get_node()
        if not _casts_bytes(cast):
            continue
        image = cast.input_value(0)
        users = [part.get_target_inputs() for part in split.outputs()]
        if image not in planes:
            planes[image] = _split(split, transpose, cast)
        for number, (floats, readers) in enumerate(zip(planes[image], users, strict=True)):
            part = floats if scale is None else _scaled(scale, floats, number)
            for reader in readers:
                reader.replace_source_output(part)
    model.validate_nodes_and_infer_types()


def _split(
    split: openvino.Node, transpose: openvino.Node, cast: openvino.Node
) -> list[openvino.Output]:
    """The parts of the bytes as floats; `split` itself is now one of bytes."""
    moved = ops.transpose(cast.input_value(0), transpose.input_value(1))
    moved.set_friendly_name(f"{transpose.get_friendly_name()}/bytes")
    split.input(0).replace_source_output(moved.output(0))
    planes = []
    for number, part in enumerate(split.outputs()):
        floats = ops.convert(part, cast.get_output_element_type(0))
        floats.set_friendly_name(f"{split.get_friendly_name()}/{number}")
        planes.append(floats.output(0))
    return planes


def _scaled(scale: openvino.Node, floats: openvino.Output, number: int) -> openvino.Output:
    """One colour multiplied or divided as the whole image was."""
    make = ops.multiply if scale.get_type_name() == "Multiply" else ops.divide
    part = make(floats, scale.input_value(1))
    part.set_friendly_name(f"{scale.get_friendly_name()}/{number}")
    return part.output(0)


def _scale(operation: openvino.Node) -> openvino.Node | None:
    """The operation, where it multiplies or divides everything by one number."""
    if operation.get_type_name() not in SCALES:
        return None
    factor = operation.input_value(1)
    is_number = factor.get_node().get_type_name() == "Constant" and set(factor.get_shape()) <= {1}
    return operation if is_number else None


def _casts_bytes(operation: openvino.Node) -> bool:
    return (
        operation.get_type_name() == "Convert"
        and operation.get_input_element_type(0) == openvino.Type.u8
    )
