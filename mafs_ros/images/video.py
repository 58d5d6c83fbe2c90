"""Writes a video."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

VIDEO_HZ = 10.0


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
