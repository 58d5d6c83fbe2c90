"""Cameras of the tests: their CameraInfo, and where they see a point, by the formulas."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from mafs_ros.perception.registration import Rig
from mafs_ros.perception.registration.camera_info import lens_from

PLUMB_BOB = ("plumb_bob", [-0.31, 0.11, 0.0012, -0.0008, -0.02])
RATIONAL = ("rational_polynomial", [2.0, 0.3, 0.0007, 0.0004, 0.01, 2.3, 0.6, 0.02])
EQUIDISTANT = ("equidistant", [-0.03, 0.012, -0.004, 0.001])
PINHOLE = ("plumb_bob", [0.0, 0.0, 0.0, 0.0, 0.0])


def camera_info(
    lens: tuple[str, list[float]],
    size: tuple[int, int],
    focal: float,
    frame: str = "camera",
    **changes: Any,
) -> SimpleNamespace:
    """The fields of a sensor_msgs/CameraInfo. size: height, width."""
    height, width = size
    k = [focal, 0.0, width / 2 - 3.0, 0.0, focal * 1.01, height / 2 + 2.5, 0.0, 0.0, 1.0]
    fields = {
        "header": SimpleNamespace(frame_id=frame, stamp=SimpleNamespace(sec=0, nanosec=0)),
        "height": height,
        "width": width,
        "distortion_model": lens[0],
        "d": lens[1],
        "k": k,
        "r": np.eye(3).ravel().tolist(),
        "p": [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0],
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(x_offset=0, y_offset=0, height=0, width=0),
    }
    return SimpleNamespace(**{**fields, **changes})


def two_cameras(
    lenses: tuple[Any, Any], sizes: Any, focals: tuple[float, float], r: np.ndarray, t: np.ndarray
) -> tuple[SimpleNamespace, SimpleNamespace, Rig]:
    """CameraInfo of both cameras, and their Rig; of RGB first. r, t: thermal -> RGB."""
    rgb, thermal = (camera_info(*one) for one in zip(lenses, sizes, focals, strict=True))
    return rgb, thermal, Rig(lens_from(rgb, "RGB"), lens_from(thermal, "thermal"), r, t)


def seen_at(info: Any, point: np.ndarray) -> tuple[float, float]:
    """The pixel of a point in the camera's optical frame, as the ROS and OpenCV manuals define."""
    x, y = point[0] / point[2], point[1] / point[2]
    r2, d = x * x + y * y, [*info.d, *[0.0] * 8]
    if info.distortion_model == "equidistant":
        r = np.sqrt(r2)
        theta = np.arctan(r)
        scale = 1.0
        if r > 0:
            powers = sum(k * theta ** (2 * n + 2) for n, k in enumerate(d[:4]))
            scale = theta * (1 + powers) / r
        x, y = x * scale, y * scale
    else:
        k1, k2, p1, p2, k3, k4, k5, k6 = d[:8]
        radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
        x, y = (
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        )
    return info.k[0] * x + info.k[2], info.k[4] * y + info.k[5]


def turned(*degrees: float) -> np.ndarray:
    """The rotation by a vector of degrees."""
    return cv2.Rodrigues(np.radians(np.array(degrees)))[0]


def dot(size: tuple[int, int], x: float, y: float, radius: float = 1.5) -> np.ndarray:
    """Image with a Gaussian dot at (x, y)."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    distance2 = (columns - x) ** 2 + (rows - y) ** 2
    return (255 * np.exp(-distance2 / (2 * radius**2))).round().astype(np.uint8)


def centroid(image: np.ndarray) -> tuple[float, float]:
    weights = image.astype(float)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return (weights * columns).sum() / weights.sum(), (weights * rows).sum() / weights.sum()


def transform(parent: str, child: str, r: np.ndarray, t: Any) -> SimpleNamespace:
    """The fields of a geometry_msgs/TransformStamped: the pose of `child` in `parent`."""
    vector = cv2.Rodrigues(r)[0].ravel()
    angle = np.linalg.norm(vector)
    axis = vector / angle if angle else vector
    q = [*(np.sin(angle / 2) * axis), np.cos(angle / 2)]
    return SimpleNamespace(
        header=SimpleNamespace(frame_id=parent),
        child_frame_id=child,
        transform=SimpleNamespace(
            translation=SimpleNamespace(x=t[0], y=t[1], z=t[2]),
            rotation=SimpleNamespace(x=q[0], y=q[1], z=q[2], w=q[3]),
        ),
    )
