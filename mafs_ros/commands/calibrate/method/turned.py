"""Whether a thermal camera is mirrored, or turned by a quarter or a half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.commands.calibrate.method.coarse import coarse_search
from mafs_ros.commands.calibrate.method.frames import Frame

# What puts the thermal image right, and how: quarters clockwise after a flip from left to right.
TURNS = {
    "turn the thermal image by 180 degrees": (False, 2),
    "turn the thermal image by 90 degrees clockwise": (False, 1),
    "turn the thermal image by 90 degrees counterclockwise": (False, 3),
    "flip the thermal image from left to right": (True, 0),
    "flip the thermal image upside down": (True, 2),
    "flip the thermal image from left to right and turn it by 90 degrees clockwise": (True, 1),
    "flip the thermal image from left to right and turn it by 90 degrees counterclockwise": (
        True,
        3,
    ),
}
RATIOS = tuple(np.exp(np.arange(np.log(0.6), np.log(1.65) + 1e-9, 0.08)))
ROTATIONS = (-5.0, 0.0, 5.0)
MOST_FRAMES = 10


def best_turn(frames: Sequence[Frame]) -> tuple[str, float, float]:
    """What would put the thermal images right best: (what to do, score, evidence).

    '' where they are best as they are. All are searched in steps as coarse as each other's.
    """
    step = max(1, len(frames) // MOST_FRAMES)
    some = list(frames)[::step][:MOST_FRAMES]
    best = "", *_score(some)
    for text, (mirrored, quarters) in TURNS.items():
        turned = [replace(f, thermal=turn(f.thermal, mirrored, quarters)) for f in some]
        found = _score(turned)
        if found[0] > best[1]:
            best = text, *found
    return best


def turn(image: NDArray[np.uint8], mirrored: bool, quarters: int) -> NDArray[np.uint8]:
    """The image, flipped from left to right and then turned clockwise."""
    flipped = cv2.flip(image, 1) if mirrored else image
    return np.ascontiguousarray(np.rot90(flipped, -quarters))


def _score(frames: Sequence[Frame]) -> tuple[float, float]:
    found = coarse_search(frames, RATIOS, ROTATIONS)
    return found.all.score, found.evidence
