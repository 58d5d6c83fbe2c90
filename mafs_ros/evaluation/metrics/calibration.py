"""How far confidence is from the share of the pixels that are right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15


class CalibrationError:
    """Expected calibration error (ECE) over a whole set of label maps.

    The pixels are sorted into BINS bins of equal width by confidence; ECE is the mean, over all
    pixels, of |share of right labels - mean confidence| of their bin (Guo et al., On Calibration
    of Modern Neural Networks, ICML 2017, Eq. 3). Pixels labelled ignore_id are left out.

    `pixels` and `right` are int64 [256], counts by the confidence that is published, 0..255.
    """

    def __init__(self, ignore_id: int = 255) -> None:
        self.ignore_id = ignore_id
        self.pixels = np.zeros(256, np.int64)
        self.right = np.zeros(256, np.int64)

    def accumulate(
        self,
        labels: NDArray[np.integer],
        predicted: NDArray[np.integer],
        confidence: NDArray[np.uint8],
    ) -> None:
        """Add one label map, its prediction and its confidence; arrays of one shape."""
        valid = labels != self.ignore_id
        sure = confidence[valid]
        self.pixels += np.bincount(sure, minlength=256)
        self.right += np.bincount(sure[labels[valid] == predicted[valid]], minlength=256)

    def ece(self) -> float:
        """In 0..1; NaN without pixels."""
        if not self.pixels.any():
            return float("nan")
        confidence = np.arange(256) / 255
        bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
        gap = np.bincount(bins, self.right - self.pixels * confidence)
        return float(np.abs(gap).sum() / self.pixels.sum())

    @property
    def accuracy(self) -> float:
        """Share of right labels, 0..1; NaN without pixels."""
        return float(self.right.sum() / self.pixels.sum()) if self.pixels.any() else float("nan")

    @property
    def mean_confidence(self) -> float:
        """0..1; NaN without pixels."""
        if not self.pixels.any():
            return float("nan")
        return float(self.pixels @ np.arange(256) / 255 / self.pixels.sum())
