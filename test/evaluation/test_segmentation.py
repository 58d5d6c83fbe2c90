"""The confusion matrix and its scores."""

import math

import numpy as np
import pytest

from mafs_ros.evaluation.metrics import ConfusionMatrix, largest_false_object


def grey(*rows):
    return np.array(rows, np.uint8)


def test_confusion_matrix_by_hand():
    matrix = ConfusionMatrix(["background", "car", "person"])
    matrix.accumulate(grey([0, 0, 1], [1, 2, 255]), grey([0, 1, 1], [1, 0, 2]))
    assert matrix.matrix.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert matrix.iou().tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert matrix.miou() == pytest.approx(1 / 3)
    assert matrix.miou(background=False) == pytest.approx(1 / 3)


def test_confusion_matrix_is_one_over_the_set():
    """Not the mean of the per-image scores, which would be (1 + 0) / 2 for the car."""
    matrix = ConfusionMatrix(["background", "car"])
    matrix.accumulate(grey([1, 1, 1]), grey([1, 1, 1]))
    matrix.accumulate(grey([1]), grey([0]))
    assert matrix.iou()[1] == pytest.approx(0.75)


def test_absent_classes_are_left_out_and_named():
    matrix = ConfusionMatrix(["background", "car", "bicycle", "bus"])
    matrix.accumulate(grey([0, 1, 1]), grey([0, 1, 3]))
    iou = matrix.iou()
    assert iou[:2].tolist() == [1.0, 0.5]
    assert math.isnan(iou[2])
    assert iou[3] == 0  # never labelled, but predicted
    assert matrix.absent() == ("bicycle", "bus")
    assert matrix.miou() == pytest.approx(0.5)
    assert matrix.miou(background=False) == pytest.approx(0.25)
    assert "absent from the labels: bicycle, bus" in matrix.table()
    assert "mIoU 50.00 with, 25.00 without background" in matrix.table()


def test_an_empty_confusion_matrix_has_no_score():
    assert math.isnan(ConfusionMatrix(["background", "car"]).miou())


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        (grey([0, 4]), grey([0, 0]), r"labels contain the ids \[4\].*background, car"),
        (grey([0, 1]), grey([0, 255]), r"prediction contain the ids \[255\]"),
        (grey([0, 1]), grey([0]), "differ in size"),
    ],
)
def test_confusion_matrix_refuses_unknown_ids(labels, predicted, message):
    matrix = ConfusionMatrix(["background", "car"])
    with pytest.raises(ValueError, match=message):
        matrix.accumulate(labels, predicted)
    assert not matrix.matrix.any()


@pytest.mark.parametrize(
    ("labelled", "predicted", "percent"),
    [
        ([], [(1, 0, 2, 0, 5)], 10.0),  # nothing there
        ([(1, 1, 2, 4, 5)], [(1, 0, 2, 0, 5)], 0.0),  # too large, but an object
        ([(2, 0, 1, 0, 1)], [(1, 0, 2, 0, 5)], 0.0),  # of another class: no false object
        ([(255, 0, 1, 0, 1)], [(1, 0, 2, 0, 5)], 0.0),  # nobody knows
        ([(1, 9, 10, 9, 10)], [(1, 0, 2, 0, 2), (1, 2, 4, 2, 4), (2, 6, 8, 0, 2)], 8.0),
        ([], [], 0.0),
    ],
)
def test_the_largest_false_object(labelled, predicted, percent) -> None:
    """Rectangles (class, rows, columns) in 10 x 10; two that touch at a corner are one."""

    def drawn(rectangles) -> np.ndarray:
        image = np.zeros((10, 10), np.uint8)
        for class_id, top, bottom, left, right in rectangles:
            image[top:bottom, left:right] = class_id
        return image

    assert largest_false_object(drawn(labelled), drawn(predicted)) == pytest.approx(percent)
