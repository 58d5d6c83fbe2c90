"""The headers of PNG and JPEG, read before anything is decoded or allocated."""

from __future__ import annotations

import struct
from typing import NamedTuple

PNG_START, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_PNG_PALETTE = 3
_MOST_DEFLATED = 1032  # times smaller than its rows is what zlib makes of them at best
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class Header(NamedTuple):
    """What a PNG or JPEG says of itself.

    bits: of a channel. channels: those stored, alpha included; 1 for a palette. whole: whether
    the bytes can be all of the image; where they cannot, decoding costs memory and time for
    nothing.
    """

    codec: str
    height: int
    width: int
    bits: int
    channels: int
    palette: bool
    whole: bool

    @property
    def grey(self) -> bool:
        return self.channels <= 2 and not self.palette


def read_header(data: bytes) -> Header | None:
    """The header of a PNG or JPEG; None for other data and where the header is not whole."""
    if data.startswith(PNG_START):
        return _png_header(data)
    return _jpeg_header(data) if data.startswith(JPEG_START) else None


def _png_header(data: bytes) -> Header | None:
    if len(data) < 33 or data[12:16] != b"IHDR" or data[25] not in _PNG_CHANNELS:
        return None
    width, height, bits, colour_type = struct.unpack_from(">IIBB", data, 16)
    channels = _PNG_CHANNELS[colour_type]
    rows = height * -(-width * channels * bits // 8)
    whole = rows <= _MOST_DEFLATED * _deflated_bytes(data)
    return Header("PNG", height, width, bits, channels, colour_type == _PNG_PALETTE, whole)


def _deflated_bytes(data: bytes) -> int:
    """Bytes of the rows in a PNG, 0 where a chunk is longer than the data or the end is missing.

    A chunk says its length first, and OpenCV allocates up to 4 GB for one that lies.
    """
    position, found = 8, 0
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if position > len(data):
            return 0
        if kind == b"IEND":
            return found
        if kind == b"IDAT":
            found += length
    return 0


def _jpeg_header(data: bytes) -> Header | None:
    """Of the frame header (SOF, ITU-T T.81 B.2.2)."""
    for marker, body in jpeg_segments(data):
        if marker in _JPEG_FRAMES and body + 6 <= len(data):
            bits, height, width, channels = struct.unpack_from(">BHHB", data, body)
            # Older OpenCV makes the missing part of a cut image grey, without an error.
            whole = data.rfind(b"\xff\xd9") > body
            return Header("JPEG", height, width, bits, channels, False, whole)
    return None


def jpeg_segments(data: bytes) -> list[tuple[int, int]]:
    """(marker, where its content begins) of a JPEG's segments up to the frame header."""
    segments = []
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        segments.append((marker, position + 4))
        if marker in _JPEG_FRAMES:
            break
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return segments
