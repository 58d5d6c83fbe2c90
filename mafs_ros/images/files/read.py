"""Reads image files: RGB images, thermal images, both in one file, labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.images.codecs.flir import FlirError, raw_counts
from mafs_ros.images.codecs.header import JPEG_START, jpeg_segments
from mafs_ros.images.files.labels import label_ids
from mafs_ros.images.files.pixels import ImageFileError, decoded, pixels_of, read_bytes
from mafs_ros.images.messages.pixels import GREY_EXCEPTIONS, coloured, grey_of

_DJI_COUNTS = 0xE3  # APP3
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
        try:
            image = _one_channel(image, path)
        except ImageFileError as error:
            raise ImageFileError(f"{error}{_hidden_counts(data)}") from None
    return _measured(image, path)


def read_pair(rgb: Path | str, thermal: Path | str) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """What `read_rgb` and `read_thermal` give; of one file for both its four channels (MFNet)."""
    if Path(rgb) == Path(thermal):
        image = read_four_channels(rgb)
        return np.ascontiguousarray(image[:, :, :3]), np.ascontiguousarray(image[:, :, 3])
    return read_rgb(rgb), read_thermal(thermal)


def read_four_channels(path: Path | str) -> NDArray[np.uint8]:
    """Red, green, blue and thermal of one file, uint8 [H, W, 4].

    Raises FileNotFoundError, OSError (not readable) or ImageFileError: another number or type of
    channels, or a fourth one that is 255 everywhere and so no thermal image.
    """
    image = decoded(read_bytes(Path(path)), path, cv2.IMREAD_UNCHANGED)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 4:
        raise ImageFileError(
            f"{path}: got {image.dtype} {list(image.shape)}, expected uint8 [H, W, 4] with "
            "thermal as the fourth channel; was the file saved anew by a program that drops it?"
        )
    if (image[:, :, 3] == 255).all():
        raise ImageFileError(
            f"{path}: its fourth channel is 255 everywhere, which is transparency and no thermal "
            "image; give the file or folder of the thermal images beside that of the RGB images"
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA), np.uint8)


def read_fourth_channel(path: Path | str) -> NDArray[np.uint8]:
    """The thermal image of `read_four_channels`, uint8 [H, W]."""
    return np.ascontiguousarray(read_four_channels(path)[:, :, 3])


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


def _hidden_counts(data: bytes) -> str:
    """How the counts of a false-colour picture are had, where its file holds them (DJI R-JPEG)."""
    if not data.startswith(JPEG_START):
        return ""
    if not any(marker == _DJI_COUNTS for marker, _ in jpeg_segments(data)):
        return ""
    return (
        "; it looks like a JPEG of a DJI camera, whose temperatures DJI's Thermal SDK (dji_irp) "
        "takes out of it: save them as float32 TIFF"
    )


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
