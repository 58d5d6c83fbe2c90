"""The simulated rig's bag, registered by CameraInfo, TF and depth: against its known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mafs_ros.bags.reader import Bag
from mafs_ros.bags.simulate import write_simulated_drive
from mafs_ros.bags.topics import choose_topics
from mafs_ros.evaluation.bag_cameras import BagCameras, depth_of
from mafs_ros.parameters.file import read_settings
from mafs_ros.perception.registration import CameraRegistration
from mafs_ros.perception.registration.by_depth import DepthWarp
from mafs_ros.simulation import unaligned_rig

RIG = unaligned_rig()
SIZE = RIG.rgb.height, RIG.rgb.width
SETTINGS = ["registration:=camera_info", "plane_depth_m:=15.0", "depth_topic:=/depth/image"]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> tuple[CameraRegistration, np.ndarray]:
    """What a bag tells: the registration, and depth in metres, 0 where it is not known."""
    path: Path = tmp_path_factory.mktemp("rig") / "drive"
    write_simulated_drive(path, frames=1, fps=1.0, seed=3, night=False)
    with Bag(path) as bag:
        topics = choose_topics(bag)
        cameras = BagCameras(bag, read_settings(None, SETTINGS), topics)
        for message in bag.messages(cameras.names | {topics[0].name}):
            if message.topic == topics[0].name:
                rgb = message
            else:
                cameras.take(message)
        depth = depth_of(cameras.depth_for(rgb))
    assert cameras.registration is not None and depth is not None, cameras.trouble
    return cameras.registration, depth


def seen(pixels: np.ndarray) -> np.ndarray:
    """Which pixels [H, W, 2] are of the thermal image."""
    last = np.array([RIG.thermal.width - 1, RIG.thermal.height - 1])
    with np.errstate(invalid="ignore"):
        return ((pixels >= 0) & (pixels <= last)).all(-1)


def in_rgb_pixels(thermal_px: np.ndarray) -> float:
    """The largest of some distances in the thermal image, as RGB pixels."""
    return float(thermal_px.max() * RIG.rgb.k[0, 0] / RIG.thermal.k[0, 0])


@pytest.mark.parametrize("plane_m", [5.0, 10.0, 20.0, 60.0])
def test_by_camera_info_and_tf_the_plane_is_right_within_half_a_pixel(read, plane_m: float):
    pixels = np.moveaxis(np.mgrid[: SIZE[1] : 8, : SIZE[0] : 8], 0, -1)
    true = RIG.thermal_pixels(np.full(SIZE, plane_m))[pixels[..., 1], pixels[..., 0]]
    both = seen(true)
    found = read[0].rig.thermal_pixels(pixels, plane_m)
    assert both.mean() > 0.4
    assert in_rgb_pixels(np.linalg.norm(found - true, axis=-1)[both]) < 0.5


def test_by_depth_every_distance_is_right_within_a_pixel(read):
    registration, depth = read
    true = RIG.thermal_pixels(np.where(depth > 0, depth, 15.0))
    found = np.moveaxis(DepthWarp(registration.rig, 15.0).thermal_pixels(depth), 0, -1)
    off = np.linalg.norm(found - true, axis=-1)
    for nearest, farthest in ((3, 8), (8, 15), (15, 30), (30, 65)):
        these = seen(true) & (depth > nearest) & (depth <= farthest)
        assert these.sum() > 500, (nearest, farthest)
        assert in_rgb_pixels(off[these]) < 1.0, (nearest, farthest)
