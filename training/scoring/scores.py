"""Scores of one method on one data set, pair by pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mafs_ros.evaluation.metrics import (
    ConfusionMatrix,
    FusionScores,
    as_luminance,
    largest_false_object,
    luminance,
    saturated,
)
from mafs_ros.perception.classes import ClassTable
from training.data.samples import Sample

Image = NDArray[np.uint8]


class Prediction(NamedTuple):
    """What is scored of a pair, each or None.

    fused: uint8, rgb [H,W,3], of which the luminance is scored, or grey [H,W]. labels: uint8
    [H,W].
    """

    fused: Image | None
    labels: Image | None


@dataclass
class Scores:
    """Scores of one method on one data set.

    saturation: percent of saturated pixels of thermal, visible and fused image, of each pair.
    false_objects: name of each pair with labels -> size of its largest false object in percent.
    """

    fusion: FusionScores = field(default_factory=FusionScores)
    segmentation: ConfusionMatrix | None = None
    saturation: list[tuple[float, float, float]] = field(default_factory=list)
    false_objects: dict[str, float] = field(default_factory=dict)

    def accumulate(self, sample: Sample, prediction: Prediction) -> None:
        """Add a pair. Raises ValueError where sizes or ids do not fit."""
        if prediction.fused is not None:
            visible, fused = luminance(sample.rgb), as_luminance(prediction.fused)
            self.fusion.accumulate(sample.thermal, visible, fused)
            self.saturation.append(
                (saturated(sample.thermal), saturated(visible), saturated(fused))
            )
        if prediction.labels is not None and sample.labels is not None:
            if self.segmentation is None:
                raise ValueError("these scores were made without a class table")
            self.segmentation.accumulate(sample.labels, prediction.labels)
            largest = largest_false_object(sample.labels, prediction.labels)
            self.false_objects[sample.name] = largest


def empty_scores(table: ClassTable | None) -> Scores:
    """Scores before the first pair; without IoU where there is no class table."""
    return Scores(segmentation=None if table is None else ConfusionMatrix(table.names))
