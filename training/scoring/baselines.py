"""Fused images that need no network, for the rows that a network's row is read beside."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from mafs_ros.evaluation.metrics import luminance
from training.data.datasets import Dataset
from training.scoring.scores import Image, Prediction, Scores, empty_scores


def fuse_plainly(thermal: Image, visible: Image) -> dict[str, Image]:
    """What needs no network: copies of the sources, their mean (rounded half to even), maximum.

    thermal, visible: grey uint8 [H,W]. Returns name -> grey uint8 [H,W].
    """
    mean = np.round((thermal.astype(np.float64) + visible) / 2).astype(np.uint8)
    return {
        "copy of visible": visible,
        "copy of thermal": thermal,
        "plain mean": mean,
        "plain maximum": np.maximum(thermal, visible),
    }


def score_baselines(dataset: Dataset) -> dict[str, Scores]:
    """Fusion scores of `fuse_plainly` over a data set, by name."""
    rows: dict[str, Scores] = {}
    for sample in tqdm(dataset, unit="pair", disable=None):
        for name, fused in fuse_plainly(sample.thermal, luminance(sample.rgb)).items():
            scores = rows.setdefault(name, empty_scores(None))
            scores.accumulate(sample, Prediction(fused, None))
    return rows
