"""A bag of a simulated drive with two cameras that do not see the same rectangle."""

from __future__ import annotations

from pathlib import Path

from mafs_ros.bags.make import (
    DEPTH_TOPIC,
    FIRST_STAMP_S,
    LABELS_TOPIC,
    RGB_TOPIC,
    THERMAL_TOPIC,
    even_stamps,
)
from mafs_ros.bags.reader import IMAGE
from mafs_ros.bags.rig_messages import (
    CAMERA_INFO,
    TF_MESSAGE,
    TF_STATIC,
    camera_info,
    depth_image,
    info_topic,
    static_transform,
)
from mafs_ros.bags.writer import BagWriter

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
    where `path` exists, OSError where it cannot be written.
    """
    from tqdm import tqdm

    from mafs_ros.simulation import RigStreet, unaligned_rig

    with BagWriter(path, storage, compress) as writer:
        rig = unaligned_rig(height, width)
        street = RigStreet(rig, seed, night)
        start = FIRST_STAMP_S * 10**9
        transform = static_transform(rig, RGB_FRAME, THERMAL_FRAME, start)
        writer.write_raw(TF_STATIC, TF_MESSAGE, transform, start, latched=True)
        stamps = [stamp for stamp, _ in even_stamps(fps, frames)]
        for stamp in tqdm(stamps, unit="frame", disable=None):
            frame = street.frame((stamp - start) / 1e9)
            writer.write_image(RGB_TOPIC, frame.rgb, stamp, RGB_FRAME)
            writer.write_image(THERMAL_TOPIC, frame.thermal, stamp, THERMAL_FRAME)
            writer.write_image(LABELS_TOPIC, frame.labels, stamp, RGB_FRAME)
            writer.write_raw(DEPTH_TOPIC, IMAGE, depth_image(frame.depth, RGB_FRAME, stamp), stamp)
            for topic, camera, frame_id in (
                (RGB_TOPIC, rig.rgb, RGB_FRAME),
                (THERMAL_TOPIC, rig.thermal, THERMAL_FRAME),
            ):
                info = camera_info(camera, frame_id, stamp)
                writer.write_raw(info_topic(topic), CAMERA_INFO, info, stamp)
