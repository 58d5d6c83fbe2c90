"""The pairs that a calibration reads, as they come: of a bag, or of two folders."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mafs_ros.bags.reader import Bag, BagError, ImageTopic
from mafs_ros.bags.topics import choose_topics
from mafs_ros.base.errors import one_line
from mafs_ros.commands.calibrate.camera_info import lens_of
from mafs_ros.commands.calibrate.method.errors import CalibrationError
from mafs_ros.evaluation.bag_pairs import Frame as Pair
from mafs_ros.evaluation.bag_pairs import PairReader
from mafs_ros.evaluation.sampled_pairs import spread, why_unpaired
from mafs_ros.images.files.folders import pair_folders
from mafs_ros.images.files.read import read_pair
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.perception.registration.lens import Lens

Read = tuple[str, NDArray[Any], NDArray[Any]]  # name, RGB, thermal
Lenses = tuple[Lens | None, Lens | None]  # of thermal and RGB camera


@dataclass
class Pairs:
    """Pairs that are read as they are asked for.

    count: of them, at most; bag: what their lenses are read from, with the RGB and the thermal
    topic.
    """

    images: Iterator[Read]
    count: int
    bag: Bag | None = None
    topics: tuple[ImageTopic, ...] = ()

    def lenses(self) -> Lenses:
        """What CameraInfo says of the cameras."""
        if self.bag is None:
            return None, None
        rgb, thermal = self.topics
        return lens_of(self.bag, thermal, "thermal"), lens_of(self.bag, rgb, "RGB")


def pairs_named(
    args: argparse.Namespace, settings: dict[str, Any], most: int
) -> AbstractContextManager[Pairs]:
    """Those of the bag or the folders that the options name, at most so many, evenly spread.

    settings: parameters of the node. Raises OSError or ValueError, while pairs are read too.
    """
    if args.bag is None:
        return nullcontext(pairs_of_folders(args.rgb, args.thermal, most))
    return pairs_of_bag(args.bag, (args.rgb_topic, args.thermal_topic), settings, most)


def pairs_of_folders(rgb: Path, thermal: Path, most: int) -> Pairs:
    """Of image files that pair by name, at most so many; raises OSError or ValueError."""
    pairs = pair_folders(rgb, thermal)
    wanted = [pairs[index] for index in spread(len(pairs), most)]

    def read() -> Iterator[Read]:
        for name, rgb_file, thermal_file in wanted:
            yield name, *read_pair(rgb_file, thermal_file)

    return Pairs(read(), len(wanted))


@contextmanager
def pairs_of_bag(
    path: Path, topics: tuple[str, str], settings: dict[str, Any], most: int
) -> Iterator[Pairs]:
    """Of a rosbag2, paired by the node's own pairing; at most so many, evenly spread.

    topics: RGB and thermal, '' where they are guessed; settings: parameters of the node. Of a
    damaged bag what can be read is used. Raises OSError or ValueError, while pairs are read too.
    """
    with Bag(path, salvage=True) as bag:
        if bag.damage:
            logging.getLogger(__name__).warning("%s", bag.damage)
        chosen = choose_topics(bag, *topics)
        wanted = set(spread(min(topic.count for topic in chosen), most))
        reader = PairReader(chosen, settings, None, lambda pair: pair.number in wanted)
        yield Pairs(_read_bag(bag, reader, chosen), len(wanted), bag, chosen)


def _read_bag(
    bag: Bag, reader: PairReader, topics: tuple[ImageTopic, ImageTopic]
) -> Iterator[Read]:
    """The pairs that can be read; raises CalibrationError where none can."""
    used, reason = 0, ""
    for pair in _before_damage(reader.frames(bag)):
        try:
            rgb = rgb_from_message(pair.rgb.deserialize())
            read = str(pair.rgb.stamp), rgb, thermal_from_message(pair.thermal.deserialize())
        except (BagError, ValueError) as error:
            reason = reason or one_line(error)
            continue
        yield read
        used += 1
    if reason and not used:
        raise CalibrationError(
            f"{bag.path}: no pair of {topics[0].name} (RGB) and {topics[1].name} (thermal) can be "
            f"used: {reason}; are the two topics swapped?"
        )
    if not reader.log.count:
        raise CalibrationError(f"{bag.path}: no pair found; {why_unpaired(reader.log, topics)}")


def _before_damage(pairs: Iterator[Pair]) -> Iterator[Pair]:
    try:
        yield from pairs
    except BagError as error:
        logging.getLogger(__name__).warning("%s; what lies before that is used", error)
