"""A person before a wall, seen by thermal cameras that add what is no measurement."""

from __future__ import annotations

import numpy as np

LEVELS = 200  # that the person is to be warmer than the wall, of 255


def scene(height: int = 120, width: int = 160, seed: int = 0) -> np.ndarray:
    """uint16 centikelvin with noise: a wall of 18 to 22 degrees Celsius, a person at 36."""
    rng = np.random.default_rng(seed)
    y = np.mgrid[:height, :width][0]
    image = 29315 + 360 / height * (y - height / 2)
    image[height // 3 : 3 * height // 4, width // 8 : width // 3] = 30915
    return (image + rng.normal(0, 4, image.shape)).astype(np.uint16)


def celsius(image: np.ndarray) -> np.ndarray:
    return (image / 100 - 273.15).astype(np.float32)


def contrast(scaled: np.ndarray, height: int = 120, width: int = 160) -> float:
    """Grey levels between the person and the wall beside it."""
    rows = scaled[int(0.38 * height) : int(0.7 * height)]
    person = rows[:, int(0.16 * width) : int(0.3 * width)]
    return float(person.mean() - rows[:, width // 2 : 3 * width // 4].mean())
