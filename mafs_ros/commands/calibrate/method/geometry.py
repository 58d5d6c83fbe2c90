"""Homographies between images. Pixel centres lie at whole numbers; sizes are (height, width)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mafs_ros.perception.registration.numbers import Matrix, Size

Points = NDArray[np.float64]  # [N, 2] of (x, y)
REFERENCE_WIDTH = 640  # pixels: errors are compared at this width of the RGB image


def moved(homography: Matrix, points: ArrayLike) -> Points:
    """Points [N, 2] taken through a homography."""
    there = np.column_stack([points, np.ones(len(np.asarray(points)))]) @ homography.T
    return np.asarray(there[:, :2] / there[:, 2:], np.float64)


def inverse(homography: Matrix) -> Matrix:
    """The way back."""
    return np.asarray(np.linalg.inv(homography), np.float64)


def shifted(x: float, y: float) -> Matrix:
    """A shift by (x, y)."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def centre(size: Size) -> tuple[float, float]:
    """(x, y) of the middle of an image."""
    return (size[1] - 1) / 2, (size[0] - 1) / 2


def corners(size: Size) -> Points:
    """The four corner pixels of an image, clockwise from the top left."""
    right, bottom = size[1] - 1, size[0] - 1
    return np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float64)


def through_corners(start: Points, end: Points) -> Matrix:
    """The homography that takes four points to four others."""
    rows = []
    for (x, y), (u, v) in zip(start, end, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    solved = np.linalg.solve(np.array(rows), np.asarray(end, np.float64).ravel())
    return np.append(solved, 1).reshape(3, 3)


def overlap(homography: Matrix, thermal: Size, rgb: Size) -> tuple[Points, float]:
    """What both cameras see: the corners of its bounding box in the RGB image, and its share.

    homography: thermal to RGB pixels. The share is that of the smaller of the two views, 0 to 1;
    where it is 0 the corners are those of the RGB image.
    """
    view = moved(homography, corners(thermal)).astype(np.float32)
    own = corners(rgb).astype(np.float32)
    area, polygon = cv2.intersectConvexConvex(view, own)
    if area <= 0 or polygon is None or not np.isfinite(view).all():
        return corners(rgb), 0.0
    (left, top), (right, bottom) = polygon[:, 0].min(0), polygon[:, 0].max(0)
    box = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    smaller = min(cv2.contourArea(view), cv2.contourArea(own))
    return box, float(area / smaller)


def mean_distance(first: Matrix, second: Matrix, thermal: Size, rgb: Size) -> float:
    """Mean distance of two homographies at the corners of what both cameras see by the second.

    In pixels of the RGB image; both homographies lead from thermal to RGB pixels.
    """
    box, _ = overlap(second, thermal, rgb)
    there = moved(first @ np.linalg.inv(second), box)
    return float(np.linalg.norm(there - box, axis=1).mean())
