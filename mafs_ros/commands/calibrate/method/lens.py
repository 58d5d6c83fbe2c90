"""Lens distortion in a calibration: images are measured without it, and files are for both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.commands.calibrate.method.geometry import Points, inverse, moved, overlap
from mafs_ros.perception.registration.lens import Lens
from mafs_ros.perception.registration.numbers import Matrix, Size, text

OUTSIDE = -10.0


class Undistortion:
    """Shows images as a lens without distortion would, on the same k; black outside.

    The look-up table is built once. Directions stay those of the lens: its rectification, which
    belongs to a pair of cameras, is left out.
    """

    def __init__(self, lens: Lens) -> None:
        self._lens = lens
        height, width = lens.size
        pixels = np.indices((height, width), np.float64)[::-1].reshape(2, -1).T
        found = distorted(lens, pixels).reshape(height, width, 2)
        # Far outside is outside: keep within the 16 bit of the fixed-point form.
        limits = np.array([width, height]) - OUTSIDE
        found = np.nan_to_num(np.clip(found, OUTSIDE, limits), nan=OUTSIDE).astype(np.float32)
        self._maps = cv2.convertMaps(found[..., 0], found[..., 1], cv2.CV_16SC2)

    def __call__(self, image: NDArray[Any]) -> NDArray[Any]:
        """An image [H, W] or [H, W, 3] of the lens's size; raises ValueError for another."""
        if image.shape[:2] != self._lens.size:
            raise ValueError(
                f"got {self._lens.name} images of {text(self._lens.size)} and of "
                f"{text(image.shape[:2])}, expected one size"
            )
        return np.asarray(cv2.remap(image, *self._maps, cv2.INTER_LINEAR))


def distorted(lens: Lens, points: Points) -> Points:
    """Where pixels [N, 2] of the undistorted image lie in the image as it comes.

    NaN beyond what the distortion describes.
    """
    flat = moved(inverse(lens.k), points)
    rays = np.column_stack([flat, np.ones(len(flat))])
    return replace(lens, rectification=np.eye(3)).pixels_of(rays)


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
    start = distorted(thermal, seen) if thermal is not None and thermal.distorts else seen
    end = distorted(rgb, grid) if rgb is not None and rgb.distorts else grid
    known = np.isfinite(start).all(1) & np.isfinite(end).all(1)
    start, end = start[known], end[known]
    found, _ = cv2.findHomography(start, end, 0)
    nearest = np.asarray(found, np.float64)
    return nearest, float(np.linalg.norm(moved(nearest, start) - end, axis=1).max())
