"""Recorded drives (rosbag2, sqlite3 or mcap): find the camera topics, read and write images.

Needs no ROS: `rosbags` reads and writes the files. Messages come with their raw CDR bytes, which
a ROS publisher sends as they are, and are deserialised only when asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from mafs_ros.cdr import header_stamp
from mafs_ros.salvage import SalvageReader

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"

# The image messages are the same in every ROS 2 from Humble on, and bags older than Iron hold no
# definitions: so these are used, whatever a bag says about its other types.
TYPES = get_typestore(Stores.ROS2_HUMBLE)

# Metadata version 8 (Iron): the newest that every rosbag2 from Humble to Kilted reads.
METADATA_VERSION: Literal[8] = 8

# What the name of a topic says about its images; where several words match, the last one does:
# /rgbt_rig/thermal/image is thermal, /thermal/labels neither.
NAME_HINTS = re.compile(
    r"(?P<thermal>thermal|thermo|infrared|lwir|mwir|flir|boson|lepton|optris"
    r"|(?<![a-z])(?:ir|tir|tau|seek)(?![a-z]))"
    r"|(?P<rgb>rgb|colou?r|visible)"
    r"|(?P<other>depth|disparity|confidence|label|mask|semantic|segment|overlay|fused|fusion)"
)
DEEP_GREY = ("mono16", "16UC1", "16SC1", "32FC1")
GREY = ("mono8", "8UC1", *DEEP_GREY)
PICTURE_FORMATS = ("jpeg", "jpg", "png")  # compressed messages may name no encoding

IMAGE_ENCODINGS = {
    (np.dtype(np.uint8), 3): "rgb8",
    (np.dtype(np.uint8), 2): "mono8",
    (np.dtype(np.uint16), 2): "mono16",
    (np.dtype(np.float32), 2): "32FC1",
}


class BagError(ValueError):
    """A bag cannot be read, or lacks what is needed; the message says what to do."""


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
    """One recorded image: `stamp` of its header and `received` by the recorder, in nanoseconds."""

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
                f"a message of {self.topic} at {self.received} ns cannot be read: {error}"
            ) from error


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
            if not salvage:
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
        if path.is_file() and path.suffix == ".bag":
            raise BagError(
                f"{path}: is a ROS 1 bag, expected a rosbag2; "
                f"`rosbags-convert --src {path} --dst NEW` makes one of it"
            )
        if path.is_file() and path.suffix not in (".mcap", ".db3"):
            raise BagError(f"{path}: is not a bag, expected a rosbag2 folder, .mcap or .db3 file")
        if path.is_dir() and not (path / "metadata.yaml").exists():
            parts = sorted(
                p.name
                for p in path.iterdir()
                if p.name.removesuffix(".zstd").endswith((".mcap", ".db3"))
            )
            if not parts:
                raise BagError(f"{path}: is not a bag: no metadata.yaml and no .mcap or .db3 file")
            raise BagError(
                f"{path}: metadata.yaml is missing, the recorder was probably cut off; "
                f"`ros2 bag reindex {path}` writes it anew, or give one file: {path / parts[0]}"
            )

    def _unreadable(self, error: Exception) -> str:
        reason = str(error).strip().rstrip(".") or type(error).__name__
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
        return self._reader.duration / 1e9

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

    def messages(self, topics: Iterable[ImageTopic | str]) -> Iterator[BagMessage]:
        """The messages of these topics in the order of recording, one at a time in memory.

        Raises BagError where the bag is damaged, after all messages before that place.
        """
        names = {topic if isinstance(topic, str) else topic.name for topic in topics}
        return self._read([c for c in self._reader.connections if c.topic in names])

    def _read(self, connections: list[Any]) -> Iterator[BagMessage]:
        if not connections:
            return
        messages = self._reader.messages(connections)
        while True:
            try:
                connection, received, raw = next(messages)
                message = BagMessage(
                    connection.topic, connection.msgtype, header_stamp(raw), received, raw
                )
            except StopIteration:
                return
            except Exception as error:  # rosbags raises many kinds on damaged files
                raise BagError(self._unreadable(error)) from error
            yield message


def choose_topics(bag: Bag, rgb: str = "", thermal: str = "") -> tuple[ImageTopic, ImageTopic]:
    """The RGB and the thermal topic of a bag: those named, else guessed.

    A guess goes by encoding (grey, deeper than 8 bit: thermal) and by words in the name
    (NAME_HINTS). Raises BagError, which lists the image topics
    there are, where a named one is missing or a guess finds none or several.
    """
    found_rgb = _named(bag, rgb) if rgb else None
    found_thermal = _named(bag, thermal) if thermal else None
    found_rgb = found_rgb or _best(bag, "rgb", _rgb_score, found_thermal)
    found_thermal = found_thermal or _best(bag, "thermal", _thermal_score, found_rgb)
    if found_rgb.name == found_thermal.name:
        raise BagError(f"{bag.path}: {rgb} is named as RGB and as thermal topic, expected two")
    return found_rgb, found_thermal


def _named(bag: Bag, name: str) -> ImageTopic:
    for topic in bag.image_topics:
        if topic.name == "/" + name.lstrip("/"):
            if not topic.encoding:
                raise BagError(f"{bag.path}: the topic {topic} holds no readable image")
            return topic
    raise BagError(f"{bag.path}: no image topic {name}; {_listing(bag)}")


def _best(bag: Bag, what: str, score: Any, taken: ImageTopic | None) -> ImageTopic:
    scores = {topic: score(topic) for topic in bag.image_topics if topic != taken}
    best = max(scores.values(), default=0)
    found = [topic for topic in scores if best > 0 and scores[topic] == best]
    raw_names = {topic.name for topic in found if not topic.compressed}
    found = [
        topic
        for topic in found
        if topic.name.removesuffix("/compressed") not in raw_names or not topic.compressed
    ]
    if len(found) == 1:
        return found[0]
    trouble = f"several topics may be the {what} one" if found else f"no topic looks {what}"
    raise BagError(f"{bag.path}: {trouble}, name it; {_listing(bag)}")


def _listing(bag: Bag) -> str:
    if not bag.image_topics:
        return "there are no image topics in this bag"
    return "the image topics are: " + ", ".join(str(topic) for topic in bag.image_topics)


def _name_hint(topic: ImageTopic) -> str | None:
    hints = [match.lastgroup for match in NAME_HINTS.finditer(topic.name.lower())]
    return hints[-1] if hints else None


def _rgb_score(topic: ImageTopic) -> int:
    hint = _name_hint(topic)
    if not topic.encoding or topic.encoding in GREY or hint in ("thermal", "other"):
        return 0
    return 2 if hint == "rgb" else 1


def _thermal_score(topic: ImageTopic) -> int:
    hint = _name_hint(topic)
    grey = topic.encoding in GREY or (topic.compressed and topic.encoding in PICTURE_FORMATS)
    if not grey or hint in ("rgb", "other"):
        return 0
    return 2 * (hint == "thermal") + (topic.encoding in DEEP_GREY)


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
            header=_header(stamp, frame_id),
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

    def write_raw(self, topic: str, message_type: str, raw: bytes, received: int) -> None:
        """Append a serialised message of any type that ROS 2 itself brings; `received` in ns."""
        connection = self._connections.get(topic)
        if connection is None:
            connection = self._writer.add_connection(topic, message_type, typestore=TYPES)
            self._connections[topic] = connection
        try:
            self._writer.write(connection, received, raw)
        except Exception as error:  # each storage has its own kind for a full disk
            raise OSError(f"{self.path}: this bag cannot be written: {error}") from error


def _header(stamp: int, frame_id: str) -> Any:
    time = TYPES.types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
    return TYPES.types["std_msgs/msg/Header"](stamp=time, frame_id=frame_id)
