"""OpenCV's decoder."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# What is wrong with an image is our one line; OpenCV's own would stand beside it on stderr.
if hasattr(cv2, "setLogLevel"):
    cv2.setLogLevel(0)


def decode(data: bytes, flags: int) -> NDArray[Any] | None:
    """The pixels, colours as BGR; None where OpenCV cannot decode them.

    Pixels stay where the sensor has them, as calibrated: no turning by an EXIF entry.
    """
    if flags != cv2.IMREAD_UNCHANGED:  # which turns nothing
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
