"""The pairs of a drive as a calibration measures them: of a bag, or of two folders."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mafs_ros.bags.reader import Bag, BagError, ImageTopic
from mafs_ros.bags.topics import choose_topics
from mafs_ros.base.errors import one_line
from mafs_ros.calibration.choice import CANDIDATES
from mafs_ros.calibration.errors import CalibrationError
from mafs_ros.calibration.frames import Frame, frame_of
from mafs_ros.calibration.lens import Undistortion
from mafs_ros.commands.calibrate.camera_info import lens_of
from mafs_ros.evaluation.bag_pairs import Frame as Pair
from mafs_ros.evaluation.bag_pairs import PairReader
from mafs_ros.evaluation.sampled_pairs import spread, why_unpaired
from mafs_ros.images.files.folders import pair_folders
from mafs_ros.images.files.read import read_rgb, read_thermal
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.perception.build import scaler_from
from mafs_ros.perception.registration.lens import Lens

Read = tuple[str, NDArray[Any], NDArray[Any]]  # name, RGB, thermal as they came


@dataclass
class Drive:
    """Frames in order; the lenses of thermal and RGB camera where CameraInfo says them."""

    frames: list[Frame]
    lenses: tuple[Lens | None, Lens | None] = (None, None)


def drive_of_folders(rgb: Path, thermal: Path, settings: dict[str, Any]) -> Drive:
    """Of image files that pair by name; raises OSError or ValueError."""
    pairs = pair_folders(rgb, thermal)
    wanted = [pairs[index] for index in spread(len(pairs), CANDIDATES)]

    def read() -> Iterator[Read]:
        for name, rgb_file, thermal_file in wanted:
            yield name, read_rgb(rgb_file), read_thermal(thermal_file)

    return Drive(_frames(read(), len(wanted), settings, (None, None)))


def drive_of_bag(path: Path, topics: tuple[str, str], settings: dict[str, Any]) -> Drive:
    """Of a rosbag2, paired by the node's own pairing.

    topics: RGB and thermal, '' where they are guessed; settings: parameters of the node. Of a
    damaged bag what can be read is used. Raises OSError or ValueError.
    """
    with Bag(path, salvage=True) as bag:
        if bag.damage:
            logging.getLogger(__name__).warning("%s", bag.damage)
        rgb, thermal = choose_topics(bag, *topics)
        count = min(rgb.count, thermal.count)
        wanted = set(spread(count, CANDIDATES))
        reader = PairReader((rgb, thermal), settings, None, lambda pair: pair.number in wanted)
        lenses = lens_of(bag, thermal, "thermal"), lens_of(bag, rgb, "RGB")
        pairs = _read_bag(bag, reader, (rgb, thermal))
        frames = _frames(pairs, len(wanted), settings, lenses)
        if not reader.log.count:
            why = why_unpaired(reader.log, (rgb, thermal))
            raise CalibrationError(f"{path}: no pair found; {why}")
    return Drive(frames, lenses)


def _read_bag(
    bag: Bag, reader: PairReader, topics: tuple[ImageTopic, ImageTopic]
) -> Iterator[Read]:
    """The pairs that can be read; raises CalibrationError where none can."""
    used, reason = 0, ""
    for pair in _before_damage(reader.frames(bag)):
        try:
            rgb = rgb_from_message(pair.rgb.deserialize())
            yield str(pair.rgb.stamp), rgb, thermal_from_message(pair.thermal.deserialize())
            used += 1
        except (BagError, ValueError) as error:
            reason = reason or one_line(error)
    if reason and not used:
        raise CalibrationError(
            f"{bag.path}: no pair of {topics[0].name} (RGB) and {topics[1].name} (thermal) can be "
            f"used: {reason}; are the two topics swapped?"
        )


def _before_damage(pairs: Iterator[Pair]) -> Iterator[Pair]:
    try:
        yield from pairs
    except BagError as error:
        logging.getLogger(__name__).warning("%s; what lies before that is used", error)


def _frames(
    pairs: Iterator[Read],
    count: int,
    settings: dict[str, Any],
    lenses: tuple[Lens | None, Lens | None],
) -> list[Frame]:
    scaler = scaler_from({**settings, "thermal_time_constant_s": 0.0})  # each its own range
    undistortions = [Undistortion(lens) if lens and lens.distorts else None for lens in lenses]
    frames: list[Frame] = []
    for name, rgb, counts in tqdm(pairs, "reading", count, unit="pair", disable=None):
        thermal = scaler(counts, 0.0)
        thermal, rgb = (
            image if undistortion is None else undistortion(image)
            for image, undistortion in zip((thermal, rgb), undistortions, strict=True)
        )
        frame = frame_of(name, rgb, np.asarray(thermal, np.uint8))
        if frames:
            _check_same_size(frames[0], frame)
        frames.append(frame)
    return frames


def _check_same_size(first: Frame, frame: Frame) -> None:
    if (first.rgb_size, first.thermal_size) != (frame.rgb_size, frame.thermal_size):
        raise CalibrationError(
            f"the images of {frame.name} are {_sizes(frame)}, those of {first.name} "
            f"{_sizes(first)}: a registration is measured on images of one size"
        )


def _sizes(frame: Frame) -> str:
    return " and ".join(
        f"{size[1]}x{size[0]} ({camera})"
        for size, camera in ((frame.rgb_size, "RGB"), (frame.thermal_size, "thermal"))
    )
