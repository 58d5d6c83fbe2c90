"""Writes a bag of images."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from mafs_ros.bags.reader import IMAGE, TYPES, BagError
from mafs_ros.images.messages.encodings import IMAGE_ENCODINGS

# Metadata version 8 (Iron): the newest that every rosbag2 from Humble to Kilted reads.
METADATA_VERSION: Literal[8] = 8
_FOREVER = QosTime(2147483647, 4294967295)
LATCHED = Qos(
    QosHistory.KEEP_LAST,
    1,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    deadline=_FOREVER,
    lifespan=_FOREVER,
    liveliness=QosLiveliness.AUTOMATIC,
    liveliness_lease_duration=_FOREVER,
    avoid_ros_namespace_conventions=False,
)


class BagWriter:
    """Writes a new rosbag2 folder; storage 'mcap' or 'sqlite3', optionally with zstd.

    compress: per message, which every rosbag2 reads; 'file': the whole file, likewise; 'chunks':
    per chunk of an mcap, which viewers that know no rosbag2 read too.

    Used with `with`. Ended by an error or Ctrl-C it still closes the bag properly, so that
    what was written can be read. Raises BagError where `path` exists, OSError where it cannot be
    written.
    """

    def __init__(
        self,
        path: Path | str,
        storage: str = "mcap",
        compress: bool | Literal["chunks", "file"] = False,
    ) -> None:
        self.path = Path(path)
        if storage not in ("mcap", "sqlite3"):
            raise BagError(f"got the bag storage {storage!r}, expected mcap or sqlite3")
        if self.path.exists():
            raise BagError(f"{path}: exists already and is not overwritten; give another name")
        self._writer = Writer(
            self.path, version=METADATA_VERSION, storage_plugin=StoragePlugin[storage.upper()]
        )
        if compress:
            modes = {
                "chunks": CompressionMode.STORAGE,
                "file": CompressionMode.FILE,
                True: CompressionMode.MESSAGE,
            }
            self._writer.set_compression(modes[compress], CompressionFormat.ZSTD)
        try:
            self._writer.open()
        except OSError as error:
            raise OSError(f"{path}: this bag cannot be written: {error}") from error
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except OSError:
            if error is None:
                raise

    def close(self) -> None:
        """Write index and metadata.yaml; raises OSError where they cannot be written."""
        try:
            self._writer.close()
        except Exception as error:  # each storage has its own kind for a full disk
            self._writer.abort()
            raise OSError(f"{self.path}: this bag cannot be finished: {error}") from error

    def write_image(
        self, topic: str, image: np.ndarray, stamp: int, frame_id: str, received: int | None = None
    ) -> None:
        """Append an image: uint8 [H, W, 3] as rgb8, uint8, uint16 or float32 [H, W] as grey.

        `stamp` and `received` (default: the stamp) are in nanoseconds.
        """
        encoding = IMAGE_ENCODINGS.get((image.dtype, image.ndim))
        if encoding is None or (encoding == "rgb8" and image.shape[2] != 3):
            raise BagError(
                f"{topic}: cannot write {image.dtype} {list(image.shape)}, expected "
                "uint8 [H, W, 3], or uint8, uint16 or float32 [H, W]"
            )
        little_endian = np.ascontiguousarray(image, image.dtype.newbyteorder("<"))
        message = TYPES.types[IMAGE](
            header=image_header(stamp, frame_id),
            height=image.shape[0],
            width=image.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=little_endian.strides[0],
            data=little_endian.reshape(-1).view(np.uint8),
        )
        self.write_raw(
            topic,
            IMAGE,
            bytes(TYPES.serialize_cdr(message, IMAGE)),
            stamp if received is None else received,
        )

    def write_raw(
        self, topic: str, message_type: str, raw: bytes, received: int, *, latched: bool = False
    ) -> None:
        """Append a serialised message of any type that ROS 2 itself brings; `received` in ns.

        latched: players of the bag offer the topic's last message to those who come later.
        """
        connection = self._connections.get(topic)
        if connection is None:
            connection = self._writer.add_connection(
                topic,
                message_type,
                typestore=TYPES,
                offered_qos_profiles=[LATCHED] if latched else [],
            )
            self._connections[topic] = connection
        try:
            self._writer.write(connection, received, raw)
        except Exception as error:  # each storage has its own kind for a full disk
            raise OSError(f"{self.path}: this bag cannot be written: {error}") from error


def image_header(stamp: int, frame_id: str) -> Any:
    """A std_msgs/Header; `stamp` in nanoseconds."""
    time = TYPES.types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
    return TYPES.types["std_msgs/msg/Header"](stamp=time, frame_id=frame_id)
