"""Tiles of labels for the grid of pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.perception.classes import ClassTable
from training.data.samples import IGNORE, Sample
from training.scoring.scores import Prediction


def picture_row(sample: Sample, prediction: Prediction, table: ClassTable | None) -> list[Any]:
    """rgb, thermal and what the network makes of them: fused, labels (grey: none), prediction."""
    row: list[Any] = [sample.rgb, sample.thermal]
    row += [] if prediction.fused is None else [prediction.fused]
    if prediction.labels is not None and table is not None:
        unlabelled = np.full_like(prediction.labels, IGNORE)
        labels = unlabelled if sample.labels is None else sample.labels
        row += label_tiles(labels, prediction.labels, table)
    return row


def label_tiles(
    labels: NDArray[np.uint8] | None, predicted: NDArray[np.uint8], table: ClassTable
) -> list[NDArray[np.uint8]]:
    """Labels and prediction in class colours; ignored pixels grey in the first."""
    palette = table.palette.copy()
    palette[IGNORE] = 90
    return [palette[image] for image in (labels, predicted) if image is not None]
