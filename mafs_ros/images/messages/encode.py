"""Arrays to serialised sensor_msgs/Image messages."""

from typing import Any

import numpy as np

from mafs_ros.images.messages.cdr import write_image
from mafs_ros.images.messages.encodings import THERMAL_ENCODINGS
from mafs_ros.images.messages.pixels import ImageError

# What image_message writes: encoding -> type, channels.
OUTPUT_ENCODINGS: dict[str, tuple[type, int]] = {
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    **{name: (dtype, 1) for name, dtype in THERMAL_ENCODINGS.items()},
}


def serialised_image(array: np.ndarray, encoding: str, header: Any) -> bytes:
    """A serialised sensor_msgs/Image with a copy of `array` and of `header`, to be published.

    array: [H, W, 3] for rgb8 and bgr8, [H, W] for mono8, 8UC1, mono16, 16UC1 and 32FC1, of the
    encoding's type. Raises ImageError where array and encoding do not fit.
    """
    if encoding not in OUTPUT_ENCODINGS:
        raise ImageError(f"got encoding {encoding}, expected one of {', '.join(OUTPUT_ENCODINGS)}")
    dtype, channels = OUTPUT_ENCODINGS[encoding]
    shape = "[H, W, 3]" if channels == 3 else "[H, W]"
    fits = array.shape[2:] == (3,) if channels == 3 else array.ndim == 2
    if not fits or array.dtype.newbyteorder("=") != dtype or array.size == 0:
        raise ImageError(
            f"got {array.dtype} {list(array.shape)} for encoding {encoding}, "
            f"expected {np.dtype(dtype)} {shape}"
        )
    pixels: np.ndarray = np.ascontiguousarray(array, dtype)
    height, width = pixels.shape[:2]
    return write_image(
        (header.stamp.sec, header.stamp.nanosec),
        header.frame_id,
        height,
        width,
        encoding,
        pixels.strides[0],
        pixels.data.cast("B"),
    )
