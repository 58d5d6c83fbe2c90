"""Label files find their frame, and their ids those of the network."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mafs_ros.evaluation.ground_truth import LabelFolder
from mafs_ros.evaluation.label_mapper import LabelMapper
from mafs_ros.perception.classes import ClassTable, LabelClass, load_class_table

START = 1_700_000_000_000_000_000
STEP = 100_000_000


@pytest.mark.parametrize("name", ["{stamp}", "{stamp_s}.{stamp_ns:09d}", "{index}", "{index:06d}"])
def test_label_folder_by_stamp_or_number(tmp_path, name):
    for index in (1, 4):
        stamp = START + index * STEP
        file = name.format(
            stamp=stamp, stamp_s=stamp // 10**9, stamp_ns=stamp % 10**9, index=index
        )
        assert cv2.imwrite(str(tmp_path / f"{file}.png"), np.full((4, 4), index, np.uint8))
    labels = LabelFolder(tmp_path, 6)
    found = [labels.find(START + index * STEP, index) for index in range(6)]
    assert [None if one is None else int(one[0, 0]) for one in found] == [
        None,
        1,
        None,
        None,
        4,
        None,
    ]


def test_label_folder_of_other_names_goes_by_order(tmp_path):
    for name in ("a10", "a2"):
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((4, 4), len(name), np.uint8))
    labels = LabelFolder(tmp_path, 2)
    assert [labels.find(START, i)[0, 0] for i in range(2)] == [2, 3]
    with pytest.raises(ValueError, match="neither stamps nor numbers"):
        LabelFolder(tmp_path, 3)


def test_classes_are_matched_by_name():
    mfnet, street = load_class_table("mfnet"), load_class_table("street")
    labels = np.array([[0, 1, 2, 3, 4, 255]], np.uint8)
    assert LabelMapper(mfnet, street)(labels, (1, 6)).tolist() == [[0, 1, 2, 3, 255, 255]]
    with pytest.raises(ValueError, match="is --label-classes the table of these labels"):
        LabelMapper(street, street)(labels, (1, 6))
    with pytest.raises(ValueError, match="the labels are 6x1, expected 4x3"):
        LabelMapper(mfnet, street)(labels, (3, 4))
    other = ClassTable(
        "x", (LabelClass(0, "background", (0, 0, 0)), LabelClass(1, "cow", (1, 1, 1)))
    )
    with pytest.raises(ValueError, match="have no object in common"):
        LabelMapper(other, street)
