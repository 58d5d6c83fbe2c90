"""Scores of many bags as one: sums are added, never means of means."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from mafs_ros.evaluation.metrics import FUSION_METRICS, ConfusionMatrix

# What becomes of an image that finds no partner, as in report.json.
DROPS = ("unpaired_slop", "unpaired_overflow", "duplicate", "late", "cleared", "pending")


class Group:
    """Adds up records of pairs of cameras: of all bags, of those at night, of one date, ..."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._drops: Counter[str] = Counter()
        self._seconds = 0.0
        self._fusion = {metric: np.zeros(2) for metric in FUSION_METRICS}
        self._matrix: ConfusionMatrix | None = None

    def add(self, pair: dict[str, Any]) -> None:
        """Add the record of a pair of cameras of a bag."""
        self._counts["drives"] += 1
        self._counts["pairs"] += pair["pairing"]["pairs"]
        self._counts.update(pair["frames"])
        self._seconds += pair["duration_s"] or 0.0
        for camera in ("rgb", "thermal"):
            images = pair["pairing"][camera] or {}
            self._counts[f"{camera}_images"] += images.get("received", 0)
            for cause in DROPS:
                self._drops[f"{camera} {cause}"] += images.get(cause, 0)
        if pair["candidates"]:
            first = pair["candidates"][0]
            for metric, sums in first["fusion"].items():
                self._fusion[metric] += sums
            if first["confusion"] is not None:
                classes = pair["engines"][0]["classes"]
                self._matrix = self._matrix or ConfusionMatrix(classes)
                self._matrix.matrix += np.array(first["confusion"], np.int64)

    def numbers(self) -> dict[str, Any]:
        """What fleet.json says of the group."""
        names = ("drives", "pairs", "evaluated", "bad_image", "failed", "labelled")
        return {
            **{name: self._counts[name] for name in names},
            "hours": self._seconds / 3600,
            **{name: self._counts[name] for name in ("rgb_images", "thermal_images")},
            "drops": {name: count for name, count in sorted(self._drops.items()) if count},
            "fusion": {m: mean(sums) for m, sums in self._fusion.items()},
            "segmentation": None if self._matrix is None else segmentation(self._matrix),
        }


def mean(sums: Any) -> float | None:
    """Of a sum and the number of its terms; None for no term."""
    return float(sums[0] / sums[1]) if sums[1] else None


def segmentation(matrix: ConfusionMatrix) -> dict[str, Any]:
    """Scores of a confusion matrix in percent, None for what does not exist."""
    iou = {
        name: None if np.isnan(value) else 100 * float(value)
        for name, value in zip(matrix.class_names, matrix.iou(), strict=True)
    }
    with_background, without = matrix.miou(), matrix.miou(background=False)
    return {
        "iou_percent": iou,
        "miou_with_background": None if np.isnan(with_background) else 100 * with_background,
        "miou_without_background": None if np.isnan(without) else 100 * without,
    }
