"""Two simulated cameras that do not see the same rectangle, by a known homography."""

from __future__ import annotations

import cv2
import numpy as np

from mafs_ros.commands.calibrate.method.frames import frame_of
from mafs_ros.perception.thermal import ThermalScaler
from mafs_ros.simulation import StreetSimulation

RGB_SIZE, THERMAL_SIZE = (240, 320), (128, 160)
RATIO = 0.8  # of the views


def homography(ratio=RATIO, degrees=2.0, right=14.0, down=-8.0):
    """Thermal to RGB pixels: smaller view, turned, beside the middle, with some perspective."""
    scale = ratio * np.hypot(*RGB_SIZE) / np.hypot(*THERMAL_SIZE)
    cos, sin = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    about = np.array([[1, 0, -79.5], [0, 1, -63.5], [0, 0, 1]])
    bend = np.array([[1, 0, 0], [0, 1, 0], [3e-5, -4e-5, 1]])
    placed = np.array([[cos, -sin, 159.5 + right], [sin, cos, 119.5 + down], [0, 0, 1]])
    found = placed @ bend @ about
    return found / found[2, 2]


def street(count, seed=3, step_s=2.0, size=RGB_SIZE):
    """Aligned (RGB, thermal) pairs of a drive by night: uint8 [H, W, 3], uint16 [H, W]."""
    simulation = StreetSimulation(seed=seed, height=size[0], width=size[1], night=True)
    frames = [simulation.frame(step_s * index) for index in range(count)]
    return [(frame.rgb, frame.thermal) for frame in frames]


def seen_by(thermal, where):
    """What the thermal camera sees: uint16 of THERMAL_SIZE."""
    return cv2.warpPerspective(
        thermal,
        where,
        THERMAL_SIZE[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def frames_of(pairs, where=None):
    """Frames of aligned pairs, the thermal camera at a homography; or as the pairs are."""
    scaler = ThermalScaler(time_constant_s=0.0)
    return [
        frame_of(
            str(number),
            rgb,
            scaler(thermal if where is None else seen_by(thermal, where), 0.0),
        )
        for number, (rgb, thermal) in enumerate(pairs)
    ]
