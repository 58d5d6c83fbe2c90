"""Pictures of a frame: of the video, and of the worst frames in the report."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mafs_ros.commands.replay.frames import Images
from mafs_ros.images.mosaic import mosaic, two_panels
from mafs_ros.perception.classes import ClassTable
from mafs_ros.perception.overlay import overlay

PANEL_WIDTH = 480  # pixels, of each image in the video


def frame_picture(images: Images, shown: np.ndarray, tables: Sequence[ClassTable]) -> np.ndarray:
    """rgb and thermal, fused and overlay; below, where two are compared, those of the second."""
    first = images.perceived[0]
    four = mosaic(
        {"rgb": images.rgb, "thermal": first.thermal, "fused": first.fused, "overlay": shown},
        PANEL_WIDTH,
        tables[0],
    )
    if len(images.perceived) == 1:
        return four
    second = images.perceived[1]
    return np.vstack(
        [
            four,
            two_panels(
                {
                    "fused, second": second.fused,
                    "overlay, second": overlay(second.fused, second.labels, tables[1]),
                },
                four.shape,
            ),
        ]
    )


def worst_jpeg(picture: np.ndarray, images: Images, table: ClassTable) -> bytes:
    """The picture of a frame for the report; with labels and errors below where there are any."""
    if images.truth is not None:
        truth = overlay(images.rgb, images.truth, table)
        predicted = images.perceived[0].labels
        wrong = (images.truth != predicted) & (images.truth != table.ignore_id)
        errors = images.perceived[0].fused // 2
        errors[wrong] = (255, 60, 60)
        rows = 3 if len(images.perceived) == 2 else 2
        shape = (picture.shape[0] * 2 // rows, picture.shape[1])
        picture = np.vstack([picture, two_panels({"labels": truth, "errors": errors}, shape)])
    encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80]
    )[1]
    return encoded.tobytes()
