"""Expected calibration error, on maps whose answer is known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mafs_ros.evaluation.metrics import CalibrationError


def test_perfect_confidence_has_no_error() -> None:
    error = CalibrationError()
    labels = np.array([[1, 1, 1, 1, 0]], np.uint8)
    error.accumulate(labels, labels, np.full((1, 5), 255, np.uint8))
    assert error.ece() == 0 and error.accuracy == 1 and error.mean_confidence == 1


def test_bins_are_weighed_by_their_pixels() -> None:
    """Three of four right at .8: .05; none of one right at .4: .4; 255 is left out."""
    error = CalibrationError()
    labels = np.array([[1, 1, 1, 0, 2, 255]], np.uint8)
    predicted = np.array([[1, 1, 1, 1, 0, 1]], np.uint8)
    confidence = np.array([[204, 204, 204, 204, 102, 0]], np.uint8)
    error.accumulate(labels, predicted, confidence)
    assert error.ece() == pytest.approx((4 * 0.05 + 1 * 0.4) / 5)
    assert error.accuracy == pytest.approx(3 / 5)
    assert error.mean_confidence == pytest.approx((4 * 0.8 + 0.4) / 5)


def test_within_a_bin_errors_cancel() -> None:
    """.9 wrong and .92 right are one bin of 15 with the mean .91, half of it right."""
    error = CalibrationError()
    confidence = np.array([[round(0.9 * 255), round(0.92 * 255)]], np.uint8)  # 230 and 235
    error.accumulate(np.array([[0, 1]]), np.array([[1, 1]]), confidence)
    bins = (confidence / 255 * 15).astype(int).ravel()
    assert bins[0] == bins[1]
    assert error.ece() == pytest.approx((230 + 235) / 2 / 255 - 0.5)


def test_nothing_has_no_error() -> None:
    assert math.isnan(CalibrationError().ece())
