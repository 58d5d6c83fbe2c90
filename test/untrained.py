"""Model files of networks that have learnt nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mafs_ros.model import build_model
from mafs_ros.model.weights import ModelInfo, save_weights
from mafs_ros.perception.classes import load_class_table

# The settings of a network of few operations, which is converted and quantized in seconds.
FEW = {"dem_levels": (), "cam": False, "afm": False, "phf": False, "mst": False}


def save_untrained(path: Path, preset: str = "mafs-lite", **config: Any) -> Path:
    """Write a model file of random weights, always the same, with the classes of `street`."""
    torch.manual_seed(0)
    table = load_class_table("street")
    network = build_model(preset, table.num_classes, auxiliary=False, **config)
    save_weights(path, network, ModelInfo(preset, config, table.to_dict()))
    return path
