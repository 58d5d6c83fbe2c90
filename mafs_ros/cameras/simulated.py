"""Images of the simulated street as two cameras on a rig see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from mafs_ros.bags.rig_messages import camera_info
from mafs_ros.simulation.rig import SimulatedRig, unaligned_rig


def misalignment(values: dict[str, Any], height: int, width: int) -> np.ndarray | None:
    """Homography from thermal to RGB pixels, 3x3, that the fault parameters ask for, or None."""
    shift = values["thermal_shift_x_px"], values["thermal_shift_y_px"]
    if not any(shift) and not values["thermal_rotation_deg"]:
        return None
    centre = ((width - 1) / 2, (height - 1) / 2)
    to_thermal = np.eye(3)
    # OpenCV's angle is counter-clockwise.
    to_thermal[:2] = cv2.getRotationMatrix2D(centre, -values["thermal_rotation_deg"], 1.0)
    to_thermal[:2, 2] += shift
    return np.linalg.inv(to_thermal)


def misalign(thermal: np.ndarray, values: dict[str, Any]) -> np.ndarray:
    """The thermal image [h, w] as the misaligned camera sees it; the border is repeated."""
    homography = misalignment(values, *thermal.shape)
    if homography is None:
        return thermal
    return cv2.warpPerspective(
        thermal,
        homography,
        thermal.shape[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def simulated_rig(values: dict[str, Any]) -> SimulatedRig | None:
    """The rig that is asked for, None for cameras that see the same rectangle."""
    if values["rig"] == "aligned":
        return None
    return unaligned_rig(values["height"], values["width"])


def simulated_infos(values: dict[str, Any]) -> dict[str, bytes]:
    """The camera_info messages of that rig, without stamps; none of aligned cameras."""
    rig = simulated_rig(values)
    if rig is None:
        return {}
    return {
        "rgb_info": camera_info(rig.rgb, values["rgb_frame_id"]),
        "thermal_info": camera_info(rig.thermal, values["thermal_frame_id"]),
    }


def simulated_images(values: dict[str, Any]) -> Callable[[float], dict[str, np.ndarray]]:
    """Images of the simulated street by frame number, which may lie between two frames."""
    from mafs_ros.simulation import RigStreet, StreetSimulation

    night = {"seeded": None, "day": False, "night": True}[values["light"]]
    if rig := simulated_rig(values):
        rig_street = RigStreet(rig, values["seed"], night)
        return lambda number: vars(rig_street.frame(number / values["rate_hz"])).copy()
    street = StreetSimulation(
        seed=values["seed"], height=values["height"], width=values["width"], night=night
    )

    def images(number: float) -> dict[str, np.ndarray]:
        frame = street.frame(number / values["rate_hz"])
        return {"rgb": frame.rgb, "thermal": frame.thermal, "labels": frame.labels}

    return images
