"""Runs of a few seconds of street_lite, for the tests of the trainer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from layouts import make_layout

from mafs_ros.images.files.read import read_labels
from training import stage1
from training.loop.checkpoint import CHECKPOINT
from training.recipes.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[1]
DEADLINE_S = 90


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


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, output[-3000:]


def load(out: Path) -> dict:
    return torch.load(out / CHECKPOINT, weights_only=True)


def differences(one: object, other: object, where: str = "") -> dict[str, float]:
    """Largest difference of every tensor of two nested states; 0 for other values, or fail."""
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor) and one.shape == other.shape, where
        return {where: (one.double() - other.double()).abs().max().item() if one.numel() else 0}
    if isinstance(one, dict | list | tuple):
        assert type(one) is type(other) and len(one) == len(other), where
        pairs = one.items() if isinstance(one, dict) else enumerate(one)
        return {
            path: value
            for key, entry in pairs
            for path, value in differences(entry, other[key], f"{where}/{key}").items()
        }
    assert one == other, where
    return {}
