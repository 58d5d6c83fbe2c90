"""The files of a replay that grow with its frames: frames.csv, the video and output.mcap."""

from __future__ import annotations

import csv
import json
import math
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mafs_ros.bags import TYPES, BagWriter
from mafs_ros.labels import ClassTable, overlay
from mafs_ros.metrics import FUSION_METRICS
from mafs_ros.pictures import Video, mosaic, two_panels
from mafs_ros.replay import PART
from mafs_ros.replay_frames import Images
from mafs_ros.replay_pairs import Frame
from mafs_ros.replay_worst import badness

if TYPE_CHECKING:
    from mafs_ros.replay_evaluation import Replay

PANEL_WIDTH = 480  # of the pictures of the video


class Outputs:
    """frames.csv, the video and output.mcap, frame by frame; whole files also after Ctrl-C."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._out = replay.args.out
        self._columns = [
            "pair",
            "rgb_stamp_ns",
            "thermal_stamp_ns",
            "received_ns",
            "offset_ms",
            "status",
            "reason",
            "height",
            "width",
        ]
        scores = [*FUSION_METRICS, "labelled_pixels", "correct_pixels", "miou_percent"]
        for index in range(len(replay.candidates)):
            self._columns += ["b_" * index + name for name in scores]
        if len(replay.candidates) == 2:
            self._columns += ["agreement_percent", "fused_difference"]
        self._stack = ExitStack()
        (self._out / PART).mkdir()
        self._stack.callback(self._move)
        path = self._out / "frames.csv"
        file = self._stack.enter_context(path.open("w", newline="", encoding="utf-8"))
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(self._columns)
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

    def add_frame(self, frame: Frame, images: Images, row: dict[str, Any]) -> None:
        """Write the messages and the picture of a frame; row: its columns of frames.csv."""
        table = self._replay.candidates[0].table
        perceived = images.perceived[0]
        shown = overlay(
            perceived.fused, perceived.labels, table, self._replay.settings["overlay_alpha"]
        )
        self._write_messages(frame, images, shown)
        picture = frame_picture(images, shown, [c.table for c in self._replay.candidates])
        self._video.write(picture)
        bad = badness(row, self._replay.labels is not None)
        if bad is not None:
            self._replay.worst.consider(
                frame.number, frame.rgb.stamp, *bad, lambda: worst_jpeg(picture, images, table)
            )

    def _write_messages(self, frame: Frame, images: Images, shown: np.ndarray) -> None:
        if not self._described:
            text = TYPES.types["std_msgs/msg/String"](
                data=json.dumps(self._replay.candidates[0].table.to_dict())
            )
            self._bag.write_raw(
                "/mafs/segmentation/label_info",
                "std_msgs/msg/String",
                bytes(TYPES.serialize_cdr(text, "std_msgs/msg/String")),
                frame.received,
            )
            self._described = True
        perceived = images.perceived[0]
        for topic, image in (
            ("/mafs/fused/image", perceived.fused),
            ("/mafs/segmentation/labels", perceived.labels),
            ("/mafs/segmentation/overlay", shown),
        ):
            self._bag.write_image(topic, image, frame.rgb.stamp, images.frame_id, frame.received)


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(value) if isinstance(value, float) else value


def frame_picture(images: Images, shown: np.ndarray, tables: list[ClassTable]) -> np.ndarray:
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
