"""Writes images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mafs_ros.base.write import write_bytes


def write_png(path: Path | str, image: np.ndarray) -> None:
    """Write uint8 or uint16 [H, W] or uint8 RGB [H, W, 3] as PNG: wholly or not at all.

    The bytes go to a temporary file beside `path`, which then takes its name. Raises ValueError
    for another type or shape, OSError with the reason where the file cannot be written.
    """
    grey = image.ndim == 2 and image.dtype in (np.uint8, np.uint16)
    colour = image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
    if not (grey or colour) or image.size == 0:
        raise ValueError(
            f"{path}: cannot write {image.dtype} {list(image.shape)} as PNG, "
            "expected uint8 or uint16 [H, W] or uint8 [H, W, 3]"
        )
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if colour else image)[1]
    write_bytes(path, encoded.tobytes())
