"""Means over the samples of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from mafs_ros.evaluation.metrics import FUSION_METRICS, ConfusionMatrix


def segmentation_scores(fabric: Fabric, matrix: ConfusionMatrix) -> dict[str, float]:
    """IoU per class and both means in 0..1 of the matrices of all processes together."""
    total: Any = fabric.all_reduce(torch.from_numpy(matrix.matrix), reduce_op="sum")
    matrix.matrix = np.asarray(total.cpu().numpy())
    return iou_scores(matrix)


def iou_scores(matrix: ConfusionMatrix) -> dict[str, float]:
    """Both means and the IoU per class by name, in 0..1; NaN where there is none."""
    values = [matrix.miou(), matrix.miou(background=False), *map(float, matrix.iou())]
    return dict(zip(segmentation_names(matrix.class_names), values, strict=True))


def segmentation_names(classes: Sequence[str]) -> list[str]:
    """Names of what `iou_scores` gives for these classes."""
    return ["mIoU", "mIoU_without_background", *(f"IoU_{name}" for name in classes)]


def mean_fusion_scores(fabric: Fabric, per_image: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean of each fusion score over the images of all processes that have it, else NaN."""
    sums = np.zeros((2, len(FUSION_METRICS)))
    for image in per_image:
        for column, name in enumerate(FUSION_METRICS):
            value = image[name]
            if value is not None and value == value:
                sums[:, column] += value, 1
    total: Any = fabric.all_reduce(torch.from_numpy(sums), reduce_op="sum")
    return dict(zip(FUSION_METRICS, (total[0] / total[1]).tolist(), strict=True))
