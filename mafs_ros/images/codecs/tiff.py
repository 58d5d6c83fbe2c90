"""The directory of a TIFF or BigTIFF: what OpenCV would convert or turn without a word."""

from __future__ import annotations

import struct
from typing import NamedTuple

from mafs_ros.images.codecs.header import Header

_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # unsigned integers of 8, 16, 32, 64 bits
_WIDTH, _HEIGHT, _SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 254, 258, 259, 262
_ORIENTATION = 274
_SAMPLES, _EXTRA, _FORMAT = 277, 338, 339
_PALETTE = 3
_JPEG = (6, 7, 34892)  # compressions: old and new JPEG, lossy JPEG of DNG
_NUMBERS = {1: "uint", 2: "int", 3: "float"}


class Tiff(NamedTuple):
    """What the first page says of itself, and the file as it is to be decoded.

    height, width: 0 where it does not say. type_name: of a sample, such as uint16. samples: of a
    pixel. is_jpeg: compressed so. pages: those of full resolution. big: a BigTIFF.
    upright: the data, without an order to turn the image or to multiply it by its alpha.
    """

    height: int
    width: int
    bits: int
    type_name: str
    samples: int
    palette: bool
    is_jpeg: bool
    pages: int
    big: bool
    upright: bytes


class _Entry(NamedTuple):
    value: int  # the first, where there are several
    position: int
    code: str


def is_tiff(data: bytes) -> bool:
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tiff(data: bytes) -> Tiff | None:
    """None for other data, and where the directory is damaged or cut off."""
    if not is_tiff(data):
        return None
    endian, big = "<" if data[:2] == b"II" else ">", b"+" in data[2:4]
    try:
        pages = _pages(data, endian, big)
        first = pages[0]
    except (struct.error, IndexError):
        return None
    bits, samples = _value(first, _BITS, 1), _value(first, _SAMPLES, 1)
    number = _NUMBERS.get(_value(first, _FORMAT, 1), "unknown")
    upright = bytearray(data)
    for tag, value in ((_ORIENTATION, 1), (_EXTRA, 0)):
        if _value(first, tag, value) != value:
            struct.pack_into(endian + first[tag].code, upright, first[tag].position, value)
    return Tiff(
        _value(first, _HEIGHT, 0),
        _value(first, _WIDTH, 0),
        bits,
        f"{number}{bits}",
        samples,
        _value(first, _PHOTOMETRIC, 1) == _PALETTE,
        _value(first, _COMPRESSION, 1) in _JPEG,
        1 + sum(not _value(page, _SUBFILE, 0) & 1 for page in pages[1:]),
        big,
        bytes(upright),
    )


def tiff_header(data: bytes) -> Header | None:
    """What `read_tiff` finds, as of a PNG or JPEG; None where that is None."""
    tiff = read_tiff(data)
    if tiff is None:
        return None
    return Header("TIFF", tiff.height, tiff.width, tiff.bits, tiff.samples, tiff.palette, True)


def _value(page: dict[int, _Entry], tag: int, default: int) -> int:
    return page[tag].value if tag in page else default


def _pages(data: bytes, endian: str, big: bool) -> list[dict[int, _Entry]]:
    """The directories, each once. Raises struct.error where one lies outside the data."""
    offset_code, count_code, size = ("Q", "Q", 20) if big else ("I", "H", 12)
    (offset,) = struct.unpack_from(endian + offset_code, data, 8 if big else 4)
    pages: dict[int, dict[int, _Entry]] = {}
    while offset and offset not in pages:
        (count,) = struct.unpack_from(endian + count_code, data, offset)
        start = offset + struct.calcsize(count_code)
        if start + count * size > len(data):
            raise struct.error("the directory ends outside the file")
        pages[offset] = _entries(data, endian, range(start, start + count * size, size), big)
        (offset,) = struct.unpack_from(endian + offset_code, data, start + count * size)
    return list(pages.values())


def _entries(data: bytes, endian: str, positions: range, big: bool) -> dict[int, _Entry]:
    """Tag -> first value of the entries that hold unsigned integers."""
    count_code, header = ("Q", 12) if big else ("I", 8)
    entries = {}
    for position in positions:
        tag, kind, count = struct.unpack_from(f"{endian}HH{count_code}", data, position)
        code = _TYPES.get(kind)
        if code is None:
            continue
        place = position + header
        if count * struct.calcsize(code) > struct.calcsize(count_code):
            (place,) = struct.unpack_from(endian + count_code, data, place)
        if place + struct.calcsize(code) <= len(data):
            (value,) = struct.unpack_from(endian + code, data, place)
            entries[tag] = _Entry(value, place, code)
    return entries
