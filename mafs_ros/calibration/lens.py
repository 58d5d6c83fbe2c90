"""Intrinsics and lens distortion of a camera, as its CameraInfo says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.calibration.geometry import Matrix, Points, Size, inverse, moved, overlap, rescaling

MODELS = ("plumb_bob", "rational_polynomial", "equidistant")  # of sensor_msgs/CameraInfo


@dataclass(frozen=True)
class Lens:
    """Intrinsics k [3, 3] of images of `size`, and distortion d of a model of MODELS."""

    k: Matrix
    d: tuple[float, ...]
    model: str
    size: Size

    @property
    def distorts(self) -> bool:
        return any(self.d)

    def undistorted(self, image: NDArray[Any]) -> NDArray[Any]:
        """The image as a lens without distortion would give it, on the same k; black outside."""
        return np.asarray(cv2.remap(image, *self._maps, cv2.INTER_LINEAR))

    @cached_property
    def _maps(self) -> tuple[NDArray[Any], NDArray[Any]]:
        fisheye = self.model == "equidistant"
        make = cv2.fisheye.initUndistortRectifyMap if fisheye else cv2.initUndistortRectifyMap
        size = self.size[::-1]
        return make(self.k, np.array(self.d), np.eye(3), self.k, size, cv2.CV_16SC2)

    def distorted(self, points: Points) -> Points:
        """Where pixels [N, 2] of the undistorted image lie in the image as it comes."""
        rays = moved(inverse(self.k), points)
        if self.model == "equidistant":
            found = cv2.fisheye.distortPoints(rays[None], self.k, np.array(self.d))
        else:
            directions = np.column_stack([rays, np.ones(len(rays))])
            found, _ = cv2.projectPoints(
                directions[:, None], np.zeros(3), np.zeros(3), self.k, np.array(self.d)
            )
        return np.asarray(found, np.float64).reshape(-1, 2)


def lens_from_message(message: Any, size: Size, rectified: bool) -> Lens | None:
    """The lens that a sensor_msgs/CameraInfo describes; None where the camera is not calibrated.

    size: (height, width) of the images, which may be smaller than those that were calibrated.
    rectified: whether the images have the distortion taken out already. Raises ValueError for a
    distortion model that is not understood, and for images of another shape.
    """
    k = np.array(message.p, np.float64).reshape(3, 4)[:, :3] if rectified else message.k
    k = np.array(k, np.float64).reshape(3, 3)
    if k[0, 0] <= 0 or k[1, 1] <= 0:
        return None
    d = () if rectified else tuple(float(value) for value in message.d)
    if any(d) and message.distortion_model not in MODELS:
        raise ValueError(
            f"got the distortion model {message.distortion_model!r} in a CameraInfo, expected one "
            f"of {', '.join(MODELS)}"
        )
    calibrated = (int(message.height), int(message.width))
    if min(calibrated) > 0 and calibrated != size:
        if abs(calibrated[1] * size[0] / (calibrated[0] * size[1]) - 1) > 0.01:
            raise ValueError(
                f"a CameraInfo is of images of {calibrated[1]}x{calibrated[0]}, the images are "
                f"{size[1]}x{size[0]}, which is another shape"
            )
        k = rescaling(calibrated, size) @ k
    return Lens(k, d, message.distortion_model or MODELS[0], size)


def view_ratio(thermal: Lens, rgb: Lens) -> float:
    """Width of the thermal view by that of the RGB view, at equal shapes."""
    tangents = [
        np.hypot(*lens.size) / np.sqrt(lens.k[0, 0] * lens.k[1, 1]) for lens in (thermal, rgb)
    ]
    return float(tangents[0] / tangents[1])


def for_images_as_they_come(
    homography: Matrix, thermal: Lens | None, rgb: Lens | None, sizes: tuple[Size, Size]
) -> tuple[Matrix, float]:
    """The homography that is nearest to one between undistorted images, for images as they come.

    sizes: of thermal and RGB image. Returns it, and its largest error in RGB pixels in what both
    cameras see: a homography cannot bend lines as a lens does.
    """
    box, _ = overlap(homography, *sizes)
    (left, top), (right, bottom) = box[0], box[2]
    grid = np.array(
        [(x, y) for y in np.linspace(top, bottom, 13) for x in np.linspace(left, right, 17)]
    )
    seen = moved(inverse(homography), grid)
    inside = ((seen >= 0) & (seen <= np.array(sizes[0][::-1]) - 1)).all(1)
    grid, seen = grid[inside], seen[inside]
    start = thermal.distorted(seen) if thermal is not None and thermal.distorts else seen
    end = rgb.distorted(grid) if rgb is not None and rgb.distorts else grid
    found, _ = cv2.findHomography(start, end, 0)
    nearest = np.asarray(found, np.float64)
    return nearest, float(np.linalg.norm(moved(nearest, start) - end, axis=1).max())
