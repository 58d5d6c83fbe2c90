"""The files of a replay that grow with its frames: frames.csv, the video and output.mcap."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from mafs_ros.bags.reader import TYPES
from mafs_ros.bags.writer import BagWriter
from mafs_ros.base.output_topics import CONFIDENCE, IMAGES, LABEL_INFO, absolute
from mafs_ros.commands.replay.folder import PART
from mafs_ros.commands.replay.frames import Images
from mafs_ros.commands.replay.pictures import frame_picture
from mafs_ros.evaluation.bag_pairs import Frame
from mafs_ros.evaluation.metrics import FUSION_METRICS
from mafs_ros.images.video import Video
from mafs_ros.perception.classes import ClassTable
from mafs_ros.perception.overlay import overlay


class Outputs:
    """frames.csv, the video and output.mcap, frame by frame; whole files also after Ctrl-C.

    media: whether there are the last two.
    """

    def __init__(
        self, out: Path, tables: Sequence[ClassTable], overlay_alpha: float, media: bool
    ) -> None:
        self._out = out
        self._tables = tables
        self._overlay_alpha = overlay_alpha
        self._columns = columns(len(tables))
        self._stack = ExitStack()
        (self._out / PART).mkdir()
        self._stack.callback(self._move)
        path = self._out / "frames.csv"
        file = self._stack.enter_context(path.open("w", newline="", encoding="utf-8"))
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(self._columns)
        self._bag: BagWriter | None = None
        self._video: Video | None = None
        if media:
            self._bag = self._stack.enter_context(
                BagWriter(self._out / PART / "output", compress="chunks")
            )
            self._video = Video(self._out / "side_by_side.webm")
            self._stack.callback(self._video.close)
        self._described = False

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _move(self) -> None:
        bag = self._out / PART / "output" / "output.mcap"
        if bag.exists() and self._described:
            bag.replace(self._out / "output.mcap")
        shutil.rmtree(self._out / PART, ignore_errors=True)

    def add_row(self, row: dict[str, Any]) -> None:
        self._rows.writerow([_cell(row.get(name)) for name in self._columns])

    def add_frame(self, frame: Frame, images: Images) -> np.ndarray:
        """Write the messages and the picture of a frame; returns the picture, uint8 [H, W, 3]."""
        perceived = images.perceived[0]
        shown = overlay(perceived.fused, perceived.labels, self._tables[0], self._overlay_alpha)
        picture = frame_picture(images, shown, self._tables)
        if self._bag is not None and self._video is not None:
            self._write_messages(self._bag, frame, images, shown)
            self._video.write(picture)
        return picture

    def _write_messages(
        self, bag: BagWriter, frame: Frame, images: Images, shown: np.ndarray
    ) -> None:
        if not self._described:
            text = TYPES.types["std_msgs/msg/String"](data=json.dumps(self._tables[0].to_dict()))
            bag.write_raw(
                absolute(LABEL_INFO),
                "std_msgs/msg/String",
                bytes(TYPES.serialize_cdr(text, "std_msgs/msg/String")),
                frame.received,
            )
            self._described = True
        perceived = images.perceived[0]
        shown_on = {"fused": perceived.fused, "labels": perceived.labels, "overlay": shown}
        topics = {topic: shown_on[name] for name, topic in IMAGES.items()}
        if perceived.confidence is not None:
            topics[CONFIDENCE] = perceived.confidence
        for topic, pixels in topics.items():
            bag.write_image(
                absolute(topic), pixels, frame.rgb.stamp, images.frame_id, frame.received
            )


def columns(candidates: int) -> list[str]:
    """Of frames.csv; those of a second candidate begin with b_."""
    names = [
        "pair",
        "rgb_stamp_ns",
        "thermal_stamp_ns",
        "received_ns",
        "offset_ms",
        "status",
        "reason",
        "height",
        "width",
        "registration_px",
    ]
    scores = [*FUSION_METRICS, "labelled_pixels", "correct_pixels", "miou_percent"]
    for index in range(candidates):
        names += ["b_" * index + name for name in scores]
    if candidates == 2:
        names += ["agreement_percent", "fused_difference"]
    return names


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(value) if isinstance(value, float) else value
