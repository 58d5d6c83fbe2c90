"""Which backend loads a model file."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from functools import partial
from pathlib import Path

from mafs_ros.base.backend_names import BACKENDS, CACHE_MB, PRECISIONS
from mafs_ros.engine.cache_folder import usable
from mafs_ros.engine.interface import Engine


class BackendError(ValueError):
    """A backend or precision that is unknown or not there; the message lists what there is."""


def available_backends() -> dict[str, str]:
    """Return the version of every backend, or 'not available: ...' with what to do."""
    return {name: _version(name) for name in BACKENDS}


def create_engine(
    backend: str,
    weights: Path,
    *,
    precision: str = "auto",
    threads: int = 0,
    cache_dir: Path | None = None,
    workspace_mb: int = 0,
    cache_mb: int = CACHE_MB,
) -> Engine:
    """Load a model file into an engine.

    backend: one of `BACKENDS`, or 'auto': the GPU through torch where there is one that computes,
        else openvino where it is installed, else torch. Not tensorrt, which may build for minutes
        and has not run on a GPU yet: it has to be asked for. precision: one of
        `PRECISIONS[backend]`, or 'auto' for the engine's choice. threads: CPU threads, 0 for the
        backend's choice.
    workspace_mb: memory in MiB that an engine of tensorrt may work in, 0 for its choice.
    cache_dir: folder for compiled engines (`mafs_ros.engine.cache`), None to keep nothing; one
        that cannot be used is a warning on the log. cache_mb: what it may hold, 0 for anything.

    Raises BackendError, and WeightsError for the model file.
    """
    name = _choose() if backend == "auto" else backend
    found = available_backends()
    if name not in found:
        raise BackendError(f"unknown backend {name!r}: choose one of auto, {', '.join(BACKENDS)}")
    if precision not in ("auto", *PRECISIONS[name]):
        raise BackendError(
            f"backend {name!r} has no precision {precision!r}: choose one of auto, "
            + ", ".join(PRECISIONS[name])
        )
    if found[name].startswith("not available"):
        raise BackendError(f"backend {name!r} is {found[name]}")
    cache_dir = usable(cache_dir)
    if name == "openvino":
        from mafs_ros.engine.openvino.engine import OpenVinoEngine

        return OpenVinoEngine(Path(weights), threads, cache_dir, precision, cache_mb)
    if name == "tensorrt":
        from mafs_ros.engine.tensorrt.engine import TensorRtEngine

        engine = TensorRtEngine(Path(weights), cache_dir, precision, workspace_mb, cache_mb)
        engine.stands_in = partial(
            create_engine,
            "auto",
            weights,
            threads=threads,
            cache_dir=cache_dir,
            cache_mb=cache_mb,
        )
        return engine
    from mafs_ros.engine.torch import TorchEngine

    return TorchEngine(Path(weights), threads, precision)


def _choose() -> str:
    if importlib.util.find_spec("torch") is not None:
        from mafs_ros.engine.cuda.device import gpu_computes

        if gpu_computes():
            return "torch"
    for name in ("openvino", "torch"):
        if not _version(name).startswith("not available"):
            return name
    raise BackendError("no backend is installed: `pip install openvino` or torch")


def _version(name: str) -> str:
    packages = {"tensorrt": ("torch_tensorrt", "tensorrt", "tensorrt_rtx")}.get(name, (name,))
    there = [package for package in packages if importlib.util.find_spec(package) is not None]
    if not there:
        return f"not available: the Python package {name!r} is not installed"
    package = there[0]
    if name == "tensorrt" and not _cuda():
        return "not available: PyTorch finds no CUDA device"
    # A package may come in a distribution of another name, torch-tensorrt-rtx, or in none.
    distribution = importlib.metadata.packages_distributions().get(package)
    if distribution is None:
        return str(importlib.import_module(package).__version__)
    return importlib.metadata.version(distribution[0])


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()
