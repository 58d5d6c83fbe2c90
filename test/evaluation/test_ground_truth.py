"""Label files find their frame, and their ids those of the network."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mafs_ros.bags.reader import TYPES, Bag
from mafs_ros.bags.writer import BagWriter, image_header
from mafs_ros.evaluation.ground_truth import LabelFolder, LabelTopic, open_labels
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


@pytest.mark.parametrize("bits", [1, 8])
def test_compressed_labels_of_a_topic_are_ids_too(tmp_path, bits):
    """As in files: a PNG of one bit holds the ids 0 and 1, not 0 and 255."""
    ids = np.tile(np.arange(8, dtype=np.uint8) % 2, (4, 1))
    options = [cv2.IMWRITE_PNG_BILEVEL, 1] if bits == 1 else []
    data = cv2.imencode(".png", ids * 255 if bits == 1 else ids, options)[1]
    kind = "sensor_msgs/msg/CompressedImage"
    message = TYPES.types[kind](header=image_header(START, "rgb"), format="png", data=data.ravel())
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_raw(
            "/labels/image/compressed", kind, bytes(TYPES.serialize_cdr(message, kind)), START
        )
        writer.write_image("/rgb/image", np.zeros((4, 8, 3), np.uint8), START, "rgb")
    with Bag(tmp_path / "bag") as bag:
        topic = next(topic for topic in bag.image_topics if topic.compressed)
        labels = open_labels(topic.name, bag, topic)
        assert isinstance(labels, LabelTopic)
        for one in bag.messages([topic.name]):
            labels.add(one)
        np.testing.assert_array_equal(labels.find(START, 0), ids)


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
