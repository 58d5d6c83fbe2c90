"""Images in their serialised form (CDR), read and written with one copy of the pixels.

rclpy turns a message into Python objects and back by way of C structures, each with pixels of its
own: 0.8 ms for 640x480 in colour, each way. Its `raw` subscriptions and `publish(bytes)` pass the
serialised form through.

Layout: 4 bytes of encapsulation, of which the second says the byte order, then the fields in the
order of their definition, numbers aligned to their size, texts and arrays behind their lengths
(OMG, DDS-XTypes 1.3, section 7.4; an Image is the same in version 1 and 2 of its encoding).
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass

NATIVE = "<" if sys.byteorder == "little" else ">"  # as `struct` writes byte orders
ENCAPSULATION = b"\x00\x01\x00\x00" if NATIVE == "<" else b"\x00\x00\x00\x00"
START = len(ENCAPSULATION)  # of the fields, the first of which is the stamp
# Version 1 and 2, both byte orders; others (parameter lists) have another layout.
PLAIN = (b"\x00\x00", b"\x00\x01", b"\x00\x06", b"\x00\x07")


class CdrError(ValueError):
    """Bytes that hold no whole message; the text says what was got and expected."""


@dataclass(frozen=True)
class Stamp:
    """builtin_interfaces/Time."""

    sec: int
    nanosec: int


@dataclass(frozen=True)
class Header:
    """std_msgs/Header."""

    stamp: Stamp
    frame_id: str


@dataclass(frozen=True)
class Image:
    """The fields of sensor_msgs/Image; `data` is a read-only view of the serialised message."""

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


def header_stamp(raw: bytes) -> int:
    """Nanoseconds of the stamp in a serialised message that begins with a std_msgs/Header."""
    seconds, nanoseconds = struct.unpack_from(f"{_byte_order(raw)}iI", raw, START)
    return seconds * 10**9 + nanoseconds


def header_frame(raw: bytes) -> str:
    """The frame_id in a serialised message that begins with a std_msgs/Header."""
    reader = _Reader(raw, _byte_order(raw))
    reader.number("i")
    reader.number("I")
    return reader.text()


def with_stamp(raw: bytes, stamp: int) -> bytes:
    """The same serialised message with another stamp, in nanoseconds, in its header."""
    new = struct.pack(f"{_byte_order(raw)}iI", *divmod(stamp, 10**9))
    return b"".join((raw[:START], new, memoryview(raw)[START + len(new) :]))


def read_image(raw: bytes) -> Image:
    """The fields of a serialised sensor_msgs/Image; the pixels stay where they are.

    Raises CdrError for bytes that are cut short or of another layout.
    """
    if raw[:2] not in PLAIN:
        raise CdrError(
            f"got a message in encapsulation {raw[:2].hex()}, expected plain CDR "
            f"({', '.join(kind.hex() for kind in PLAIN)})"
        )
    reader = _Reader(raw, _byte_order(raw))
    try:
        stamp = Stamp(reader.number("i"), reader.number("I"))
        header = Header(stamp, reader.text())
        height, width, encoding = reader.number("I"), reader.number("I"), reader.text()
        is_bigendian, step = reader.number("B"), reader.number("I")
        return Image(header, height, width, encoding, is_bigendian, step, reader.array())
    except struct.error as error:
        raise CdrError(
            f"got {len(raw)} bytes, which end within the fields of a sensor_msgs/Image ({error})"
        ) from None


def write_image(
    stamp: tuple[int, int],
    frame_id: str,
    height: int,
    width: int,
    encoding: str,
    step: int,
    data: memoryview,
) -> bytes:
    """Serialise a sensor_msgs/Image whose pixels are in the byte order of this machine.

    stamp: seconds and nanoseconds; data: bytes, copied.
    """
    start = bytearray(ENCAPSULATION)
    _append(start, "iI", *stamp)
    _append_text(start, frame_id)
    _append(start, "II", height, width)
    _append_text(start, encoding)
    _append(start, "B", int(NATIVE == ">"))
    _append(start, "II", step, len(data))
    return b"".join((start, data))


def write_compressed_image(
    stamp: tuple[int, int], frame_id: str, described: str, data: memoryview
) -> bytes:
    """Serialise a sensor_msgs/CompressedImage.

    stamp: seconds and nanoseconds; described: its `format`; data: of the file, copied.
    """
    start = bytearray(ENCAPSULATION)
    _append(start, "iI", *stamp)
    _append_text(start, frame_id)
    _append_text(start, described)
    _append(start, "I", len(data))
    return b"".join((start, data))


def _byte_order(raw: bytes) -> str:
    return "<" if raw[1] & 1 else ">"


def _padding(position: int, size: int) -> int:
    """Bytes to the next multiple of `size`, counted from the end of the encapsulation."""
    return -(position - START) % size


def _append(target: bytearray, kinds: str, *values: int) -> None:
    target += bytes(_padding(len(target), struct.calcsize(f"={kinds[0]}")))
    target += struct.pack(f"{NATIVE}{kinds}", *values)


def _append_text(target: bytearray, text: str) -> None:
    encoded = text.encode() + b"\x00"
    _append(target, "I", len(encoded))
    target += encoded


class _Reader:
    """Reads one field after the other; raises struct.error beyond the end."""

    def __init__(self, raw: bytes, byte_order: str) -> None:
        self._raw, self._order = memoryview(raw), byte_order
        self._at = START

    def number(self, kind: str) -> int:
        size = struct.calcsize(f"={kind}")
        self._at += _padding(self._at, size)
        (value,) = struct.unpack_from(f"{self._order}{kind}", self._raw, self._at)
        self._at += size
        return int(value)

    def text(self) -> str:
        return bytes(self.array()).rstrip(b"\x00").decode(errors="replace")

    def array(self) -> memoryview:
        """A sequence of bytes."""
        length = self.number("I")
        if length > len(self._raw) - self._at:
            raise struct.error(f"{len(self._raw) - self._at} of {length} bytes are there")
        found = self._raw[self._at : self._at + length].toreadonly()
        self._at += length
        return found
