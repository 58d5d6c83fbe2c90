"""The raw counts in a FLIR radiometric JPEG.

The layout is the one that ExifTool documents (exiftool.org, TagNames/FLIR): the APP1 segments of
the JPEG make up a file in FLIR's own format, FFF, whose record of type 1 is the sensor's image.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.images.codecs.header import JPEG_START, PNG_START, jpeg_segments, read_header
from mafs_ros.images.codecs.opencv import decode

_APP1, _FLIR = 0xE1, b"FLIR\0"
_RAW_DATA = 1  # type of a record
_RECORD, _RAW_HEADER = 32, 32  # bytes of a directory entry, and before the counts


class FlirError(ValueError):
    """A radiometric JPEG whose raw counts cannot be read."""


def raw_counts(data: bytes) -> NDArray[np.uint16] | None:
    """The sensor's counts, uint16 [H, W]; None for a JPEG (or other data) without.

    Raises FlirError where there are some that cannot be read.
    """
    if not data.startswith(JPEG_START) or _FLIR not in data:
        return None
    fff = _flir_file(data)
    if not fff:
        return None
    try:
        record = _raw_record(fff)
        return None if record is None else _image(record)
    except (struct.error, ValueError) as error:
        raise FlirError(str(error)) from None


def _flir_file(data: bytes) -> bytes:
    """The APP1 segments of FLIR in their order: each has its number after the name."""
    parts = {}
    for marker, body in jpeg_segments(data):
        if marker == _APP1 and data[body : body + 5] == _FLIR:
            length = int.from_bytes(data[body - 2 : body], "big")
            parts[data[body + 6]] = data[body + 8 : body - 2 + length]
    return b"".join(parts[number] for number in sorted(parts))


def _raw_record(fff: bytes) -> bytes | None:
    """The record that holds the counts, from its own header on."""
    if not fff.startswith((b"FFF\0", b"AFF\0")):
        raise ValueError("its FLIR segments do not begin with FFF")
    (version,) = struct.unpack_from(">I", fff, 20)
    endian = ">" if 100 <= version < 200 else "<"
    directory, count = struct.unpack_from(f"{endian}II", fff, 24)
    for number in range(min(count, 1000)):
        entry = directory + number * _RECORD
        (kind,) = struct.unpack_from(f"{endian}H", fff, entry)
        if kind == _RAW_DATA:
            offset, length = struct.unpack_from(f"{endian}II", fff, entry + 12)
            return fff[offset : offset + length]
    return None


def _image(record: bytes) -> NDArray[np.uint16]:
    endian = "<" if record[:2] == b"\x02\0" else ">"
    width, height = struct.unpack_from(f"{endian}HH", record, 2)
    content = record[_RAW_HEADER:]
    if content.startswith(PNG_START):
        return _of_png(content)
    if not width * height or len(content) < 2 * width * height:
        raise ValueError(f"got {len(content)} bytes of counts for {width}x{height} pixels")
    counts: NDArray[Any] = np.frombuffer(content, endian + "u2", width * height)
    return counts.astype(np.uint16).reshape(height, width)


def _of_png(content: bytes) -> NDArray[np.uint16]:
    """FLIR writes the bytes of each count into its PNG in the other order."""
    header = read_header(content)
    counts = decode(content, cv2.IMREAD_UNCHANGED) if header and header.whole else None
    if counts is None or counts.dtype != np.uint16 or counts.ndim != 2:
        raise ValueError("the PNG of its counts is damaged, or not of 16 bit grey")
    return counts.byteswap()
