"""Every command that reads folders reads the same: files of four channels as MFNet has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layouts import make_layout

from mafs_ros.bags.reader import Bag
from mafs_ros.cli import main
from mafs_ros.commands.calibrate.pairs import pairs_of_folders
from mafs_ros.commands.fuse import find_pairs
from mafs_ros.evaluation.sampled_pairs import read_pairs
from mafs_ros.images.files.read import read_pair
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from training.data.datasets import open_dataset

Found = dict[str, tuple[np.ndarray, np.ndarray]]  # name -> RGB, thermal


@pytest.fixture
def mfnet(tmp_path: Path) -> Path:
    return make_layout("mfnet", tmp_path / "mfnet")


def of_quantize(mfnet: Path) -> Found:
    return {pair.name: (pair.rgb, pair.thermal) for pair in read_pairs(mfnet, 99)}


def of_fuse(mfnet: Path) -> Found:
    pairs = find_pairs(mfnet / "images", mfnet / "images")
    return {name: read_pair(rgb, thermal) for name, rgb, thermal in pairs}


def of_calibrate(mfnet: Path) -> Found:
    pairs = pairs_of_folders(mfnet / "images", mfnet / "images", 99)
    return {name: (rgb, thermal) for name, rgb, thermal in pairs.images}


def of_bag_make(mfnet: Path) -> Found:
    images, bag = str(mfnet / "images"), mfnet.parent / "bag"
    options = ["--rgb", images, "--thermal", images, "--labels", str(mfnet / "labels")]
    assert main(["bag", "make", *options, "--fps", "10", str(bag)]) == 0
    rgb, thermal, labels = [], [], 0
    with Bag(bag) as reader:
        for message in reader.messages(reader.image_topics):
            if message.topic == "/rgb/image":
                rgb.append(rgb_from_message(message.deserialize()))
            elif message.topic == "/thermal/image":
                thermal.append(thermal_from_message(message.deserialize()))
            else:
                labels += 1
    names = sorted(path.stem for path in (mfnet / "images").iterdir())
    assert labels == len(names)
    return dict(zip(names, zip(rgb, thermal, strict=True), strict=True))


def test_files_of_four_channels(mfnet: Path) -> None:
    splits = [open_dataset("mfnet", mfnet, split) for split in ("train", "val", "test")]
    expected = {one.name: (one.rgb, one.thermal) for split in splits for one in split}
    assert len(expected) == 6
    for read in (of_quantize, of_fuse, of_calibrate, of_bag_make):
        found = read(mfnet)
        assert found.keys() == expected.keys(), read
        for name, images in expected.items():
            for image, other in zip(images, found[name], strict=True):
                np.testing.assert_array_equal(image, other)
