"""Arrays to serialised sensor_msgs/Image and CompressedImage messages."""

from typing import Any

import cv2
import numpy as np

from mafs_ros.images.messages.cdr import write_compressed_image, write_image
from mafs_ros.images.messages.encodings import THERMAL_ENCODINGS
from mafs_ros.images.messages.pixels import ImageError

# What image_message writes: encoding -> type, channels.
OUTPUT_ENCODINGS: dict[str, tuple[type, int]] = {
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    **{name: (dtype, 1) for name, dtype in THERMAL_ENCODINGS.items()},
}

PNG_LEVEL = 1  # label maps come to a hundredth all the same, and 3, OpenCV's own, takes longer


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


def serialised_compressed(array: np.ndarray, encoding: str, header: Any, quality: int) -> bytes:
    """A serialised sensor_msgs/CompressedImage as compressed_image_transport publishes it.

    array: uint8 [H, W, 3] for rgb8, a JPEG of that quality (1..100); uint8 [H, W] for mono8, a
    PNG, which keeps every value. Raises ImageError for another encoding.
    """
    if encoding == "rgb8":
        image: np.ndarray = np.asarray(cv2.cvtColor(array, cv2.COLOR_RGB2BGR))
        suffix, options = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality]
        described = "rgb8; jpeg compressed bgr8"
    elif encoding == "mono8":
        image, suffix, options = array, ".png", [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
        described = "mono8; png compressed "
    else:
        raise ImageError(f"got encoding {encoding} to compress, expected rgb8 or mono8")
    done, data = cv2.imencode(suffix, image, options)
    if not done:
        raise ImageError(f"OpenCV cannot write {array.dtype} {list(array.shape)} as {suffix}")
    stamp = header.stamp.sec, header.stamp.nanosec
    return write_compressed_image(stamp, header.frame_id, described, data.data.cast("B"))
