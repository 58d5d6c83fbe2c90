"""Noise for surfaces, and halved copies for distance."""

from __future__ import annotations

import cv2
import numpy as np


def smooth_noise(
    rng: np.random.Generator, height: int, width: int, sizes: tuple[int, ...]
) -> np.ndarray:
    """Noise float32 [H, W] of mean 0 and deviation about 1, with blotches of these sizes in px."""
    total = np.zeros((height, width), np.float32)
    for size in sizes:
        coarse = rng.standard_normal((height // size + 2, width // size + 2), np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return total / np.sqrt(len(sizes))


def halvings(picture: np.ndarray, count: int) -> list[np.ndarray]:
    """The picture and `count` successive halvings."""
    levels = [picture]
    for _ in range(count):
        if min(levels[-1].shape[:2]) < 4:
            break
        levels.append(cv2.pyrDown(levels[-1]))
    return levels
