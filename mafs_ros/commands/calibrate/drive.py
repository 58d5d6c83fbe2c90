"""The frames of a drive as a calibration without a board measures them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from mafs_ros.commands.calibrate.method.errors import CalibrationError
from mafs_ros.commands.calibrate.method.frames import Frame, frame_of
from mafs_ros.commands.calibrate.method.lens import Undistortion
from mafs_ros.commands.calibrate.pairs import Lenses, Pairs
from mafs_ros.perception.build import scaler_from


@dataclass
class Drive:
    """Frames in order; the lenses of thermal and RGB camera where CameraInfo says them."""

    frames: list[Frame]
    lenses: Lenses = (None, None)


def drive_of(pairs: Pairs, settings: dict[str, Any]) -> Drive:
    """Scaled thermal images and RGB images, both without lens distortion.

    settings: parameters of the node. Raises OSError or ValueError.
    """
    lenses = pairs.lenses()
    scaler = scaler_from({**settings, "thermal_time_constant_s": 0.0})  # each its own range
    undistortions = [Undistortion(lens) if lens and lens.distorts else None for lens in lenses]
    frames: list[Frame] = []
    for name, rgb, counts in tqdm(pairs.images, "reading", pairs.count, unit="pair", disable=None):
        thermal, rgb = (
            image if undistortion is None else undistortion(image)
            for image, undistortion in zip((scaler(counts, 0.0), rgb), undistortions, strict=True)
        )
        frame = frame_of(name, rgb, np.asarray(thermal, np.uint8))
        if frames:
            _check_same_size(frames[0], frame)
        frames.append(frame)
    return Drive(frames, lenses)


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
