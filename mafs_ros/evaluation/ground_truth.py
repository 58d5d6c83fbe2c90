"""Ground truth: the label map that belongs to a frame, from a topic of the bag or from a folder.

Labels find their frame by the stamp of its RGB image, within SAME_STAMP_NS, or, files whose names
are no stamps, by the number of the RGB image in the bag.
"""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.bags.reader import Bag, BagError, ImageTopic
from mafs_ros.images.files.folders import list_images
from mafs_ros.images.files.labels import label_ids
from mafs_ros.images.files.read import ImageFileError, read_labels
from mafs_ros.images.messages.compressed import payload_bytes
from mafs_ros.images.messages.decode import thermal_from_message
from mafs_ros.images.messages.pixels import ImageError

Image = NDArray[np.uint8]
SAME_STAMP_NS = 1_000_000  # stamps that went through a float of seconds
KEPT = 100  # labels of a topic that wait for their frame


class LabelFolder:
    """Label files of a folder, by RGB stamp or by number of the RGB image.

    Names of 13 digits or more are stamps in nanoseconds, SECONDS.NANOSECONDS and
    SECONDS_NANOSECONDS too; shorter numbers count the RGB images of the bag from 0. Other names
    must be as many as the RGB images, and go by natural order.
    """

    def __init__(self, folder: Path, rgb_count: int) -> None:
        self.path = folder
        files = list_images(folder)
        stamps = {name: _stamp(name) for name in files}
        if all(stamp is not None for stamp in stamps.values()):
            self._by_stamp = {
                stamp: files[name] for name, stamp in stamps.items() if stamp is not None
            }
            self._by_number: dict[int, Path] = {}
        elif all(name.isdecimal() for name in files):
            self._by_stamp = {}
            self._by_number = {int(name): path for name, path in files.items()}
        elif len(files) == rgb_count:
            self._by_stamp = {}
            self._by_number = dict(enumerate(files.values()))
        else:
            raise ImageFileError(
                f"{folder}: the {len(files)} names are neither stamps nor numbers, and are not as "
                f"many as the {rgb_count} RGB images; name the labels by the RGB stamp in ns, or "
                "by the number of the RGB image from 0"
            )
        self._stamps = np.array(sorted(self._by_stamp), np.int64)

    def find(self, stamp: int, number: int) -> Image | None:
        """The labels of an RGB image, raw ids; raises OSError or ImageFileError."""
        path = self._by_number.get(number)
        if self._stamps.size:
            nearest = int(self._stamps[np.abs(self._stamps - stamp).argmin()])
            path = self._by_stamp[nearest] if abs(nearest - stamp) <= SAME_STAMP_NS else None
        return None if path is None else read_labels(path)


class LabelTopic:
    """Labels of a topic that wait, as raw messages, for the frame with their stamp."""

    def __init__(self, topic: ImageTopic) -> None:
        self.topic = topic
        self._waiting: deque[tuple[int, Any]] = deque(maxlen=KEPT)
        self._newest = -1

    def add(self, message: Any) -> None:
        self._waiting.append((message.stamp, message))
        self._newest = max(self._newest, message.stamp)

    def is_decided(self, stamp: int) -> bool:
        """Whether the labels for this RGB stamp are here, or newer ones."""
        return self._newest >= stamp - SAME_STAMP_NS

    def find(self, stamp: int, number: int) -> Image | None:
        """The labels of an RGB image, raw ids; raises BagError, ImageError or ImageFileError."""
        del number
        for own, message in self._waiting:
            if abs(own - stamp) <= SAME_STAMP_NS:
                content = message.deserialize()
                if self.topic.compressed:
                    return label_ids(payload_bytes(content), self.topic.name)
                labels = thermal_from_message(content)
                if labels.dtype != np.uint8:
                    raise ImageError(
                        f"{self.topic.name}: got labels of type {labels.dtype}, "
                        "expected mono8 class ids"
                    )
                return np.asarray(labels, np.uint8)
        return None


GroundTruth = LabelTopic | LabelFolder


def open_labels(given: str, bag: Bag, rgb: ImageTopic) -> GroundTruth:
    """The labels that --labels names: a topic of the bag, or else a folder.

    Raises BagError or OSError that lists the topics there are.
    """
    for topic in bag.image_topics:
        if topic.name == "/" + given.lstrip("/"):
            return LabelTopic(topic)
    folder = Path(given)
    if not folder.is_dir():
        names = ", ".join(str(topic) for topic in bag.image_topics) or "none"
        raise BagError(
            f"--labels {given}: is no folder and no image topic of {bag.path}; its "
            f"image topics are: {names}"
        )
    return LabelFolder(folder, rgb.count)


def _stamp(name: str) -> int | None:
    """Nanoseconds that a file name says, or None."""
    if re.fullmatch(r"\d{13,20}", name):
        return int(name)
    if match := re.fullmatch(r"(\d{1,10})[._](\d{9})", name):
        return int(match[1]) * 10**9 + int(match[2])
    return None
