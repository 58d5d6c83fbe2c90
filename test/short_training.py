"""Runs of a few seconds of street_lite, for the tests of the trainer."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from layouts import make_layout

from mafs_ros.images.files.read import read_labels
from training import stage1
from training.recipes.recipe import load_recipe


def make_street(folder: Path) -> Path:
    """A tiny street_rgbt whose labels leave no pixel out."""
    root = make_layout("street_rgbt", folder, size=(64, 96))
    for path in root.glob("*/label/*.png"):
        labels = read_labels(path)
        assert cv2.imwrite(str(path), np.where(labels == 255, 0, labels % 4).astype(np.uint8))
    return root


def tiny(stage: str, *extra: str) -> list[str]:
    """Overrides that make street_lite a run of a few seconds."""
    plan = {"steps": 8, "batch": 4, "checkpoint_every": 1, "evaluate_every": 8}
    return [
        "train=[{kind: street_rgbt}]",
        "augmentation.crop=32",
        "imagenet=null",
        "workers=0",
        "cache=false",
        *(f"{stage}.optimisation.{name}={value}" for name, value in plan.items()),
        *extra,
    ]


def train(street: Path, out: Path, *overrides: str, resume: bool = False) -> dict:
    recipe = load_recipe("street_lite", tiny("stage1", "stage1.optimisation.steps=1", *overrides))
    return stage1.train(recipe, {"street_rgbt": street}, out, resume=resume)
