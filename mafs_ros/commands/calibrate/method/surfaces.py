"""How well the edges agree at small shifts, for each cell of the image, summed over frames."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.commands.calibrate.method.frames import Frame, reduced
from mafs_ros.perception.alignment.orientation import orientation
from mafs_ros.perception.registration.numbers import Matrix, Size, rescaling

CELLS = (9, 12)  # down, across
FEWEST_TO_CENTRE = 5  # frames, from which on what all of them share is taken off
_LEAST_NOISE = 0.2  # of the middle cell's: a cell of sky must not be raised without limit
_DEVIATION = 1.4826  # standard deviation of normal noise by its median absolute deviation
Surfaces = NDArray[np.float32]  # [cells, 2 reach + 1, 2 reach + 1]


def cell_surfaces(
    frames: Sequence[Frame], homography: Matrix, width: int, reach: int
) -> tuple[Surfaces, Size]:
    """Surfaces of the cells in order of rows, and the size of the image that they are of.

    homography: thermal to RGB pixels of the frames; the thermal images are warped by it. width:
    of the longer side of the RGB image; reach: of the shifts to each side, in its pixels. Shift
    (x, y) lies at [reach + y, reach + x]; its peak is where thermal content lies beside the RGB.
    """
    ours, theirs = _edges(frames, homography, width)
    size = ours.shape[0], ours.shape[1]
    side = 2 * reach + 1
    theirs = np.pad(theirs, ((reach, reach), (reach, reach), (0, 0)))
    found = np.zeros((side, side, CELLS[0] * CELLS[1]), np.float32)
    for dy in range(side):
        for dx in range(side):
            there = theirs[dy : dy + size[0], dx : dx + size[1]]
            agreement = np.einsum("hwc,hwc->hw", ours, there)
            cells = cv2.resize(agreement, CELLS[::-1], interpolation=cv2.INTER_AREA)
            found[dy, dx] = cells.ravel()
    return np.ascontiguousarray(found.transpose(2, 0, 1)), size


def in_units_of_noise(surfaces: Surfaces) -> Surfaces:
    """The surfaces above their medians, each by how much it wavers.

    Agreement by chance grows with the edges that a cell has in either camera: leaves, which the
    thermal camera hardly sees, would outweigh the one clear outline of a cell beside them.
    """
    above = surfaces - np.median(surfaces, axis=(1, 2), keepdims=True)
    noise = _DEVIATION * np.median(np.abs(above), axis=(1, 2))
    least = _LEAST_NOISE * np.median(noise[noise > 0]) if noise.any() else 1.0
    return np.asarray(above / np.maximum(noise, least)[:, None, None], np.float32)


def _edges(
    frames: Sequence[Frame], homography: Matrix, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Edges of both cameras on the same pixels: float32 [h, w, 2 N]."""
    full = frames[0].rgb.shape
    first = reduced(frames[0].rgb, width)
    size = first.shape[0], first.shape[1]
    placed = rescaling(full, size) @ homography
    # A thermal image that is finer than the target is reduced first, against aliasing.
    view = frames[0].thermal.shape
    scale = min(
        np.sqrt(abs(np.linalg.det(placed[:2, :2] - np.outer(placed[:2, 2], placed[2, :2])))), 1
    )
    thermal_size = (round(view[0] * scale), round(view[1] * scale)) if scale < 0.75 else view
    warp = placed @ np.linalg.inv(rescaling(view, thermal_size))
    seen = cv2.warpPerspective(np.ones(thermal_size, np.float32), warp, size[::-1])
    mask = cv2.erode((seen > 0.999).astype(np.float32), np.ones((5, 5)))
    ours, theirs = [], []
    for frame in frames:
        ours.append(orientation(reduced(frame.rgb, width)))
        smaller = cv2.resize(frame.thermal, thermal_size[::-1], interpolation=cv2.INTER_AREA)
        warped = cv2.warpPerspective(
            smaller, warp, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        theirs.append(orientation(warped, mask) * mask[..., None])
    return _stacked(ours), _stacked(theirs)


def _stacked(edges: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    stack = np.array(edges)
    if len(edges) >= FEWEST_TO_CENTRE:
        stack -= stack.mean(0)
    count, height, width, _ = stack.shape
    return np.ascontiguousarray(stack.transpose(1, 2, 0, 3)).reshape(height, width, 2 * count)
