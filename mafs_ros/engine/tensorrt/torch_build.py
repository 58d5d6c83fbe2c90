"""Builds an engine by torch-tensorrt."""

from __future__ import annotations

import contextlib
import inspect
import logging
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch_tensorrt
from torch_tensorrt.dynamo.conversion import dynamo_tensorrt_converter

from mafs_ros.base.errors import one_line
from mafs_ros.engine.graph import DeployedGraph, example_images
from mafs_ros.engine.tensorrt.library import tensorrt

KEPT_ERRORS = 3


def build_plan(
    graph: DeployedGraph, shape: tuple[int, ...], precision: str, *, workspace_mb: int = 0
) -> bytes:
    """Compile a graph that is on the GPU for one shape (batch, height, width); takes minutes.

    workspace_mb: memory in MiB that the engine may work in, 0 for TensorRT's choice. Returns
    TensorRT's serialised engine: no part of it is Python's, so loading it unpickles nothing.
    Raises RuntimeError, with the lines that torch-tensorrt has for the cause, where that fails.
    """
    images = example_images(shape, next(graph.parameters()).device)
    with torch.no_grad(), tempfile.TemporaryDirectory(prefix="mafs_tensorrt") as scratch:
        program = torch.export.export(graph, images)
        convert = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine
        settings = build_settings(convert, precision, Path(scratch), workspace_mb)
        with errors_logged() as said:
            try:
                return bytes(convert(program, arg_inputs=images, **settings))
            except Exception as error:  # also UnboundLocalError: 2.8 goes on after an error
                cause = "; ".join(said) or one_line(error)
                raise RuntimeError(
                    f"torch-tensorrt {torch_tensorrt.__version__} cannot build the engine: {cause}"
                ) from error


@contextlib.contextmanager
def errors_logged() -> Iterator[deque[str]]:
    """The newest different errors that any library logs meanwhile: some are told nowhere else."""
    said: deque[str] = deque(maxlen=KEPT_ERRORS)

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if (text := " ".join(record.getMessage().split())) not in said:
                said.append(text)

    handler = Keep(logging.ERROR)
    logging.getLogger().addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger().removeHandler(handler)


def build_settings(
    convert: Callable[..., Any], precision: str, scratch: Path, workspace_mb: int = 0
) -> dict[str, Any]:
    """Return the settings that this release's `convert` has, told by its signature.

    Types are the graph's, in every release: from 2.13 on that is all there is; 2.8 (JetPack 6)
    has `use_explicit_typing` for it, and takes `enabled_precisions` as leave to ignore them.
    `immutable_weights` gives the faster engine; torch-tensorrt's own engine cache, which needs it
    off, is not used. fp32 means fp32 and not TF32. The timing cache would be shared through the
    temporary folder of the machine. scratch: an empty folder.
    """
    wanted = {
        "use_explicit_typing": True,
        "immutable_weights": True,
        "require_full_compilation": True,
        "disable_tf32": precision == "fp32",
        "timing_cache_path": str(scratch / "timing.cache"),
        "workspace_size": workspace_mb << 20,  # 0: its own choice
    }
    known = inspect.signature(convert).parameters
    return {name: value for name, value in wanted.items() if name in known}


def _makes_bytes(node: torch.fx.Node, settings: Any = None) -> bool:
    return node.kwargs.get("dtype") == torch.uint8


@dynamo_tensorrt_converter(
    torch.ops.aten._to_copy.default,
    capability_validator=_makes_bytes,
    supports_dynamic_shapes=True,
)
def _convert_to_bytes(ctx: Any, target: Any, args: Any, kwargs: Any, name: str) -> Any:
    """Cast floats to bytes, which torch-tensorrt's own converter refuses; for outputs alone."""
    layer = ctx.net.add_cast(args[0], tensorrt.DataType.UINT8)
    layer.name = name
    return layer.get_output(0)
