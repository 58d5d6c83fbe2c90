"""Which of the two ways an engine is built in: by torch-tensorrt, or from ONNX by TensorRT."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import torch

from mafs_ros.engine.graph import DeployedGraph
from mafs_ros.engine.onnx.export import int8_ranges, onnx_graph
from mafs_ros.engine.tensorrt.onnx_build import build_plan_from_onnx

TORCH_TENSORRT, ONNX = "torch-tensorrt", "onnx"


def route(precision: str) -> str:
    """The way for a precision: torch-tensorrt where it is installed, which has no int8 of ours."""
    has_torch_tensorrt = importlib.util.find_spec("torch_tensorrt") is not None
    return TORCH_TENSORRT if has_torch_tensorrt and precision != "int8" else ONNX


def builder(weights: Path, precision: str) -> Callable[..., bytes]:
    """What builds the engines of a model file, called as `torch_build.build_plan`.

    int8: of the graph in fp16, with the rounding of the int8 model beside the weights; raises what
    `int8_ranges` does.
    """
    if route(precision) == TORCH_TENSORRT:
        from mafs_ros.engine.tensorrt.torch_build import build_plan

        return build_plan

    def build(
        graph: DeployedGraph, shape: tuple[int, ...], precision: str, *, workspace_mb: int = 0
    ) -> bytes:
        model = onnx_graph(graph.cpu(), shape)  # the GPU's memory is for the build
        torch.cuda.empty_cache()
        if precision == "int8":
            from mafs_ros.engine.onnx.int8 import add_rounding

            add_rounding(model, int8_ranges(weights, (shape[1], shape[2])))
        return build_plan_from_onnx(
            model.SerializeToString(), precision, workspace_mb=workspace_mb
        )

    return build
