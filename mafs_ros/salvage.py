"""What can still be read of a bag that was cut off or lost its metadata.yaml.

`SalvageReader` has the interface of rosbags' Reader. It reads each storage file from its start,
without any index, up to the place where it ends or is damaged. Needs no ROS.
"""

from __future__ import annotations

import sqlite3
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
from lz4.frame import decompress as lz4_decompress

Record = tuple[str, str, int, bytes]  # topic, message type, time of recording (ns), CDR bytes

MCAP_MAGIC = b"\x89MCAP0\r\n"
STORAGE_SUFFIXES, ZSTD_SUFFIX = (".mcap", ".db3"), ".zstd"
UNPACK_BYTES = 1 << 20
MAX_RECORD = 1 << 30  # a longer one is damage: it would fill the memory
SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # of a message that the recorder compressed; CDR begins with 0


@dataclass(frozen=True)
class SalvagedConnection:
    """A topic as rosbags' Connection describes it, as far as bags.py asks."""

    topic: str
    msgtype: str
    msgcount: int


class SalvageReader:
    """Reads the storage files of a bag folder, or one .mcap or .db3 file, without an index.

    `connections` is empty where nothing can be read. Files are read one after the other, each
    in its own order.
    """

    def __init__(self, path: Path) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="mafs_salvage_")
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        self._files = [
            self._unpacked(file)
            for file in files
            if file.name.removesuffix(ZSTD_SUFFIX).endswith(STORAGE_SUFFIXES)
        ]
        counts: Counter[tuple[str, str]] = Counter()
        for topic, kind, _, _ in self._records():
            counts[topic, kind] += 1
        self.connections = [
            SalvagedConnection(topic, kind, count) for (topic, kind), count in counts.items()
        ]
        self.is_open = True

    def close(self) -> None:
        self._scratch.cleanup()
        self.is_open = False

    def _unpacked(self, file: Path) -> Path:
        """The file itself, or what could be unpacked of one that the recorder compressed whole."""
        if file.suffix != ZSTD_SUFFIX:
            return file
        unpacked = Path(self._scratch.name) / file.stem
        unpack(file, unpacked)
        return unpacked

    def messages(
        self, connections: list[SalvagedConnection]
    ) -> Iterator[tuple[SalvagedConnection, int, bytes]]:
        """(connection, time of recording in ns, CDR bytes) of these topics."""
        wanted = {(c.topic, c.msgtype): c for c in connections}
        for topic, kind, received, raw in self._records():
            connection = wanted.get((topic, kind))
            if connection is not None:
                yield connection, received, _decompressed(raw)

    def _records(self) -> Iterator[Record]:
        for file in self._files:
            yield from mcap_records(file) if file.suffix == ".mcap" else sqlite_records(file)


def unpack(packed: Path, unpacked: Path) -> None:
    """Unpack a zstd file up to its end or damage. Raises OSError where it cannot be written."""
    unpacker = zstd.ZstdDecompressor()
    with open(packed, "rb") as source, open(unpacked, "wb") as target:
        try:
            while not unpacker.eof and (part := source.read(UNPACK_BYTES)):
                target.write(unpacker.decompress(part))
        except zstd.ZstdError:
            return


def _decompressed(raw: bytes) -> bytes:
    return zstd.decompress(raw) if raw.startswith(ZSTD_MAGIC) else raw


def mcap_records(path: Path) -> Iterator[Record]:
    """The messages of an .mcap file up to its end or damage; a chunk cut in two is given up.

    Source: the MCAP specification (mcap.dev/spec), records of opcode 3 to 6.
    """
    try:
        with open(path, "rb") as file:
            if file.read(len(MCAP_MAGIC)) == MCAP_MAGIC:
                yield from _mcap_messages(file, {}, {})
    except (OSError, ValueError, KeyError, struct.error, RuntimeError, zstd.ZstdError):
        return


def _mcap_messages(
    file: IO[bytes], schemas: dict[int, str], channels: dict[int, tuple[str, str]]
) -> Iterator[Record]:
    while len(head := file.read(9)) == 9:
        code, length = struct.unpack("<BQ", head)
        if code == DATA_END or length > MAX_RECORD:
            return
        data = file.read(length)
        if len(data) < length:
            return
        if code == SCHEMA:
            schemas[_uint16(data, 0)] = _text(data, 2)[0]
        elif code == CHANNEL:
            channels[_uint16(data, 0)] = _text(data, 4)[0], schemas.get(_uint16(data, 2), "")
        elif code == MESSAGE:
            channel, _, received, _ = struct.unpack_from("<HIQQ", data)
            if channel in channels:
                yield *channels[channel], received, data[22:]
        elif code == CHUNK:
            yield from _mcap_messages(_chunk(data), schemas, channels)


def _chunk(data: bytes) -> IO[bytes]:
    compression, at = _text(data, 28)
    packed = data[at + 8 :]
    if compression == "zstd":
        packed = zstd.decompress(packed)
    elif compression == "lz4":
        packed = lz4_decompress(packed)
    return BytesIO(packed)


def _uint16(data: bytes, at: int) -> int:
    return struct.unpack_from("<H", data, at)[0]


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A string with its length before it, and the place behind it."""
    end = at + 4 + struct.unpack_from("<I", data, at)[0]
    return data[at + 4 : end].decode(), end


def sqlite_records(path: Path) -> Iterator[Record]:
    """The messages of a .db3 file, in the order in which they were written, up to damage."""
    try:
        with closing(sqlite3.connect(f"file:{path.resolve()}?mode=ro", uri=True)) as database:
            # Else SQLite refuses a file that is shorter than its header says.
            database.execute("PRAGMA writable_schema = ON")
            topics = {
                number: (name, kind)
                for number, name, kind in database.execute("SELECT id, name, type FROM topics")
            }
            for topic, received, raw in database.execute(
                "SELECT topic_id, timestamp, data FROM messages ORDER BY id"
            ):
                if topic in topics:
                    yield *topics[topic], received, raw
    except (sqlite3.Error, ValueError):
        return
