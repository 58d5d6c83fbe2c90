"""Engines: the deployed graph, compiled by a backend."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from mafs_ros.engine.interface import Engine

BACKENDS = ("openvino", "torch")  # in the order that `auto` prefers

__all__ = ["BACKENDS", "BackendError", "Engine", "available_backends", "create_engine"]


class BackendError(ValueError):
    """A backend that is unknown or not installed; the message lists what there is."""


def available_backends() -> dict[str, str]:
    """Return the version of every backend, or 'not available: ...' with what to do."""
    return {name: _version(name) for name in BACKENDS}


def create_engine(
    backend: str, weights: Path, *, threads: int = 0, cache_dir: Path | None = None
) -> Engine:
    """Load a model file into an engine.

    backend: 'openvino', 'torch', or 'auto': the GPU through torch where there is one, else the
        first available of `BACKENDS`. threads: CPU threads, 0 for the backend's choice.
    cache_dir: folder for converted graphs, None to keep nothing.

    Raises BackendError, and WeightsError for the model file.
    """
    name = _choose() if backend == "auto" else backend
    found = available_backends()
    if name not in found:
        raise BackendError(f"unknown backend {name!r}: choose one of auto, {', '.join(BACKENDS)}")
    if found[name].startswith("not available"):
        raise BackendError(f"backend {name!r} is {found[name]}")
    if name == "openvino":
        from mafs_ros.engine.openvino import OpenVinoEngine

        return OpenVinoEngine(Path(weights), threads, cache_dir)
    from mafs_ros.engine.torch import TorchEngine

    return TorchEngine(Path(weights), threads)


def _choose() -> str:
    if importlib.util.find_spec("torch") is not None:
        import torch

        if torch.cuda.is_available():
            return "torch"
    available = [name for name in BACKENDS if not _version(name).startswith("not available")]
    if not available:
        raise BackendError("no backend is installed: `pip install openvino` or torch")
    return available[0]


def _version(name: str) -> str:
    if importlib.util.find_spec(name) is None:
        return f"not available: the Python package {name!r} is not installed"
    return importlib.metadata.version(name)
