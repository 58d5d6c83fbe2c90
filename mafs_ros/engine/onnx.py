"""The deployed graph as an ONNX file, for those who build their engine with trtexec."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import torch

from mafs_ros.base.write import whole
from mafs_ros.engine.graph import DeployedGraph, example_images
from mafs_ros.model.weights import load_weights


def export_onnx(weights: Path, path: Path, size: tuple[int, int], precision: str) -> None:
    """Write a model file's graph for one size (height, width) as an ONNX file, atomically.

    Inputs `rgb` uint8 [1, H, W, 3] and `thermal` uint8 [1, H, W], outputs `fused` and `labels`
    likewise. precision: 'fp32' or 'fp16'; the types are in the graph, so engines are built from it
    strongly typed (trtexec --stronglyTyped).

    Raises ImportError where the exporter's packages are missing, WeightsError, OSError.
    """
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"the ONNX exporter needs {' and '.join(missing)}: pip install {' '.join(missing)}"
        )
    graph = DeployedGraph(load_weights(weights)[0], precision)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch and onnxscript, to each other
        program = torch.onnx.export(
            graph,
            example_images((1, *size), "cpu"),
            dynamo=True,
            input_names=["rgb", "thermal"],
            output_names=["fused", "labels"],
            verbose=False,
        )
    assert program is not None  # with dynamo=True
    with whole(path) as temporary:
        program.save(temporary, external_data=False)
