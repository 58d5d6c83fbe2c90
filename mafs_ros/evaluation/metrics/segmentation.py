"""Scores of label maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class ConfusionMatrix:
    """Pixel counts of labelled against predicted classes over a whole set of label maps.

    class_names: name of id 0 (background), 1, 2, ...; ignore_id: label that is left out.
    `matrix` is int64 [C,C], rows labelled, columns predicted; the matrices of several processes
    may be added.
    """

    def __init__(self, class_names: Sequence[str], ignore_id: int = 255) -> None:
        if len(class_names) < 2:
            raise ValueError(f"a confusion matrix needs 2 classes, got {list(class_names)}")
        self.class_names = tuple(class_names)
        self.ignore_id = ignore_id
        self.matrix = np.zeros((len(class_names), len(class_names)), np.int64)

    def accumulate(self, labels: NDArray[np.integer], predicted: NDArray[np.integer]) -> None:
        """Add one label map and its prediction.

        labels, predicted: integer arrays of one shape with ids below C; labels may hold ignore_id
        too. Raises ValueError for different shapes or other ids; nothing is added then.
        """
        if labels.shape != predicted.shape:
            raise ValueError(
                f"labels {list(labels.shape)} and prediction {list(predicted.shape)} "
                "differ in size"
            )
        valid = labels != self.ignore_id
        rows, columns = labels[valid], predicted[valid]
        self._check_ids("labels", rows, f" or the ignored id {self.ignore_id}")
        self._check_ids("prediction", columns, "")
        count = len(self.class_names)
        cells = np.bincount(rows.astype(np.intp) * count + columns, minlength=count * count)
        self.matrix += cells.reshape(count, count)

    def iou(self) -> NDArray[np.float64]:
        """Per-class IoU float64 [C] in 0..1; NaN for a class neither labelled nor predicted."""
        true_positive = np.diagonal(self.matrix).astype(np.float64)
        union = self.matrix.sum(axis=0) + self.matrix.sum(axis=1) - true_positive
        return np.divide(true_positive, union, out=np.full(len(union), np.nan), where=union > 0)

    def miou(self, background: bool = True) -> float:
        """Mean in 0..1 of the IoUs that are not NaN, with or without id 0; NaN if all are."""
        iou = self.iou() if background else self.iou()[1:]
        iou = iou[~np.isnan(iou)]
        return float(iou.mean()) if iou.size else float("nan")

    def absent(self) -> tuple[str, ...]:
        """Names of the classes that no label map contains; predicted anyway, they score 0."""
        labelled = self.matrix.sum(axis=1)
        return tuple(
            name for name, pixels in zip(self.class_names, labelled, strict=True) if not pixels
        )

    def table(self) -> str:
        """Per-class IoU, both means in percent and the absent classes, one line each."""
        width = max(map(len, self.class_names))
        rows = [
            f"{name:<{width}}  {'-' if np.isnan(value) else f'{100 * value:.2f}':>6}"
            for name, value in zip(self.class_names, self.iou(), strict=True)
        ]
        with_background, without = 100 * self.miou(), 100 * self.miou(background=False)
        rows.append(f"mIoU {with_background:.2f} with, {without:.2f} without background")
        if self.absent():
            rows.append(f"absent from the labels: {', '.join(self.absent())}")
        return "\n".join(rows)

    def _check_ids(self, what: str, ids: NDArray[np.integer], other: str) -> None:
        if ids.size and (ids.min() < 0 or ids.max() >= len(self.class_names)):
            wrong = np.unique(ids[(ids < 0) | (ids >= len(self.class_names))])
            raise ValueError(
                f"{what} contain the ids {wrong[:8].tolist()}; expected "
                f"0..{len(self.class_names) - 1} ({', '.join(self.class_names)}){other}"
            )
