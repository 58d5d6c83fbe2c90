"""A sample of the pairs of a data folder or a bag, evenly spread, as the network sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.bags.fit import fit
from mafs_ros.bags.reader import Bag, BagError, ImageTopic
from mafs_ros.bags.topics import choose_topics
from mafs_ros.base.errors import one_line
from mafs_ros.evaluation.bag_pairs import PairLog, PairReader
from mafs_ros.evaluation.ground_truth import LabelFolder
from mafs_ros.evaluation.label_mapper import LabelMapper
from mafs_ros.images.files.data_folders import LOOKS_LIKE, data_pairs, find_drives
from mafs_ros.images.files.folders import files_of
from mafs_ros.images.files.read import ImageFileError, read_labels, read_pair
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.parameters.file import read_settings
from mafs_ros.perception.thermal import ThermalScaler

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """rgb uint8 [H, W, 3]; thermal uint8 [H, W], scaled; labels uint8 [H, W] or None."""

    name: str
    rgb: Image
    thermal: Image
    labels: Image | None = None


def read_pairs(
    data: Path,
    count: int,
    size: tuple[int, int] | None = None,
    labels: Path | None = None,
    mapper: LabelMapper | None = None,
    topics: tuple[str, str] = ("", ""),
) -> list[Pair]:
    """Read at most `count` pairs.

    data: a folder that `data_folders.find_drives` understands, or a rosbag2. size: height and
    width that all are resized to; None: that of the first RGB image.
    labels: folder of label files, named like the images or, for a recording, by stamp or number;
    a pair without one is left out. mapper: what turns their ids into the network's. topics: RGB
    and thermal topic of a rosbag2; '': guessed.

    Raises OSError or ValueError that says what is wrong.
    """
    if not data.exists():
        raise FileNotFoundError(f"{data}: there is no such folder or recording")
    if find_drives(data):
        found = _of_folders(data, count, labels)
    else:
        found = _of_recording(data, count, labels, topics)
    pairs = []
    scaler = ThermalScaler(time_constant_s=0.0)  # each image has its own range
    for name, rgb, thermal, ids in found:
        size = size or (rgb.shape[0], rgb.shape[1])
        mapped = None if ids is None or mapper is None else mapper(ids, rgb.shape[:2])
        pairs.append(
            Pair(
                name,
                _resized(rgb, size, cv2.INTER_AREA),
                _resized(scaler(thermal, 0.0), size, cv2.INTER_LINEAR),
                None if mapped is None else _resized(mapped, size, cv2.INTER_NEAREST),
            )
        )
    if not pairs:
        raise ValueError(f"{data}: no pair found" + " that has labels" * (labels is not None))
    return pairs


Found = Iterator[tuple[str, Image, NDArray[Any], Image | None]]


def _of_folders(data: Path, count: int, labels: Path | None) -> Found:
    files = [pair for pair, _ in data_pairs(data, labelled=False)]
    label_files = files_of([file[0] for file in files], labels) if labels else {}
    if labels:
        files = [file for file in files if file[0] in label_files]
    for index in spread(len(files), count):
        name, rgb_file, thermal_file = files[index]
        ids = read_labels(label_files[name]) if labels else None
        yield name, *read_pair(rgb_file, thermal_file), ids


def _of_recording(path: Path, count: int, labels: Path | None, names: tuple[str, str]) -> Found:
    try:
        bag = Bag(path)
    except BagError as error:
        raise ImageFileError(f"{error}; expected a rosbag2, or {LOOKS_LIKE}") from None
    with bag:
        topics = choose_topics(bag, *names)
        folder = LabelFolder(labels, topics[0].count) if labels else None
        wanted = set(spread(min(topic.count for topic in topics), count))
        reader = PairReader(
            topics, read_settings(None, ()), folder, lambda frame: frame.number in wanted
        )
        for frame in reader.frames(bag):
            ids = folder.find(frame.rgb.stamp, frame.rgb_number) if folder else None
            if folder is None or ids is not None:
                yield (
                    str(frame.rgb.stamp),
                    rgb_from_message(frame.rgb.deserialize()),
                    thermal_from_message(frame.thermal.deserialize()),
                    ids,
                )
        if not reader.log.count:
            raise ImageFileError(f"{path}: no pair found; {why_unpaired(reader.log, topics)}")


def why_unpaired(log: PairLog, topics: tuple[ImageTopic, ImageTopic]) -> str:
    """What is wrong with a recording whose images make no pair, and what to do."""
    rgb, thermal = (log.times[topic.name] for topic in topics)
    try:
        fault = fit(rgb, thermal, (topics[0].name, topics[1].name)).fault
    except ValueError as error:
        return one_line(error)
    names = f"{topics[0].name} and {topics[1].name}"
    found = fault.text if fault else f"no two images of {names} have stamps within slop_s"
    return (
        f"{found}; `mafs bag info` says more, and `mafs bag make --fps` makes a bag of exported "
        "images whose stamps fit"
    )


def spread(total: int, count: int) -> list[int]:
    """At most `count` numbers, evenly spread over 0 .. total - 1."""
    return sorted({round(value) for value in np.linspace(0, total - 1, min(total, count))})


def _resized(image: Image, size: tuple[int, int], interpolation: int) -> Image:
    if image.shape[:2] == size:
        return np.ascontiguousarray(image)
    return np.asarray(cv2.resize(image, size[::-1], interpolation=interpolation), np.uint8)
