"""Edges by their direction alone, which an RGB and a thermal image of one scene share."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Edges = NDArray[np.float32]  # [H, W, 2]
STRONGEST = 2.0  # times its neighbourhood: one bright lamp must not outweigh a street
_NEIGHBOURHOOD = 8  # of the width of the image
_FLOOR = 0.25  # of the mean energy of the image: noise in empty places stays weak


def orientation(grey: NDArray[Any], mask: NDArray[Any] | None = None, sigma: float = 1.0) -> Edges:
    """Direction of the gradient modulo 180 degrees, as the vector of the doubled angle.

    grey: [H, W] of any number type; mask: [H, W], 0 where the image holds nothing; sigma: of the
    Gauss filter before the gradient, in pixels. Returns float32 [H, W, 2], vectors of length 0 to
    STRONGEST: strength relative to the neighbourhood. The doubled angle makes no difference
    between an edge that is brighter on one side and one that is brighter on the other, which
    temperature and colour do not share.
    """
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), sigma)
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    squared = cv2.magnitude(dx, dy) ** 2
    if mask is not None:
        squared *= mask
    side = max(grey.shape[1] // _NEIGHBOURHOOD, 5) | 1
    around = cv2.blur(squared, (side, side)) + _FLOOR * float(squared.mean()) + 1e-6
    strength = np.minimum(np.sqrt(squared / around), STRONGEST)
    per_squared = strength / (squared + 1e-9)
    return np.dstack([(dx * dx - dy * dy) * per_squared, 2 * dx * dy * per_squared])
