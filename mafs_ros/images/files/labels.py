"""Class ids in the bytes of a label image."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.images.codecs.header import JPEG_START, PNG_START, read_header
from mafs_ros.images.codecs.tiff import read_tiff
from mafs_ros.images.files.pixels import ImageFileError, pixels_of


def label_ids(data: bytes, path: Path | str) -> NDArray[np.uint8]:
    """The ids as they are stored, uint8 [H, W]: of 1, 2 and 4 bits too, of a palette its indices.

    path: for messages. Raises ImageFileError: not an image, one of a lossy format, class colours
    instead of ids, ids that are no whole numbers from 0 to 255.
    """
    if _is_lossy(data):
        raise ImageFileError(
            f"{path}: got labels in a lossy format (JPEG or WebP), which makes up ids at every "
            "edge; save them as PNG from the source they were made from"
        )
    bits, palette = _depth(data)
    if palette:
        return _palette_indices(data, path)
    ids = pixels_of(data, path)
    if bits < 8:  # decoders spread grey over 0..255
        ids = ids // (255 // (2**bits - 1))
    if ids.ndim == 3:
        if np.any(ids != ids[:, :, :1]):
            raise ImageFileError(
                f"{path}: got a picture in class colours, expected one channel "
                "of class ids; most data sets hold both, in two folders"
            )
        ids = ids[:, :, 0]
    return _as_ids(ids, path)


def _is_lossy(data: bytes) -> bool:
    tiff = read_tiff(data)
    is_webp = data[:4] == b"RIFF" and data[12:16] == b"VP8 "
    return is_webp or data.startswith(JPEG_START) or (tiff is not None and tiff.is_jpeg)


def _as_ids(ids: NDArray[Any], path: Path | str) -> NDArray[np.uint8]:
    if ids.dtype.kind not in "biuf":
        raise ImageFileError(f"{path}: got ids of type {ids.dtype}, expected whole numbers")
    if ids.dtype.kind == "f" and not (np.isfinite(ids).all() and (ids == np.rint(ids)).all()):
        raise ImageFileError(f"{path}: got ids with fractions or NaN, expected whole numbers")
    if ids.min() < 0 or ids.max() > 255:
        raise ImageFileError(f"{path}: got ids {ids.min()} to {ids.max()}, expected 0 to 255")
    return ids.astype(np.uint8)


def _depth(data: bytes) -> tuple[int, bool]:
    """(bits of a pixel, whether they are indices into a palette)."""
    if data.startswith(PNG_START) and (header := read_header(data)):
        return header.bits, header.palette
    if tiff := read_tiff(data):
        return tiff.bits, tiff.palette
    if data.startswith(b"BM") and len(data) > 54:
        bits = int.from_bytes(data[28:30], "little")
        return 8, bits <= 8
    return 8, False


def _palette_indices(data: bytes, path: Path | str) -> NDArray[np.uint8]:
    """By Pillow, because OpenCV gives the colours of a palette alone."""
    try:
        from PIL import Image
    except ImportError:
        raise ImageFileError(
            f"{path}: is an image with a palette, which needs Pillow (python3-pil) "
            "to be read; or save it as 8-bit grey"
        ) from None
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image, np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageFileError(f"{path}: not a label image, damaged or cut off ({error})") from None
