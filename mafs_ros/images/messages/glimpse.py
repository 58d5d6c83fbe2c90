"""One plane of a message, to see whether it shows anything: nothing is converted or copied."""

from typing import Any

import cv2
import numpy as np

from mafs_ros.images.messages.compressed import decoded_plane
from mafs_ros.images.messages.decode import raw_pixels
from mafs_ros.images.messages.encodings import RGB_ENCODINGS, THERMAL_ENCODINGS
from mafs_ros.images.messages.pixels import ImageError

LUMA_SECOND = (cv2.COLOR_YUV2RGB_UYVY,)


def is_compressed(msg: Any) -> bool:
    """Whether a message holds a file, which has to be decoded to be seen."""
    return hasattr(msg, "format")


def glimpse(msg: Any) -> np.ndarray | None:
    """Green, luminance, or the only channel of an image [H, W]; do not write to it.

    Of a Bayer pattern its four colours as they lie. None for encodings that only cv_bridge knows.
    Raises ImageError for a message that does not hold what it says.
    """
    if is_compressed(msg):
        return decoded_plane(msg)
    if msg.encoding in THERMAL_ENCODINGS:
        return raw_pixels(msg, THERMAL_ENCODINGS[msg.encoding], 1)
    if msg.encoding == "8UC3":
        return raw_pixels(msg, np.uint8, 3)[..., 1]
    if msg.encoding not in RGB_ENCODINGS:
        return None
    channels, conversion = RGB_ENCODINGS[msg.encoding]
    pixels = raw_pixels(msg, np.uint8, channels)
    if channels == 1:
        return pixels
    green_or_luma = 0 if channels == 2 and conversion not in LUMA_SECOND else 1
    return pixels[..., green_or_luma]


__all__ = ["ImageError", "glimpse", "is_compressed"]
