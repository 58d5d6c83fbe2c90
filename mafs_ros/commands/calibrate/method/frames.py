"""The images that a calibration measures on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.perception.registration.numbers import Size

Grey = NDArray[np.uint8]
LONGEST_SIDE = 640  # finer detail than this is parallax and noise


@dataclass(frozen=True)
class Frame:
    """A pair as it is measured: both images grey, at most LONGEST_SIDE long.

    name: file name, or stamp in ns. rgb, thermal: uint8 [h, w]. rgb_size, thermal_size: (height,
    width) of the images as they came.
    """

    name: str
    rgb: Grey
    thermal: Grey
    rgb_size: Size
    thermal_size: Size


def frame_of(name: str, rgb: NDArray[Any], thermal: Grey) -> Frame:
    """A frame from an RGB image, uint8 [H, W, 3] or [H, W], and a scaled thermal one, [h, w]."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) if rgb.ndim == 3 else rgb
    return Frame(
        name,
        reduced(grey),
        reduced(thermal),
        (grey.shape[0], grey.shape[1]),
        (thermal.shape[0], thermal.shape[1]),
    )


def reduced(image: NDArray[Any], longest: int = LONGEST_SIDE) -> Grey:
    """The image, its longer side at most `longest` pixels."""
    scale = longest / max(image.shape)
    if scale >= 1:
        return np.asarray(image, np.uint8)
    size = max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
