"""Lines of a thermal image that are no picture: telemetry, mixed borders, dead lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST_LINES = 32  # of an image that has telemetry or a margin
_LINES = 4  # telemetry has at most 3 rows (Lepton 2), 2 (Lepton 3) or 1 (Boson, Tau)
_ROUGH = 8.0  # times the step from pixel to pixel in the picture
_WIDEST = 3  # dead lines beside each other, in pixels: what is wider may be a thing
_ACROSS = 2 / 3  # of a dead line: noise may have the picture's values
_MOST_DEAD = 0.05  # of the lines of an image


def foreign_lines(
    lines: NDArray[Any],
    low: float,
    high: float,
    least_span: float,
    measured: Callable[[NDArray[Any]], NDArray[Any]],
) -> int:
    """How many of the first lines are no part of the picture; its values lie in low..high.

    least_span: of a picture that is not flat. measured: of a line, the values that are one.
    """

    def outside(values: NDArray[Any]) -> bool:
        return bool(2 * np.count_nonzero((values < low) | (values > high)) > values.size)

    if len(lines) < FEWEST_LINES or not outside(lines[0]):
        return 0  # the picture begins at once: nearly always
    step = max(_step(measured(lines[_LINES])), least_span / 100)
    count = 0
    for depth in range(_LINES):
        values = measured(lines[depth])
        if not values.size:
            continue  # an empty line, of a border or between others
        if not outside(values):
            break
        alone = depth == 0 and not outside(lines[1])
        if not alone and _step(values) <= _ROUGH * step:
            break
        count = depth + 1
    return count


def dead_lines(
    outside: NDArray[np.bool_], step: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows and columns of an image lie outside its picture, nearly right across it.

    outside: of every `step`th row and column, the pixels that do. No line where they are many, or
    wide.
    """
    rows, columns = (_thin(outside.mean(axis=axis) > _ACROSS, step) for axis in (1, 0))
    return rows, columns


def _thin(dead: NDArray[np.bool_], step: int) -> NDArray[np.bool_]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], dead, [False]])))
    starts, ends = edges[::2], edges[1::2]
    wide = ends.size and step * int((ends - starts - 1).max()) >= _WIDEST
    if wide or dead.sum() > max(1, _MOST_DEAD * dead.size):
        return np.zeros_like(dead)
    return dead


def ring(image: NDArray[Any], depth: int) -> NDArray[Any]:
    """The pixels so far from the border, of all four sides."""
    picture = image[depth : len(image) - depth, depth : image.shape[1] - depth]
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def share_outside(values: NDArray[Any], low: float, high: float) -> float:
    return float(np.mean((values < low) | (values > high))) if values.size else 0.0


def _step(values: NDArray[Any]) -> float:
    """The median difference of a value to the next."""
    if len(values) < 2:
        return 0.0
    return float(np.median(np.abs(np.diff(values.astype(np.float64)))))
