"""Pictures and videos of frames: labelled panels beside each other. Needs no ROS."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mafs_ros.labels import ClassTable

VIDEO_HZ = 10.0


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


def open_video(path: Path, height: int, width: int) -> cv2.VideoWriter:
    """VP8 in WebM: of what OpenCV's wheel can write, what every browser and VLC plays."""
    with silent_stderr():  # FFmpeg complains of the tag 'VP80' and then writes the right one
        writer = cv2.VideoWriter(
            str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"VP80"), VIDEO_HZ, (width, height)
        )
    if not writer.isOpened():
        raise OSError(
            f"{path}: cannot write this video; OpenCV has no VP8 encoder here, or the "
            "folder is not writable"
        )
    return writer


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Throw away what C libraries write to stderr."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class Video:
    """A WebM of pictures; opened with the first, of its size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._size = (0, 0)

    def write(self, picture: np.ndarray) -> None:
        """Append uint8 RGB [H,W,3]; another size than the first is scaled to it."""
        if self._writer is None:
            self._size = picture.shape[1], picture.shape[0]
            self._writer = open_video(self._path, *picture.shape[:2])
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()
            self._writer = None
            fix_track_number(self._path)


def fix_track_number(path: Path) -> None:
    """Replace FFmpeg's random TrackUID, so that the same pictures give the same bytes.

    Matroska elements TrackUID (73C5) and TagTrackUID (63C5), both of 8 bytes, near the start.
    """
    with open(path, "r+b") as file:
        head = file.read(4096)
        for element in (b"\x73\xc5\x88", b"\x63\xc5\x88"):
            at = head.find(element)
            if at >= 0:
                file.seek(at + len(element))
                file.write((1).to_bytes(8, "big"))


def two_panels(panels: dict[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Two labelled pictures beside each other, of the size of a row of a mosaic of `shape`."""
    row = []
    for name, image in panels.items():
        panel = cv2.resize(image, (shape[1] // 2, shape[0] // 2), interpolation=cv2.INTER_AREA)
        write_text(panel, name, (10, 10))
        row.append(panel)
    return np.hstack(row)
