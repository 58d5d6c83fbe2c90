"""Reads image files: RGB images, thermal images, labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.images.codecs.flir import FlirError, raw_counts
from mafs_ros.images.files.labels import label_ids
from mafs_ros.images.files.pixels import ImageFileError, pixels_of, read_bytes
from mafs_ros.images.messages.pixels import GREY_EXCEPTIONS, coloured, grey_of

LARGEST_EXACT = 1 << 24  # of the whole numbers that float32 holds


def read_rgb(path: Path | str) -> NDArray[np.uint8]:
    """The colour image in a file, as uint8 [H, W, 3] in RGB order; a grey one has equal channels.

    Of 16-bit colours the upper 8 bits, as in messages. Raises FileNotFoundError, OSError (not
    readable) or ImageFileError (not an image, or one of measurements).
    """
    image = pixels_of(read_bytes(Path(path)), path)
    if image.ndim == 3 and image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise ImageFileError(
            f"{path}: got an RGB image of type {image.dtype}, expected 8 bit per channel; "
            "are the RGB and thermal inputs swapped?"
        )
    if image.ndim == 2:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def read_thermal(path: Path | str) -> NDArray[Any]:
    """The thermal image in a file as it is: uint8, uint16 or float32 [H, W].

    Other types become float32; of a FLIR radiometric JPEG the raw counts are taken, uint16. Raises
    FileNotFoundError, OSError (not readable) or ImageFileError: not an image, values that float32
    does not hold, or colours (a false-colour picture holds no temperatures).
    """
    data = read_bytes(Path(path))
    try:
        counts = raw_counts(data)
    except FlirError as error:
        raise ImageFileError(
            f"{path}: is a FLIR radiometric JPEG whose raw counts cannot be read ({error}); copy "
            "it from the camera again, or drop them with `exiftool -all= FILE` to take its picture"
        ) from None
    if counts is not None:
        return counts
    image = pixels_of(data, path)
    if image.ndim == 3:
        image = _one_channel(image, path)
    return _measured(image, path)


def _one_channel(image: NDArray[Any], path: Path | str) -> NDArray[Any]:
    """Of a grey image stored in colours; raises ImageFileError for false colours."""
    if image.dtype != np.uint8:
        if np.any(image != image[:, :, :1]):
            raise ImageFileError(
                f"{path}: got a thermal image of type {image.dtype} with three different "
                "channels, expected a grey one; RGB and thermal may be swapped"
            )
        return np.ascontiguousarray(image[:, :, 0])
    share = coloured(image)
    if share > GREY_EXCEPTIONS:
        raise ImageFileError(
            f"{path}: got a thermal image in colours ({share:.0%} of its pixels are not grey), "
            "expected a grey one; false-colour pictures hold no temperatures: save the counts of "
            "the camera as 16-bit PNG or TIFF, or its white-hot picture; RGB and thermal may be "
            "swapped"
        )
    return grey_of(image)


def _measured(image: NDArray[Any], path: Path | str) -> NDArray[Any]:
    """In a type that is understood: other numbers become float32, unless that changes them."""
    if image.dtype in (np.uint8, np.uint16, np.float32):
        return image
    if image.dtype.kind not in "iuf":
        raise ImageFileError(
            f"{path}: got a thermal image of type {image.dtype}, expected uint8, uint16 or float32"
        )
    with np.errstate(over="ignore"):
        floats = image.astype(np.float32)
    too_large = np.isinf(floats) & np.isfinite(image)
    if image.dtype.kind != "f":
        too_large = np.abs(floats) > LARGEST_EXACT
    if too_large.any():
        raise ImageFileError(
            f"{path}: got a thermal image of type {image.dtype} with values up to {image.max()}, "
            "which float32 does not hold exactly; save kelvin, degrees or 16-bit counts"
        )
    return floats


def read_labels(path: Path | str) -> NDArray[np.uint8]:
    """The class ids in a label image, uint8 [H, W]; of a palette PNG its indices, not its colours.

    Raises FileNotFoundError, OSError (not readable) or ImageFileError, see `label_ids`.
    """
    return label_ids(read_bytes(Path(path)), path)
