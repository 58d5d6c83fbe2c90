"""What can still be read of a bag that was cut off or lost its metadata.yaml.

`SalvageReader` has the interface of rosbags' Reader. It reads each storage file from its start,
without any index, up to the place where it ends or is damaged. Needs no ROS.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from mcap.data_stream import ReadDataStream
from mcap.exceptions import EndOfFile, McapError
from mcap.records import Channel, Chunk, DataEnd, Message, Schema
from mcap.stream_reader import StreamReader, get_chunk_data_stream

from mafs_ros.bags.what_it_is import has_wal, storage_files

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
Record = tuple[str, str, int, bytes]  # topic, message type, time of recording (ns), CDR bytes
ZSTD_SUFFIX = ".zstd"
UNPACK_BYTES = 1 << 20
MAX_RECORD = 1 << 30  # a longer one is damage: it would fill the memory
HEADER = struct.Struct("<9sQ")  # magic and kind, length of what follows
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # of a message that the recorder compressed; CDR begins with 0


@dataclass(frozen=True)
class SalvagedConnection:
    """A topic as rosbags' Connection describes it, as far as the reader asks."""

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
        self._files = [self._unpacked(file) for file in storage_files(path)]
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
    """The messages of an .mcap file up to its end or damage; a chunk cut in two is given up."""
    try:
        with open(path, "rb") as file:
            # Magic and header are skipped, not read: damage in them costs no message.
            _, length = HEADER.unpack(file.read(HEADER.size))
            file.seek(length, os.SEEK_CUR)
            yield from _mcap_messages(file, {}, {})
    except Exception:  # each compression has its own kind for damaged bytes
        return


class _Whole:
    """A stream that gives no part of what is asked for, and nothing that would fill the memory."""

    def __init__(self, stream: IO[bytes] | ReadDataStream) -> None:
        self._stream = stream

    def read(self, length: int) -> bytes:
        if not 0 <= length <= MAX_RECORD:  # only damage asks for that
            raise ValueError(f"a record of {length} bytes")
        data = self._stream.read(length)
        if len(data) < length:
            raise EndOfFile
        return data


def _mcap_messages(
    stream: IO[bytes] | ReadDataStream,
    schemas: dict[int, str],
    channels: dict[int, tuple[str, str]],
) -> Iterator[Record]:
    # StreamReader unpacks a chunk as a whole and loses all of one that is damaged inside: chunks
    # are read as streams of their own. Measured on 520 cut files (no chunks, plain, zstd, lz4):
    # every whole message of a whole chunk.
    reader = StreamReader(
        cast(IO[bytes], _Whole(stream)),
        skip_magic=True,
        emit_chunks=True,
        record_size_limit=MAX_RECORD,
    )
    for record in reader.records:
        if isinstance(record, DataEnd):
            return
        if isinstance(record, Schema):
            schemas[record.id] = record.name
        elif isinstance(record, Channel):
            channels[record.id] = record.topic, schemas.get(record.schema_id, "")
        elif isinstance(record, Message) and record.channel_id in channels:
            yield *channels[record.channel_id], record.log_time, record.data
        elif isinstance(record, Chunk):
            with suppress(McapError):  # its end, or damage: the next one may be sound
                content, _ = get_chunk_data_stream(record)
                yield from _mcap_messages(content, schemas, channels)


def sqlite_records(path: Path) -> Iterator[Record]:
    """The messages of a .db3 file, in the order in which they were written, up to damage."""
    try:
        # Without a log to read, nothing is written beside the bag.
        mode = "mode=ro" if has_wal(path) else "immutable=1"
        with closing(sqlite3.connect(f"file:{path.resolve()}?{mode}", uri=True)) as database:
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
