"""What is made of one image where the other camera is dead: the network sees black in its place.

Black, as in training (`dropout` of `training.data.augment`). Nothing is registered.
"""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.perception.perception import Image, Perceived, Perception, remarks_of, scaled_by


def perceive(
    perception: Perception,
    rgb: Image | None,
    thermal: NDArray[Any] | None,
    stamp_s: float,
    depth: NDArray[np.float32] | None = None,
    confidence: bool = False,
    remember: bool = True,
) -> Perceived:
    """What is made of a pair, or of one image where the other is None; see `Perception`."""
    if thermal is None:
        assert rgb is not None  # noqa: S101 (one of them is there)
        return rgb_alone(perception, rgb, confidence)
    if rgb is None:
        return thermal_alone(perception, thermal, stamp_s, confidence, remember)
    return perception(rgb, thermal, stamp_s, depth, confidence, remember)


def rgb_alone(perception: Perception, rgb: Image, confidence: bool = False) -> Perceived:
    """Labels of an RGB image uint8 [H,W,3]; fused is that image. Raises ValueError."""
    start = time.perf_counter()
    black = np.zeros(rgb.shape[:2], np.uint8)
    _, labels, sure, threshold = perception.run(rgb, black, confidence)
    timings_ms = {"engine": 1e3 * (time.perf_counter() - start)}
    return Perceived(rgb, labels, black, timings_ms, (), sure, threshold)


def thermal_alone(
    perception: Perception,
    thermal: NDArray[Any],
    stamp_s: float,
    confidence: bool = False,
    remember: bool = True,
) -> Perceived:
    """Labels of a thermal image uint8, uint16 or float32 [h,w], of its size.

    fused is the scaled image as grey, [h,w,3]; stamp_s: its acquisition time. Raises ValueError.
    """
    scaler, start = perception.scaler, time.perf_counter()
    scaled = scaled_by(scaler, remember)(thermal, stamp_s)
    scaled_at = time.perf_counter()
    black = np.zeros((*scaled.shape, 3), np.uint8)
    _, labels, sure, threshold = perception.run(black, scaled, confidence)
    timings_ms = {
        "thermal": 1e3 * (scaled_at - start),
        "engine": 1e3 * (time.perf_counter() - scaled_at),
    }
    grey: Image = cv2.cvtColor(scaled, cv2.COLOR_GRAY2RGB)  # type: ignore[assignment]
    return Perceived(grey, labels, scaled, timings_ms, remarks_of(scaler), sure, threshold)
