"""CameraInfo, TF and depth of a bag: each pair is registered by what was recorded before it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mafs_ros.bags.reader import CAMERA_INFO, TF_MESSAGE, TYPES, Bag, BagError
from mafs_ros.bags.topics import choose_topics
from mafs_ros.bags.writer import BagWriter, image_header
from mafs_ros.commands.replay.candidates import Candidate
from mafs_ros.commands.replay.frames import FrameTrouble, perceive
from mafs_ros.evaluation.bag_cameras import BagCameras
from mafs_ros.evaluation.bag_pairs import PairReader
from mafs_ros.parameters.file import read_settings
from mafs_ros.perception.perception import Perception
from mafs_ros.perception.registration import Registration
from mafs_ros.perception.thermal import ThermalScaler

SIZE, FOCAL, BASELINE_M = (48, 64), 60.0, 0.5
STEP, START = 10**8, 1_700_000_000_000_000_000
SETTINGS = ["registration:=camera_info", "plane_depth_m:=10.0", "depth_topic:=depth/image"]


class MaximumEngine:
    def prepare(self, height: int, width: int) -> None:
        pass

    def __call__(self, rgb: np.ndarray, thermal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.maximum(rgb, thermal[..., None]), np.zeros_like(thermal)


def write(writer: BagWriter, topic: str, kind: str, stamp: int, **fields: Any) -> None:
    message = TYPES.types[kind](**fields)
    writer.write_raw(topic, kind, bytes(TYPES.serialize_cdr(message, kind)), stamp)


def write_info(writer: BagWriter, camera: str, stamp: int, focal: float = FOCAL) -> None:
    height, width = SIZE
    k = [focal, 0, width / 2 - 0.5, 0, focal, height / 2 - 0.5, 0, 0, 1]
    write(
        writer,
        f"/{camera}/camera_info",
        CAMERA_INFO,
        stamp,
        header=image_header(stamp, f"{camera}_optical"),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array(k, np.float64),
        r=np.eye(3).ravel(),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=TYPES.types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )


def write_transform(writer: BagWriter, stamp: int) -> None:
    types = TYPES.types
    vector, quaternion = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Quaternion"]
    transform = types["geometry_msgs/msg/TransformStamped"](
        header=image_header(stamp, "rgb_optical"),
        child_frame_id="thermal_optical",
        transform=types["geometry_msgs/msg/Transform"](
            translation=vector(x=BASELINE_M, y=0.0, z=0.0),
            rotation=quaternion(x=0.0, y=0.0, z=0.0, w=1.0),
        ),
    )
    write(writer, "/tf_static", TF_MESSAGE, stamp, transforms=[])  # which has no 12 bytes
    write(writer, "/tf_static", TF_MESSAGE, stamp, transforms=[transform])


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """Four pairs: before CameraInfo; with it; with depth of 5 m; with another thermal lens."""
    thermal = np.full(SIZE, 20, np.uint8)
    thermal[:, 24:32] = 250
    with BagWriter(tmp_path / "drive") as writer:
        for index in range(4):
            stamp = START + index * STEP
            if index == 1:
                write_transform(writer, stamp - 3)
                write_info(writer, "rgb", stamp - 2)
                write_info(writer, "thermal", stamp - 1)
            if index == 2:
                writer.write_image("/depth/image", np.full(SIZE, 5000, np.uint16), stamp, "rgb")
            if index == 3:
                write_info(writer, "thermal", stamp - 1, FOCAL / 2)
            writer.write_image("/rgb/image", np.zeros((*SIZE, 3), np.uint8), stamp, "rgb")
            writer.write_image("/thermal/image", thermal, stamp, "thermal")
    return tmp_path / "drive"


def strip(image: np.ndarray) -> tuple[int, int]:
    bright = np.flatnonzero(image[SIZE[0] // 2] > 130)
    return int(bright[0]), int(bright[-1])


def test_each_pair_is_registered_by_what_came_before_it(drive: Path) -> None:
    settings = read_settings(None, [*SETTINGS, "depth_slop_s:=0.05"])
    perception = Perception(MaximumEngine(), ThermalScaler("as_is"), Registration())
    result = SimpleNamespace(timings_ms=[])
    candidate = Candidate(perception, None, result)
    with Bag(drive) as bag:
        topics = choose_topics(bag)
        cameras = BagCameras(bag, settings, topics)
        reader = PairReader(topics, settings, None, lambda frame: True, cameras)
        before, plane, by_depth, zoomed = reader.frames(bag)
    with pytest.raises(FrameTrouble, match="registration: no CameraInfo on /rgb/camera_info and"):
        perceive(before, [candidate])
    shift = round(FOCAL * BASELINE_M / 10.0)
    assert strip(perceive(plane, [candidate]).perceived[0].thermal) == (24 + shift, 31 + shift)
    found = strip(perceive(by_depth, [candidate]).perceived[0].thermal)
    assert found == (24 + 2 * shift, 31 + 2 * shift)
    assert zoomed.depth is None  # 0.1 s old
    first, last = strip(perceive(zoomed, [candidate]).perceived[0].thermal)
    assert last - first == pytest.approx(16, abs=2)
    assert reader.log.count == 4


def test_a_bag_without_what_is_needed_is_named(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "drive") as writer:
        writer.write_image("/rgb/image", np.zeros((*SIZE, 3), np.uint8), START, "rgb")
        writer.write_image("/thermal/image", np.zeros(SIZE, np.uint8), START, "thermal")
        write_info(writer, "other", START)
    with Bag(tmp_path / "drive") as bag:
        topics = choose_topics(bag)
        settings = read_settings(None, ["registration:=camera_info"])
        with pytest.raises(BagError, match="needs /rgb/camera_info, which the bag lacks; its Ca"):
            BagCameras(bag, settings, topics)
        given = read_settings(
            None,
            ["registration:=camera_info", "rgb_camera_info_topic:=other/camera_info"],
        )
        with pytest.raises(BagError, match="/thermal/camera_info.*topics are: /other/camera_info"):
            BagCameras(bag, given, topics)
