"""The deployed graph as ONNX."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mafs_ros.base.write import whole
from mafs_ros.engine.checks import int8_fault, read_checks
from mafs_ros.engine.graph import DeployedGraph, example_images
from mafs_ros.model.weights import load_weights

if TYPE_CHECKING:
    import onnx

OPSET = 20  # the newest that the TensorRT of JetPack 6 reads


def onnx_graph(graph: DeployedGraph, shape: tuple[int, ...]) -> onnx.ModelProto:
    """Return a graph for one shape (batch, height, width) as ONNX, of operator set `OPSET`.

    Inputs `rgb` uint8 [B, H, W, 3] and `thermal` uint8 [B, H, W], outputs `fused` and `labels`
    likewise. The types are in the graph, so engines are built from it strongly typed.

    Raises ImportError where the exporter's packages are missing.
    """
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"the ONNX exporter needs {' and '.join(missing)}: pip install {' '.join(missing)}"
        )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch and onnxscript, to each other
        program = torch.onnx.export(
            graph,
            example_images(shape, next(graph.parameters()).device),
            dynamo=True,
            opset_version=OPSET,
            input_names=["rgb", "thermal"],
            output_names=["fused", "labels"],
            verbose=False,
        )
    assert program is not None  # with dynamo=True
    return program.model_proto


def weights_onnx(weights: Path, shape: tuple[int, ...], precision: str) -> onnx.ModelProto:
    """Return a model file's graph for one shape (batch, height, width) as ONNX.

    precision: 'fp32', 'fp16', or 'int8': convolutions that the int8 model beside the weights
    rounds are rounded alike, all else is fp16.

    Raises ImportError where packages are missing, ValueError where there is no int8 model that
    counts for this size (see `mafs_ros.engine.checks`), WeightsError, OSError.
    """
    ranges = int8_ranges(weights, (shape[1], shape[2])) if precision == "int8" else None
    graph = DeployedGraph(load_weights(weights)[0], "fp16" if ranges else precision)
    model = onnx_graph(graph, shape)
    if ranges is not None:
        from mafs_ros.engine.onnx.int8 import add_rounding

        add_rounding(model, ranges)
    return model


def int8_ranges(weights: Path, size: tuple[int, int]) -> dict[str, list[float | None]]:
    """What the int8 model for images of height, width rounds; raises as `weights_onnx` does."""
    checks = read_checks(weights)
    if fault := int8_fault(checks, size):
        raise ValueError(f"no int8 of {weights.name} for {size[1]}x{size[0]}: {fault}")
    if importlib.util.find_spec("openvino") is None:
        raise ImportError("int8 reads the model of `mafs quantize`: pip install openvino")
    import openvino

    from mafs_ros.engine.openvino.ranges import rounded_inputs

    return rounded_inputs(openvino.Core().read_model(checks[size].int8_model))


def export_onnx(weights: Path, path: Path, size: tuple[int, int], precision: str) -> None:
    """Write a model file's graph for one size (height, width) as an ONNX file, atomically.

    Raises what `weights_onnx` does.
    """
    model = weights_onnx(weights, (1, *size), precision)
    with whole(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
