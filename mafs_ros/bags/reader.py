"""Recorded drives (rosbag2, sqlite3 or mcap): find the camera topics, read and write images.

Needs no ROS: `rosbags` reads and writes the files. Messages come with their raw CDR bytes, which
a ROS publisher sends as they are, and are deserialised only when asked.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.rosbag2 import Reader, ReaderError
from rosbags.typesys import Stores, get_typestore

from mafs_ros.bags.salvage import SalvageReader
from mafs_ros.bags.what_it_is import damage, foreign, metadata_trouble, storage_files, unclosed
from mafs_ros.base.errors import one_line
from mafs_ros.images.messages.cdr import header_stamp

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TF_MESSAGE = "tf2_msgs/msg/TFMessage"
WITHOUT_HEADER = (TF_MESSAGE,)  # of the types that are read
# The image messages are the same in every ROS 2 from Humble on, and bags older than Iron hold no
# definitions: so these are used, whatever a bag says about its other types.
TYPES = get_typestore(Stores.ROS2_HUMBLE)


class BagError(ValueError):
    """A bag cannot be read, or lacks what is needed; the message says what to do."""


class NotARosbag2(BagError):
    """What is to be read is something else, of which nothing can be salvaged."""


@dataclass(frozen=True)
class ImageTopic:
    """An image topic of a bag, described by its first message.

    `encoding`: of Image; of CompressedImage the part of `format` before the semicolon; empty
    where the topic has no readable message. `height` and `width` are 0 for CompressedImage.
    """

    name: str
    message_type: str
    count: int
    encoding: str
    height: int = 0
    width: int = 0
    frame_id: str = ""

    @property
    def compressed(self) -> bool:
        return self.message_type == COMPRESSED_IMAGE

    def __str__(self) -> str:
        size = f" {self.width}x{self.height}" if self.width else ""
        kind = " compressed" if self.compressed else ""
        return f"{self.name} ({self.encoding or 'unknown'}{kind}{size}, {self.count} messages)"


@dataclass(frozen=True)
class BagMessage:
    """One recorded message: `stamp` of its header and `received` by the recorder, in nanoseconds.

    TF messages have no header of their own, and `received` is their stamp too.
    """

    topic: str
    message_type: str
    stamp: int
    received: int
    raw: bytes

    def deserialize(self) -> Any:
        """The message with the fields of its ROS type; `.data` is a uint8 array, not copied."""
        try:
            return TYPES.deserialize_cdr(self.raw, self.message_type)
        except Exception as error:  # whatever rosbags meets in damaged bytes
            raise BagError(
                f"a message of {self.topic} at {self.received} ns cannot be read: its bytes are "
                f"not those of a whole {self.message_type} ({one_line(error)})"
            ) from error


Messages = Generator[BagMessage, None, None]


class Bag:
    """A rosbag2 open for reading: a folder with metadata.yaml, or one .mcap or .db3 file.

        with Bag(path) as bag:
            rgb, thermal = choose_topics(bag)
            for message in bag.messages([rgb, thermal]):
                ...

    salvage: read what there is of a bag that was cut off or lost its metadata.yaml; `damage` then
    says what is wrong with it, and is empty for a sound bag.

    Raises FileNotFoundError or BagError (not a bag, no metadata.yaml, cut off, unknown format).
    """

    def __init__(self, path: Path | str, *, salvage: bool = False) -> None:
        self.path = Path(path)
        if self.path.name == "metadata.yaml":
            self.path = self.path.parent
        self.damage = ""
        self._reader: Any  # rosbags' Reader or a SalvageReader
        try:
            self._check_path()
            self._reader = self._open()
        except BagError as error:
            if not salvage or isinstance(error, NotARosbag2):
                raise
            self._reader = SalvageReader(self.path)
            if not self._reader.connections:
                self._reader.close()
                raise
            self.damage = str(error)

    def _open(self) -> Reader:
        try:
            reader = Reader(self.path)
            reader.open()
        except Exception as error:  # rosbags raises many kinds on damaged files
            raise BagError(self._unreadable(error)) from error
        return reader

    def _check_path(self) -> None:
        path = self.path
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such bag")
        if what := foreign(path):
            raise NotARosbag2(what)
        if trouble := damage(path):
            raise BagError(f"{path}: cannot be read: {trouble}")
        if path.is_dir() and not (path / "metadata.yaml").exists():
            file = storage_files(path)[0]
            raise BagError(
                f"{path}: metadata.yaml is missing, the recorder was probably cut off; "
                f"`ros2 bag reindex {path}` writes it anew, or give one file: {file}"
            )
        if trouble := unclosed(path):
            raise BagError(trouble)

    def _unreadable(self, error: Exception) -> str:
        reason = one_line(error).rstrip(".")
        by_metadata = isinstance(error, (ReaderError, UnicodeDecodeError)) and self.path.is_dir()
        if by_metadata and (trouble := metadata_trouble(self.path, reason)):
            return f"{self.path}: cannot be read: {trouble}"
        return (
            f"{self.path}: cannot be read, the bag is damaged, cut off or of an unknown "
            f"format ({reason}); `mcap recover` or `ros2 bag reindex` may help"
        )

    def __enter__(self) -> Bag:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; the bag cannot be read after that."""
        if self._reader.is_open:
            self._reader.close()

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last message of the bag, by its index."""
        if self._reader.duration:
            return self._reader.duration / 1e9
        received = [m.received for m in self.messages(self.image_topics)]  # the index lies
        return (max(received) - min(received)) / 1e9 if received else 0.0

    @cached_property
    def image_topics(self) -> tuple[ImageTopic, ...]:
        """The topics of Image and CompressedImage messages, by name."""
        topics: dict[str, list[Any]] = {}
        for connection in self._reader.connections:
            if connection.msgtype in (IMAGE, COMPRESSED_IMAGE):
                topics.setdefault(connection.topic, []).append(connection)
        return tuple(self._describe(topics[name]) for name in sorted(topics))

    def _describe(self, connections: list[Any]) -> ImageTopic:
        name, kind = connections[0].topic, connections[0].msgtype
        count = sum(connection.msgcount for connection in connections)
        count = count or self._counted(connections)
        try:
            first = next(self._read(connections)).deserialize()
        except (BagError, StopIteration):
            return ImageTopic(name, kind, count, "")
        if kind == COMPRESSED_IMAGE:
            encoding = first.format.split(";")[0].strip()
            return ImageTopic(name, kind, count, encoding, frame_id=first.header.frame_id)
        return ImageTopic(
            name, kind, count, first.encoding, first.height, first.width, first.header.frame_id
        )

    def _counted(self, connections: list[Any]) -> int:
        """How many messages there are of a topic that has none by the index."""
        count = 0
        with suppress(BagError):
            for _ in self._read(connections):
                count += 1
        return count

    @property
    def other_topics(self) -> list[str]:
        """'NAME (TYPE)' of the topics that are no image topics."""
        return sorted(
            {
                f"{c.topic} ({c.msgtype})"
                for c in self._reader.connections
                if c.msgtype not in (IMAGE, COMPRESSED_IMAGE)
            }
        )

    def messages(self, topics: Iterable[ImageTopic | str]) -> Messages:
        """The messages of these topics in the order of recording, one at a time in memory.

        Raises BagError where the bag is damaged, after all messages before that place.
        """
        names = {topic if isinstance(topic, str) else topic.name for topic in topics}
        return self._read([c for c in self._reader.connections if c.topic in names])

    def _read(self, connections: list[Any]) -> Messages:
        if not connections:
            return
        messages = self._reader.messages(connections)
        while True:
            try:
                connection, received, raw = next(messages)
                stamp = received if connection.msgtype in WITHOUT_HEADER else header_stamp(raw)
                message = BagMessage(connection.topic, connection.msgtype, stamp, received, raw)
            except StopIteration:
                return
            except Exception as error:  # rosbags raises many kinds on damaged files
                raise BagError(self._unreadable(error)) from error
            yield message
