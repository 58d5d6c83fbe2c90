"""Pictures and videos of frames: labelled panels beside each other. Needs no ROS."""

from __future__ import annotations

import cv2
import numpy as np

from mafs_ros.perception.classes import ClassTable


def mosaic(images: dict[str, np.ndarray], width: int, table: ClassTable) -> np.ndarray:
    """Labelled pictures, two beside two: rgb, thermal; fused, overlay. uint8 [2h, 2w, 3]."""
    height = round(images["fused"].shape[0] * width / images["fused"].shape[1])
    width, height = width + width % 2, height + height % 2  # video codecs want even sizes
    panels = []
    for name in ("rgb", "thermal", "fused", "overlay"):
        image = images[name]
        colour = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image
        panel = cv2.resize(colour, (width, height), interpolation=cv2.INTER_AREA)
        write_text(panel, name, (10, 10))
        panels.append(panel)
    legend(panels[3], table)
    return np.vstack([np.hstack(panels[:2]), np.hstack(panels[2:])])


def write_text(
    picture: np.ndarray,
    text: str,
    corner: tuple[int, int],
    colour: tuple[int, ...] = (255, 255, 255),
) -> int:
    """White text with a dark rim, `corner` (x, y) at its top left; returns its width in pixels."""
    scale = picture.shape[1] / 800 + 0.1
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    origin = corner[0], corner[1] + height
    for ink, thickness in (((0, 0, 0), 4), (colour, 1)):
        cv2.putText(
            picture, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA
        )
    return width


def legend(picture: np.ndarray, table: ClassTable) -> None:
    """The names of the classes in their colours, along the lower edge."""
    x = 10
    for row in table.classes[1:]:
        if x > picture.shape[1] - 60:
            break
        x += write_text(picture, row.name, (x, picture.shape[0] - 24), row.colour) + 14


def two_panels(panels: dict[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Two labelled pictures beside each other, of the size of a row of a mosaic of `shape`."""
    row = []
    for name, image in panels.items():
        panel = cv2.resize(image, (shape[1] // 2, shape[0] // 2), interpolation=cv2.INTER_AREA)
        write_text(panel, name, (10, 10))
        row.append(panel)
    return np.hstack(row)
