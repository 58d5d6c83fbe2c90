"""Builds an engine by TensorRT's own parser and builder; no torch-tensorrt needs to be there."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from mafs_ros.base.write import write_bytes
from mafs_ros.engine.tensorrt.library import tensorrt
from mafs_ros.engine.tensorrt.messages import LOGGER


def build_plan_from_onnx(
    model: bytes,
    precision: str,
    *,
    workspace_mb: int = 0,
    optimisation_level: int | None = None,
    timing_cache: Path | None = None,
) -> bytes:
    """Build an engine for the GPU of this machine from an ONNX file's contents; takes minutes.

    precision: of the graph, whose types are kept; in 'fp32' no TF32 either. workspace_mb: memory
    in MiB that it may work in, 0 for TensorRT's choice. optimisation_level: 0 to 5, None for its
    choice (3). timing_cache: file in which it keeps what it timed, for the next build.

    Returns TensorRT's serialised engine, as `torch_build.build_plan` does. Raises RuntimeError
    where that fails.
    """
    builder = tensorrt.Builder(LOGGER)
    network = parsed(builder, model)
    config = settings(builder, precision, workspace_mb, optimisation_level)
    if timing_cache is not None:
        read_timing_cache(config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError(
            f"TensorRT {tensorrt.__version__} cannot build the engine: {LOGGER.last_errors()}"
        )
    if timing_cache is not None:
        write_timing_cache(config, timing_cache)
    return bytes(plan)


def parsed(builder: Any, model: bytes) -> Any:
    """Return TensorRT's network of an ONNX file; strongly typed. Raises RuntimeError."""
    flags = tensorrt.NetworkDefinitionCreationFlag
    network = builder.create_network(1 << int(flags.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, LOGGER)
    if not parser.parse(model):
        errors = (parser.get_error(index).desc() for index in range(parser.num_errors))
        raise RuntimeError(
            f"TensorRT {tensorrt.__version__} cannot read the ONNX graph: {'; '.join(errors)}"
        )
    return network


def settings(
    builder: Any, precision: str, workspace_mb: int = 0, optimisation_level: int | None = None
) -> Any:
    """Return TensorRT's settings of a build; see `build_plan_from_onnx`."""
    config = builder.create_builder_config()
    if precision == "fp32":
        config.clear_flag(tensorrt.BuilderFlag.TF32)
    if workspace_mb:
        config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, workspace_mb << 20)
    if optimisation_level is not None:
        config.builder_optimization_level = optimisation_level
    return config


def read_timing_cache(config: Any, file: Path) -> None:
    """Give a build what earlier ones timed; nothing where that is of another GPU or release."""
    try:
        kept = file.read_bytes()
    except OSError:
        kept = b""
    cache = config.create_timing_cache(kept)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)


def write_timing_cache(config: Any, file: Path) -> None:
    """Keep what a build timed, where its file can be written; a build is worth more."""
    cache = config.get_timing_cache()
    if cache is not None:
        with contextlib.suppress(OSError):
            write_bytes(file, bytes(cache.serialize()))
