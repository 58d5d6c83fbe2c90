"""A bag of a simulated drive with two cameras that do not see the same rectangle."""

from __future__ import annotations

import shutil
from pathlib import Path

from mafs_ros.bags.make import (
    DEPTH_TOPIC,
    LABELS_TOPIC,
    RGB_TOPIC,
    THERMAL_TOPIC,
    even_stamps,
)
from mafs_ros.bags.reader import CAMERA_INFO, IMAGE, TF_MESSAGE
from mafs_ros.bags.rig_messages import (
    TF_STATIC,
    camera_info,
    depth_image,
    static_transform,
)
from mafs_ros.bags.writer import BagWriter
from mafs_ros.perception.registration.topics import camera_info_beside
from mafs_ros.simulation import RigFrame, RigStreet, SimulatedRig, unaligned_rig

RGB_FRAME, THERMAL_FRAME = "rgb_camera", "thermal_camera"


def write_simulated_drive(
    path: Path,
    *,
    frames: int,
    fps: float,
    seed: int,
    night: bool | None,
    storage: str = "mcap",
    compress: bool = False,
    width: int = 640,
    height: int = 480,
) -> None:
    """Write a bag of `unaligned_rig`: images, labels, depth, camera_info and /tf_static.

    Depth is 16UC1 in mm on DEPTH_TOPIC. The same arguments give the same bag. Raises BagError
    where `path` exists, OSError where it cannot be written; no half bag is left.
    """
    from tqdm import tqdm

    rig = unaligned_rig(height, width)
    street = RigStreet(rig, seed, night)
    stamps = [stamp for stamp, _ in even_stamps(fps, frames)]
    transform = static_transform(rig, RGB_FRAME, THERMAL_FRAME, stamps[0])
    with BagWriter(path, storage, compress) as writer:
        try:
            writer.write_raw(TF_STATIC, TF_MESSAGE, transform, stamps[0], latched=True)
            for stamp in tqdm(stamps, unit="frame", disable=None):
                _write_frame(writer, rig, street.frame((stamp - stamps[0]) / 1e9), stamp)
        except BaseException:
            writer.close()
            shutil.rmtree(path, ignore_errors=True)
            raise


def _write_frame(writer: BagWriter, rig: SimulatedRig, frame: RigFrame, stamp: int) -> None:
    writer.write_image(RGB_TOPIC, frame.rgb, stamp, RGB_FRAME)
    writer.write_image(THERMAL_TOPIC, frame.thermal, stamp, THERMAL_FRAME)
    writer.write_image(LABELS_TOPIC, frame.labels, stamp, RGB_FRAME)
    writer.write_raw(DEPTH_TOPIC, IMAGE, depth_image(frame.depth, RGB_FRAME, stamp), stamp)
    for topic, camera, frame_id in (
        (RGB_TOPIC, rig.rgb, RGB_FRAME),
        (THERMAL_TOPIC, rig.thermal, THERMAL_FRAME),
    ):
        writer.write_raw(
            camera_info_beside(topic), CAMERA_INFO, camera_info(camera, frame_id, stamp), stamp
        )
