"""The deployed graph as an OpenVINO model, every operation named by the module it comes from."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openvino
import torch
from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

from mafs_ros.engine.graph import DeployedGraph, example_images
from mafs_ros.engine.openvino.depthwise import use_depthwise
from mafs_ros.engine.openvino.gates import part_gates
from mafs_ros.engine.openvino.planes import split_bytes
from mafs_ros.model.weights import load_weights

SEPARATOR = "|"  # between the module's path and the operation in a name; in no Python name


def convert(weights: Path, height: int, width: int) -> openvino.Model:
    """Convert a model file for one pair of `height` x `width`; fp32, static shapes.

    Inputs and outputs as in `DeployedGraph`, batch 1. The friendly name of every operation
    begins with the path of its module in the deployed graph, see `module_of`. Static shapes,
    because OpenVINO runs them a fifth faster than the unknown ones that it would otherwise use.

    Raises WeightsError for the model file.
    """
    graph = DeployedGraph(load_weights(weights)[0])
    with torch.no_grad(), _quiet():
        program = torch.export.export(graph, example_images((1, height, width), "cpu"))
        decoder = TorchFXPythonDecoder.from_exported_program(program, dynamic_shapes=False)
        model = openvino.convert_model(decoder)
    _name_by_module(model, _modules(decoder.fx_gm))
    use_depthwise(model)
    split_bytes(model)
    part_gates(model)
    return model


def module_of(name: str) -> str:
    """The module's path in an operation's friendly name, e.g. 'encoder.visible_trunk.stem.conv'.

    The empty text: an operation outside the network, at the ends of the deployed graph.
    """
    return name.partition(SEPARATOR)[0] if SEPARATOR in name else ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the libraries say to each other: nothing of it concerns the user.

    OpenVINO's converter leaves the root logger changed, after which no warning would be heard.
    """
    root, handler = logging.getLogger(), logging.NullHandler()
    before = root.level, list(root.filters), list(root.handlers)

    def is_ours(record: logging.LogRecord) -> bool:
        return record.module != "fx_decoder"

    root.addHandler(handler)  # with none, logging.warning() would add one for good
    root.addFilter(is_ours)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch, to torch
            yield
    finally:
        level, root.filters, root.handlers = before
        root.setLevel(level)


def _modules(graph: Any) -> dict[str, str]:
    """Node of a torch.fx graph -> path of the module that it comes from."""
    paths = {}
    for node in graph.graph.nodes:
        stack = node.meta.get("nn_module_stack")
        if stack:
            path = list(stack.values())[-1][0]
            paths[node.name] = path.removeprefix("L['self']").strip(".").removeprefix("network.")
    return paths


def _name_by_module(model: openvino.Model, modules: dict[str, str]) -> None:
    """Put the module's path in front of every operation's friendly name.

    Operations that OpenVINO folded together have names of their own; they belong to the module of
    what follows them (a convolution to the normalisation that went into it), or else before.
    """
    found: dict[str, str] = {}
    operations = model.get_ordered_ops()
    for operation in reversed(operations):
        name = operation.get_friendly_name()
        module = modules.get(name.partition("/")[0])
        if module is None:
            users = [
                user.get_node().get_friendly_name()
                for output in operation.outputs()
                for user in output.get_target_inputs()
            ]
            module = next((found[user] for user in users if user in found), "")
        found[name] = module
    for operation in operations:
        name = operation.get_friendly_name()
        if operation.get_type_name() not in ("Parameter", "Result"):
            operation.set_friendly_name(f"{found[name]}{SEPARATOR}{name}")
