"""Whether an image is one of a dead camera: the same bytes again, black, or without structure.

Cheap enough for every image: some thousand pixels are looked at, all of them only where those
show nothing. A doubtful image is a living one: night, fog, a wall of half a kelvin, a road full of
texture are pictures. Limits and what they were measured on: docs/robot.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FROZEN, BLACK, COVERED, UNREADABLE = "frozen", "black", "covered", "unreadable"
MARGIN = 16  # of the height and width, at each side: telemetry, borders, vignetting
GRID = 60  # pixels looked at along the shorter side
CELL = 6  # of them along a side of a cell, whose mean shows structure
STRUCTURE = 3.0  # times the deviation that noise alone gives the means of cells
OUTLIER = 12.0  # times that deviation: a lamp, a person far away
NOISY = 20.0  # deviation in 8 bit from which on it is no noise but texture
PER_DIFFERENCE = 0.886  # deviation of noise / mean difference of two of its values
QUANTISED = 0.5  # least deviation of whole numbers
Plane = NDArray[Any]


@dataclass(frozen=True)
class Sensor:
    """What a camera shows of nothing.

    black: level up to which all of an image is black. flat: by how much the cells of a covered
    image may differ (grey levels; dark current, a lens that darkens towards its corners).
    """

    black: float
    flat: float


# A thermal wall may differ by a tenth of a kelvin and be one; a covered RGB camera is dark.
SENSORS = {"rgb": Sensor(black=8.0, flat=3.0), "thermal": Sensor(black=0.0, flat=0.0)}


class Repeats:
    """Whether the bytes of an image are those of the image before it."""

    def __init__(self) -> None:
        self._before: NDArray[np.uint8] | None = None

    def __call__(self, data: Any) -> bool:
        """data: the pixels of a message, or its file; kept until the next call."""
        bytes_now = np.frombuffer(data, np.uint8)
        before, self._before = self._before, bytes_now
        if before is None or before.size != bytes_now.size:
            return False
        few = slice(None, None, 4099)
        return np.array_equal(before[few], bytes_now[few]) and np.array_equal(before, bytes_now)


def without_picture(plane: Plane, sensor: Sensor) -> str:
    """BLACK or COVERED for an image that shows nothing, else ''.

    plane: one channel [H, W], uint8, uint16 or float32, of any strides; NaN counts as 0.
    """
    height, width = plane.shape
    top, left = height // MARGIN, width // MARGIN
    inner = plane[top : height - top, left : width - left]
    step = max(2, 2 * (min(height, width) // (2 * GRID)))  # even: one colour of a Bayer pattern
    grid = _numbers(inner[::step, ::step])
    if min(grid.shape) < CELL:
        return ""  # some pixels are no picture to judge by
    if _highest(grid) <= 2 * sensor.black and _highest(_cells(inner, step)[0]) <= sensor.black:
        return BLACK
    noise = _noise(grid, 1)
    if plane.dtype == np.uint8 and noise > NOISY:
        return ""
    rows, columns = (length // CELL for length in grid.shape)
    whole = grid[: rows * CELL, : columns * CELL]
    means = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    deviation = float(cv2.meanStdDev(means)[1][0, 0])
    if deviation > max(STRUCTURE * max(noise, _least(plane)) / CELL, sensor.flat):
        return ""
    return COVERED if _is_even(inner, step, sensor) else ""


def _is_even(inner: Plane, step: int, sensor: Sensor) -> bool:
    """Whether every place of the image shows what all others do, but for noise."""
    cells, noise = _cells(inner, step)
    limit = max(OUTLIER * max(noise, _least(inner)) / step, sensor.flat)
    return float(np.abs(cells - np.median(cells)).max()) <= limit


def _highest(values: NDArray[np.float32]) -> float:
    return cv2.norm(values, cv2.NORM_INF)  # of amounts: a winter's day in degrees is not black


def _noise(values: NDArray[np.float32], apart: int) -> float:
    """Deviation of noise, by the differences of values in a row."""
    differences = cv2.norm(values[:, apart:], values[:, :-apart], cv2.NORM_L1)
    return PER_DIFFERENCE * differences / (values.shape[0] * (values.shape[1] - apart))


def _least(plane: Plane) -> float:
    """Deviation that is there in any case."""
    return 0.0 if plane.dtype.kind == "f" else QUANTISED


def _cells(inner: Plane, step: int) -> tuple[NDArray[np.float32], float]:
    """Means of step x step pixels, of all pixels, and the deviation of their noise."""
    rows, columns = (length // step for length in inner.shape)
    pixels = _numbers(inner[: rows * step, : columns * step])
    cells = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
    # Two apart: neighbours are alike where colours were interpolated.
    return np.asarray(cells, np.float32), _noise(pixels, 2)


def _numbers(plane: Plane) -> NDArray[np.float32]:
    numbers = np.ascontiguousarray(plane, np.float32)
    return np.nan_to_num(numbers, copy=False) if plane.dtype.kind == "f" else numbers
