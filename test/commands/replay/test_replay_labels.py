"""`mafs replay` with ground truth: from a topic, from a folder, unusable."""

from __future__ import annotations

import cv2
import numpy as np
from replay_bag import STEP, replay, rows, write_bag


def test_labels_that_come_late_in_the_bag(tmp_path, frames):
    bag = write_bag(tmp_path / "bag", frames, label_delay=3 * STEP)
    _, report = replay(bag, tmp_path / "out", "--labels", "labels/image")
    assert report["frames"]["labelled"] == 6


def test_labels_of_a_folder_are_scored(tmp_path, frames):
    bag = write_bag(tmp_path / "bag", frames[:3], labelled=())
    (tmp_path / "labels").mkdir()
    assert cv2.imwrite(str(tmp_path / "labels" / "1.png"), frames[1].labels)
    code, _ = replay(bag, tmp_path / "out", "--labels", tmp_path / "labels")
    assert code == 0
    assert [row["pair"] for row in rows(tmp_path / "out") if row["labelled_pixels"]] == ["1"]


def test_unusable_labels_are_named_and_the_frame_is_scored_for_fusion(tmp_path, frames):
    (tmp_path / "labels").mkdir()
    assert cv2.imwrite(str(tmp_path / "labels" / "0.png"), np.zeros((5, 5), np.uint8))
    bag = write_bag(tmp_path / "bag", frames[:2], labelled=())
    code, report = replay(bag, tmp_path / "out", "--labels", tmp_path / "labels")
    assert code == 1
    assert report["problems"] == [
        "1 frames are scored for fusion only: the labels are 5x5, expected 96x64 as the RGB image"
    ]
    assert report["fusion"]["images"] == 2
