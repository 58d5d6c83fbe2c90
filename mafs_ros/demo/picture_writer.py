"""Pictures and a video of what was received, written beside the drive."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from mafs_ros.base.errors import one_line
from mafs_ros.base.resources import default_weights
from mafs_ros.images.files.write import write_png
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.images.mosaic import mosaic
from mafs_ros.images.video import Video
from mafs_ros.model.weights import read_info
from mafs_ros.perception.classes import ClassTable
from mafs_ros.perception.thermal import ThermalScaler
from mafs_ros.rig.processes import RigError, progress
from mafs_ros.rig.receiver import OUTPUTS, Receiver
from mafs_ros.rig.source import Source

PANEL_WIDTH = 480  # of the video's four pictures


class PictureWriter(threading.Thread):
    """Turns the frames of a Receiver into files until None comes; after an `error` into none."""

    def __init__(self, receiver: Receiver, source: Source, spool: Path, out: Path) -> None:
        super().__init__(name="pictures")
        self.written = 0
        self.error: Exception | None = None
        self.video_frames = 0
        self._receiver, self._source = receiver, source
        self._spool, self._out = spool, out
        self._table = ClassTable.from_dict(read_info(default_weights()).class_table)
        self._scaler = ThermalScaler()  # with the node's defaults
        self._video = Video(out / "demo.webm")
        self._best = -1.0
        self.best_picture: np.ndarray | None = None

    def run(self) -> None:
        try:
            while (stamp := self._next()) is not None:
                if self.error is None:
                    self._try_to_write(stamp)
                self._receiver.frames.task_done()
        finally:
            self._video.close()

    def _next(self) -> int | None:
        self._receiver.make_pictures.wait()
        return self._receiver.frames.get()

    def _try_to_write(self, stamp: int) -> None:
        try:
            self._write(stamp)
        except Exception as error:  # a full disk, say: the main thread reports it
            self.error = error

    def _write(self, stamp: int) -> None:
        images = self._images(stamp)
        name = self._source.names.get(stamp) or f"{self.written:06d}"
        for output in OUTPUTS:
            write_png(self._out / output / f"{name}.png", images[output])
        self._video.write(mosaic(images, PANEL_WIDTH, self._table))
        self.video_frames += 1
        score = float(np.sqrt(np.bincount(images["labels"].ravel(), minlength=256)[1:255]).sum())
        if score > self._best:
            self._best = score
            self.best_picture = mosaic(images, images["fused"].shape[1], self._table)
        self.written += 1

    def _images(self, stamp: int) -> dict[str, np.ndarray]:
        """All pictures of a frame: uint8 RGB [H, W, 3]; labels and thermal uint8 [H, W]."""
        images = {
            "fused": rgb_from_message(self._load("fused", stamp)),
            "labels": thermal_from_message(self._load("labels", stamp)),
            "overlay": rgb_from_message(self._load("overlay", stamp)),
            "rgb": rgb_from_message(self._load("rgb", stamp)),
        }
        thermal_stamp = min(list(self._receiver.spooled["thermal"]), key=lambda t: abs(t - stamp))
        thermal = thermal_from_message(self._load("thermal", thermal_stamp))
        images["thermal"] = self._scaler(thermal, thermal_stamp / 1e9)
        for name in OUTPUTS:
            (self._spool / f"{stamp}.{name}").unlink()
        for name, stamps in self._receiver.spooled.items():
            while stamps and stamps[0] <= stamp:  # this one, and older ones without a partner
                (self._spool / f"{stamps.popleft()}.{name}").unlink()
        return images

    def _load(self, name: str, stamp: int) -> Any:
        kind = Image if name in OUTPUTS else self._receiver.input_type(name)
        return deserialize_message((self._spool / f"{stamp}.{name}").read_bytes(), kind)


def count_video_frames(path: Path) -> int:
    """Frames that can be decoded."""
    video = cv2.VideoCapture(str(path))
    count = 0
    while video.read()[0]:
        count += 1
    video.release()
    return count


def write_pictures(writer: PictureWriter, receiver: Receiver) -> None:
    """Let the writer finish, showing its progress; raises RigError where it cannot."""
    receiver.frames.put(None)
    receiver.make_pictures.set()
    with progress(receiver.complete, "pictures") as bar:
        while writer.is_alive():
            writer.join(0.1)
            bar.update(writer.written - bar.n)
    if writer.error:
        raise RigError(one_line(writer.error)) from writer.error


def finish_writer(writer: PictureWriter, receiver: Receiver) -> None:
    """End the thread, whatever it does."""
    if writer.is_alive():
        writer.error = writer.error or RigError("ended early")
        receiver.frames.put(None)
        receiver.make_pictures.set()
        writer.join()


def describe_files(out: Path, writer: PictureWriter) -> str:
    """Write the side-by-side picture, check the video, and say what lies where."""
    assert writer.best_picture is not None  # noqa: S101 (a frame came out)
    write_png(out / "side_by_side.png", writer.best_picture)
    readable = count_video_frames(out / "demo.webm")
    if readable != writer.video_frames:
        raise RigError(
            f"{out}/demo.webm: {readable} of {writer.video_frames} frames can be read "
            "back; is the disk full?"
        )
    return (
        f"{out}/: fused/, labels/ and overlay/ ({writer.written} pictures each), "
        "side_by_side.png, demo.webm, summary.json"
    )
