"""The model files and engines that are measured."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import time
from pathlib import Path
from typing import Any


def chosen_engines(given: list[str] | None) -> list[str]:
    """Names 'BACKEND:PRECISION'; raises ValueError for unknown ones."""
    from mafs_ros.engine import PRECISIONS, BackendError, available_backends

    names = []
    there = [
        name
        for name, version in available_backends().items()
        if not version.startswith("not available")
    ]
    for engine in given or there:
        backend, _, precision = engine.partition(":")
        if backend not in PRECISIONS:
            raise BackendError(
                f"unknown backend {backend!r}: choose one of {', '.join(PRECISIONS)}"
            )
        if precision and precision not in PRECISIONS[backend]:
            raise BackendError(
                f"backend {backend!r} has no precision {precision!r}: choose one "
                f"of {', '.join(PRECISIONS[backend])}"
            )
        precisions = [precision] if precision else PRECISIONS[backend]
        names += [f"{backend}:{name}" for name in precisions]
    return names


def models(args: argparse.Namespace, scratch: Path) -> dict[str, Path]:
    """Preset -> model file: the one given, the one shipped, or one with random weights.

    A copy, with what lies beside it: int8 models that are missing are made in `scratch`.
    """
    from mafs_ros.base.resources import default_weights
    from mafs_ros.model.weights import read_info

    shipped = default_weights()
    if args.weights:
        found = {read_info(args.weights).preset: args.weights}
    else:
        found = {
            preset: shipped if preset == read_info(shipped).preset else None
            for preset, _ in args.presets
        }
    copies = {}
    for preset, weights in found.items():
        if weights is None:
            copies[preset] = random_weights(preset, scratch)
            continue
        copies[preset] = scratch / weights.name
        for file in weights.parent.glob(f"{weights.stem}.*"):
            shutil.copyfile(file, scratch / file.name)
    return copies


def random_weights(preset: str, folder: Path) -> Path:
    """Write a model file of a preset with random weights and return its path."""
    import torch

    from mafs_ros.model import build_model
    from mafs_ros.model.weights import ModelInfo, save_weights
    from mafs_ros.perception.classes import load_class_table

    table = load_class_table("mfnet")
    torch.manual_seed(0)
    network = build_model(preset, table.num_classes, auxiliary=False)
    path = folder / f"{preset}.safetensors"
    save_weights(path, network, ModelInfo(preset, {}, table.to_dict()))
    return path


def machine() -> dict[str, Any]:
    """What the figures were measured on, and with."""
    from mafs_ros import __version__
    from mafs_ros.base.machine import cpu_name, libraries

    return {
        "cpu": cpu_name(),
        "threads": os.cpu_count(),
        "system": platform.platform(),
        "load_at_start": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
        "versions": {"mafs_ros": __version__, "python": platform.python_version(), **libraries()},
    }
