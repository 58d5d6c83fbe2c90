"""Draws the labels over an image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.perception.classes import ClassTable, Image, check_label_map


def overlay(fused: Image, labels: Image, table: ClassTable, alpha: float = 0.5) -> Image:
    """The fused image with every object tinted and outlined in its class colour.

    fused: uint8 [H,W,3] rgb; labels: uint8 [H,W] ids; alpha: strength of the tint, 0 (outlines
    alone)..1 (flat colour). Background (id 0), unlabelled pixels and ids outside the table stay
    as they are. Returns a new uint8 [H,W,3]. Raises ValueError if types, sizes or alpha do not
    fit.
    """
    check_label_map(labels)
    if fused.dtype != np.uint8 or fused.shape != (*labels.shape, 3):
        raise ValueError(
            f"fused must be uint8 {[*labels.shape, 3]} like the labels, "
            f"got {fused.dtype} {list(fused.shape)}"
        )
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in 0..1, got {alpha}")
    # OpenCV's tables and masked copies, two large arrays: numpy indexing takes 4 times as long.
    objects = np.asarray(cv2.LUT(labels, table.object_ids), np.uint8)
    borders = cv2.morphologyEx(objects, cv2.MORPH_GRADIENT, _NEIGHBOURS)
    shown = np.asarray(cv2.applyColorMap(objects, table.palette[:, None]), np.uint8)
    tinted = cv2.addWeighted(fused, 1 - alpha, shown, alpha, 0)
    cv2.copyTo(tinted, _is_zero(borders), shown)
    cv2.copyTo(fused, _is_zero(objects), shown)
    return shown


def _is_zero(values: NDArray[Any]) -> Image:
    """Mask for OpenCV: 255 where a value is 0."""
    return np.asarray(cv2.inRange(values, 0, 0), np.uint8)


_NEIGHBOURS = np.ones((3, 3), np.uint8)
