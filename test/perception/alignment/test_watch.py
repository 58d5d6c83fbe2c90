"""The watch on the registration: told where the thermal image lies, and silent where it fits."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mafs_ros.perception.alignment.offset import Offset
from mafs_ros.perception.alignment.watch import FRAMES, PERIOD_S, OffsetWatch, advice, direction
from mafs_ros.perception.thermal import ThermalScaler
from mafs_ros.simulation import StreetSimulation


@pytest.fixture(scope="module")
def frames() -> list[tuple[np.ndarray, np.ndarray]]:
    """A drive of 640x480, one pair a second."""
    street, scaler = StreetSimulation(seed=3, height=480, width=640), ThermalScaler("percentile")
    drive = [street.frame(float(second)) for second in range(FRAMES)]
    return [(one.rgb, scaler(one.thermal, number)) for number, one in enumerate(drive)]


def shifted(image: np.ndarray, dx: int, dy: int) -> np.ndarray:
    return cv2.warpAffine(image, np.float32([[1, 0, dx], [0, 1, dy]]), image.shape[1::-1])


@pytest.mark.parametrize(
    ("dx", "dy", "words"),
    [(0, 0, ""), (6, 0, "right"), (-5, -4, "left and above"), (1, 7, "below")],
)
def test_a_shift_is_measured_and_said(frames, dx: int, dy: int, words: str) -> None:
    watch = OffsetWatch()
    for second, (rgb, thermal) in enumerate(frames):
        assert watch.offset is None and watch.due(second)
        watch.add(rgb, shifted(thermal, dx, dy), second)
        assert not watch.due(second + 0.9 * PERIOD_S)
    assert watch.offset is not None
    assert np.hypot(watch.offset.dx - dx, watch.offset.dy - dy) < 1.5
    assert direction(watch.offset) == words or not words
    said = advice(watch.offset, 4.0)
    assert bool(said) == bool(words)
    if words:
        assert f"pixels {words} of where" in said and "mafs calibrate" in said


def test_it_begins_anew_at_another_size_and_where_time_goes_back(frames) -> None:
    watch = OffsetWatch()
    for second, frame in enumerate(frames):
        watch.add(*frame, second)
    assert watch.offset is not None and watch.due(3.0)
    watch.add(*frames[0], 3.0)
    assert watch.offset is None
    for second, frame in enumerate(frames[1:], 4):
        watch.add(*frame, second)
    assert watch.offset is not None
    half = [cv2.resize(image, (320, 240)) for image in frames[0]]
    watch.add(*half, 20.0)
    assert watch.offset is None


def test_what_is_vague_or_small_is_not_said() -> None:
    assert advice(Offset(9.0, 0.0, 0.05), 4.0) == ""
    assert advice(Offset(3.0, 0.0, 0.9), 4.0) == ""
    assert "lies 9.0 pixels right of" in advice(Offset(9.0, 0.0, 0.9), 4.0)
