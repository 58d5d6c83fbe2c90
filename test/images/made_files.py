"""Image files of kinds that OpenCV does not write, made by hand."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

PNG_START = b"\x89PNG\r\n\x1a\n"
TIFF_FORMATS = {"u": 1, "i": 2, "f": 3}


def counts(dtype: Any = np.uint16, step: int = 100) -> np.ndarray:
    """[12, 16], all different, so that any turning shows."""
    return (np.arange(12 * 16).reshape(12, 16) * step).astype(dtype)


def tiff(
    array: np.ndarray,
    *,
    endian: str = "<",
    big: bool = False,
    deflate: bool = False,
    pages: int = 1,
    bits: int = 0,
    raw: bytes = b"",
    **tags: int,
) -> bytes:
    """A TIFF of [H, W] or [H, W, samples]; tags: orientation, extra, subfile (of later pages)."""
    body = raw or array.astype(array.dtype.newbyteorder(endian)).tobytes()
    body = zlib.compress(body) if deflate else body
    body += b"\0" * (len(body) % 2)
    samples = array.shape[2] if array.ndim == 3 else 1
    entries = {
        256: (4, [array.shape[1]]),
        257: (4, [array.shape[0]]),
        258: (3, [bits or 8 * array.dtype.itemsize] * samples),
        259: (3, [8 if deflate else 1]),
        262: (3, [2 if samples > 2 else 1]),
        273: (4, [16 if big else 8]),
        277: (3, [samples]),
        278: (4, [array.shape[0]]),
        279: (4, [len(body)]),
        339: (3, [TIFF_FORMATS[array.dtype.kind]] * samples),
    }
    if "orientation" in tags:
        entries[274] = (3, [tags["orientation"]])
    if "extra" in tags:
        entries[338] = (3, [tags["extra"]])
    data = (b"II" if endian == "<" else b"MM") + (
        struct.pack(endian + "HHHQ", 43, 8, 0, 16 + len(body))
        if big
        else struct.pack(endian + "HI", 42, 8 + len(body))
    )
    data += body
    for page in range(pages):
        if page and "subfile" in tags:
            entries[254] = (4, [tags["subfile"]])
        data += _directory(entries, endian, big, len(data), last=page == pages - 1)
    return data


def _directory(
    entries: dict[int, tuple[int, list[int]]], endian: str, big: bool, start: int, last: bool
) -> bytes:
    code, room, size = ("Q", 8, 20) if big else ("I", 4, 12)
    head = struct.pack(endian + ("Q" if big else "H"), len(entries))
    after = start + len(head) + len(entries) * size + room
    table, values = b"", b""
    for tag, (kind, numbers) in sorted(entries.items()):
        content = struct.pack(endian + {3: "H", 4: "I"}[kind] * len(numbers), *numbers)
        if len(content) > room:
            place = struct.pack(endian + code, after + len(values))
            values += content
            content = place
        table += struct.pack(endian + "HH" + code, tag, kind, len(numbers))
        table += content.ljust(room, b"\0")
    return head + table + struct.pack(endian + code, 0 if last else after + len(values)) + values


def chunk(name: bytes, body: bytes, length: int | None = None) -> bytes:
    """A PNG chunk; length: what it says of itself, where that is false."""
    said = struct.pack(">I", len(body) if length is None else length)
    return said + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(array: np.ndarray, colour_type: int, bits: int = 0, before: bytes = b"") -> bytes:
    """A PNG of [H, W] or [H, W, channels]; before: chunks that go before the image."""
    bits = bits or 8 * array.dtype.itemsize
    rows = array.astype(array.dtype.newbyteorder(">"))
    if bits < 8:
        each = np.unpackbits(rows[..., None], axis=-1)[..., 8 - bits :]
        rows = np.packbits(each.reshape(len(rows), -1), axis=1)
    head = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], bits, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return PNG_START + chunk(b"IHDR", head) + before + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def pillow(
    array: np.ndarray, kind: str, palette: list[int] | None = None, **options: Any
) -> bytes:
    """By Pillow; palette: red, green, blue of every index."""
    image = Image.fromarray(array)
    if palette is not None:
        image = Image.frombytes("P", image.size, array.astype(np.uint8).tobytes())
        image.putpalette(palette)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def flir_jpeg(picture: np.ndarray, raw: bytes, size: tuple[int, int], parts: int = 1) -> bytes:
    """A radiometric JPEG: picture uint8 [h, w, 3], raw counts of (width, height) as stored."""
    record = struct.pack("<HHH", 2, *size).ljust(32, b"\0") + raw
    entry = struct.pack(">HHIIII", 1, 0, 100, 0, 128, len(record)).ljust(32, b"\0")
    other = struct.pack(">HHIIII", 0x20, 0, 100, 0, 96, 32).ljust(32, b"\0")
    head = b"FFF\0".ljust(20, b"\0") + struct.pack(">III", 101, 64, 2)
    fff = head.ljust(64, b"\0") + other + entry
    fff = fff.ljust(128, b"\0") + record
    length = -(-len(fff) // parts)
    segments = [
        b"\xff\xe1"
        + struct.pack(">H", 2 + 8 + len(fff[i * length : (i + 1) * length]))
        + b"FLIR\0\x01"
        + bytes([i, parts - 1])
        + fff[i * length : (i + 1) * length]
        for i in range(parts)
    ]
    jpeg = pillow(picture, "JPEG")
    return jpeg[:2] + b"".join(reversed(segments)) + jpeg[2:]
