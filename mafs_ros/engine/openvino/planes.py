"""The camera's picture is taken apart into its colours as bytes, which become floats later.

OpenVINO casts before it lays out the picture anew, and is slow at moving floats in threes. It is
not done in the network itself, because TensorRT does nothing with bytes but cast them.
"""

from __future__ import annotations

import openvino
from openvino import opset8 as ops

SPLITS = ("Split", "VariadicSplit")


def split_bytes(model: openvino.Model) -> None:
    """Replace split(transpose(float(bytes))) in place, each of the parts becomes floats itself."""
    for split in model.get_ordered_ops():
        if split.get_type_name() not in SPLITS:
            continue
        transpose = split.input_value(0).get_node()
        cast = transpose.input_value(0).get_node()
        if transpose.get_type_name() == "Transpose" and _casts_bytes(cast):
            moved = ops.transpose(cast.input_value(0), transpose.input_value(1))
            moved.set_friendly_name(f"{transpose.get_friendly_name()}/bytes")
            users = [part.get_target_inputs() for part in split.outputs()]
            split.input(0).replace_source_output(moved.output(0))
            for number, (part, readers) in enumerate(zip(split.outputs(), users, strict=True)):
                floats = ops.convert(part, cast.get_output_element_type(0))
                floats.set_friendly_name(f"{split.get_friendly_name()}/{number}")
                for reader in readers:
                    reader.replace_source_output(floats.output(0))
    model.validate_nodes_and_infer_types()


def _casts_bytes(operation: openvino.Node) -> bool:
    return (
        operation.get_type_name() == "Convert"
        and operation.get_input_element_type(0) == openvino.Type.u8
    )
