"""The pixels of an image file as they are stored: no turning, no scaling, no second page."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.images.codecs.header import JPEG_START, PNG_START, read_header
from mafs_ros.images.codecs.opencv import decode
from mafs_ros.images.codecs.tiff import Tiff, is_tiff, read_tiff

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".ppm", ".webp")
ARRAY_SUFFIX = ".npy"
# First bytes, or those after a length of four -> what it is, and what to make of it.
OTHER_FILES = {
    b"ftyphei": ("a HEIC picture", "save it as JPEG or PNG"),
    b"ftypavif": ("an AVIF picture", "save it as JPEG or PNG"),
    b"jP  ": ("a JPEG 2000", "save it as PNG or TIFF"),
    b"GIF8": ("a GIF", "save it as PNG"),
    b"PK\x03\x04": ("an archive (.npz or .zip)", "unpack it; arrays are read as .npy"),
    b"FFF\0": ("a FLIR sequence", "export its frames as 16-bit TIFF or radiometric JPEG"),
    b"v/1\x01": ("an OpenEXR picture", "save it as float32 TIFF"),
    b"\x89HDF": ("an HDF5 or MATLAB file", "save its images as .npy or TIFF"),
    b"MATLAB": ("a MATLAB file", "save its images as .npy or TIFF"),
}
_ARRAY_START = b"\x93NUMPY"
# Samples of a TIFF that come out as they are stored; OpenCV shifts those of 10, 12 and 14 bits.
_TIFF_TYPES = ("uint1", "uint8", "uint16", "int8", "int16", "int32", "float32", "float64")
# As what OpenCV before 4.6 gives out the bits of a TIFF's samples.
_SAME_BITS = {"int8": "uint8", "int16": "uint16", "int32": "float32"}

# Its values are spread over 0..255 where white is less; those of a binary PGM (P5) are not.
_TEXT_GREY = re.compile(rb"P2(?:(?:\s|#[^\n]*\n)+(\d+)){3}")


class ImageFileError(ValueError):
    """A file or folder of images does not hold what is needed; the message says what to do."""


def pixels_of(data: bytes, path: Path | str) -> NDArray[Any]:
    """The pixels in the bytes of a file, of their own type.

    [H, W], or colours as [H, W, 3] in BGR order, without alpha; of a palette its colours; of a
    .npy the array. path: for messages. Raises ImageFileError for what is no whole image, and for
    what would not come out as stored.
    """
    if data.startswith(_ARRAY_START):
        return _array(data, path)
    return decoded(data, path, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)


def decoded(data: bytes, path: Path | str, flags: int) -> NDArray[Any]:
    """The pixels in the bytes of an image, with the flags of cv2.imdecode; raises as pixels_of."""
    if not data:
        raise ImageFileError(f"{path}: the file is empty, expected an image")
    if (text := _TEXT_GREY.match(data)) and int(text[1]) < 255:
        raise ImageFileError(
            f"{path}: got a PGM in text form (P2) with {int(text[1])} as white, which is not read "
            "as it is stored; save it as binary PGM (P5) or PNG"
        )
    if is_tiff(data):
        return _decoded_tiff(data, path, flags)
    if data.startswith((PNG_START, JPEG_START)):
        header = read_header(data)
        if header is None or not header.whole:
            raise _damaged(data, path)
    image = decode(data, flags)
    if image is None:
        raise _damaged(data, path)
    return image


def _damaged(data: bytes, path: Path | str) -> ImageFileError:
    for start, (what, advice) in OTHER_FILES.items():
        if data.startswith(start) or data[4:12].startswith(start):
            return ImageFileError(f"{path}: is {what}, which is not read; {advice}")
    return ImageFileError(
        f"{path}: not an image, damaged or cut off ({len(data)} bytes); "
        f"expected one of {', '.join(IMAGE_SUFFIXES)}"
    )


def _decoded_tiff(data: bytes, path: Path | str, flags: int) -> NDArray[Any]:
    tiff = _checked_tiff(data, path)
    image = decode(tiff.upright, flags)
    if image is None and tiff.big:
        raise ImageFileError(
            f"{path}: is a BigTIFF that OpenCV {cv2.__version__} cannot read (old ones read "
            "none), or damaged; save it as TIFF or PNG"
        )
    if image is None:
        raise _damaged(data, path)
    stored = "uint8" if tiff.palette or tiff.bits == 1 else tiff.type_name
    if _SAME_BITS.get(stored) == image.dtype.name:
        image = image.view(stored)
    if image.dtype.name != stored:
        raise ImageFileError(
            f"{path}: is a TIFF of {stored}, which this OpenCV ({cv2.__version__}) reads as "
            f"{image.dtype}; save it as uint8, uint16 or float32"
        )
    return image


def _checked_tiff(data: bytes, path: Path | str) -> Tiff:
    """The TIFF's directory; raises ImageFileError where OpenCV would change values."""
    tiff = read_tiff(data)
    if tiff is None:
        raise _damaged(data, path)
    if tiff.samples == 2 or tiff.samples > 4:
        raise ImageFileError(
            f"{path}: got a TIFF with {tiff.samples} samples a pixel, expected 1 (grey), 3 or 4 "
            "(colours): save the channel that is meant alone"
        )
    if tiff.type_name not in _TIFF_TYPES and not tiff.palette:
        raise ImageFileError(
            f"{path}: got a TIFF of {tiff.type_name}, which is not read as it is stored; "
            "save it as uint8, uint16 or float32"
        )
    if tiff.pages > 1:
        _note_pages(Path(path).parent, Path(path).name, tiff.pages)
    return tiff


_noted: set[Path] = set()  # folders


def _note_pages(folder: Path, name: str, pages: int) -> None:
    """Once a folder: its files are alike."""
    if folder not in _noted:
        _noted.add(folder)
        logging.getLogger(__name__).warning(
            "%s: holds %d pages, the first is taken (as in all files of this folder); to take "
            "others save them as files of their own",
            folder / name,
            pages,
        )


def _array(data: bytes, path: Path | str) -> NDArray[Any]:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ImageFileError(f"{path}: not a whole .npy array of numbers ({error})") from None
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):
        array = array.reshape([size for size in array.shape if size != 1] or [1, 1])
    if array.ndim != 2 or not array.size:
        raise ImageFileError(
            f"{path}: got an array {list(array.shape)}, expected one image [H, W]"
        )
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def read_bytes(path: Path) -> bytes:
    """Raises FileNotFoundError, OSError, or ImageFileError for a folder; each names the file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ImageFileError(f"{path}: is a folder, expected an image file") from None
    except OSError as error:
        raise OSError(f"{path}: cannot be read: {error.strerror}") from error
