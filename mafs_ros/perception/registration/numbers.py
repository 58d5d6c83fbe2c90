"""Sizes of images, and numbers that come from files and messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]
Size = tuple[int, int]  # height, width, as in array shapes
MOST_PIXELS = 1 << 26  # of an image: the tables of a warp have 6 bytes for each


def text(size: tuple[int, ...]) -> str:
    """'640x480': sizes in messages are width x height."""
    return "x".join(str(n) for n in reversed(size))


def check_size(size: Size) -> None:
    """Raise ValueError for what is no (height, width)."""
    if len(size) != 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in size):
        raise ValueError(f"an image size must be two whole numbers above 0, got {size}")
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError(
            f"an image size must be of at most {MOST_PIXELS >> 20} million pixels, "
            f"got {text(size)}"
        )


def check_thermal(thermal: NDArray[Any]) -> Size:
    """The size of a scaled thermal image; raises ValueError unless it is uint8 [h,w]."""
    if thermal.ndim != 2 or thermal.size == 0 or thermal.dtype != np.uint8:
        raise ValueError(
            f"thermal must be uint8 [h,w] and not empty, got {thermal.dtype} {list(thermal.shape)}"
        )
    return thermal.shape[0], thermal.shape[1]


def numbers(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Matrix:
    """The values as float64 of this shape; raises ValueError where they are not."""
    try:
        array = np.asarray(values, np.float64).reshape(shape)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be {text(shape)} numbers, got {values!r}") from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array.tolist()}")
    return array


def same_shape(size: Size, other: Size) -> bool:
    """Whether one is the other in another resolution, but for the rounding of its sides."""
    return abs(other[1] * size[0] / (other[0] * size[1]) - 1) <= 0.01


def rescaling(size: Size, new: Size) -> Matrix:
    """Takes pixels of an image of `size` to those of the same image resized to `new`."""
    sy, sx = new[0] / size[0], new[1] / size[1]
    # Pixel centres: the left edge of the image is at -0.5.
    return np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
