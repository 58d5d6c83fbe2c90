"""The cases of the evaluation have the homography that they say, and the table counts right."""

from __future__ import annotations

import argparse

import calibration_rig as rig
import cv2
import numpy as np
import pytest

from mafs_ros.commands.calibrate.method import calibrate as calibration
from mafs_ros.commands.calibrate.method.evaluate import Case, run_cases, table
from mafs_ros.commands.calibrate.method.evaluate_watch import row
from mafs_ros.commands.calibrate.method.geometry import corners, moved
from mafs_ros.commands.calibrate.method.warped import (
    RGB_SIZE,
    AlignedSet,
    corrected,
    draw_views,
    seen,
)

SIZE = (240, 320)


def test_a_point_lies_where_the_homography_says():
    views = draw_views(SIZE, np.random.default_rng(1), (120, 160))
    assert (moved(views.rgb, corners(RGB_SIZE)) >= -1e-6).all()
    in_thermal = np.array([[70.0, 60.0]])
    in_rgb = moved(views.homography, in_thermal)
    in_frame = moved(views.rgb, in_rgb)[0]
    rows, columns = np.indices(SIZE)
    spot = np.exp(-((columns - in_frame[0]) ** 2 + (rows - in_frame[1]) ** 2) / 18)
    frame = (255 * spot).astype(np.uint8)
    shown = seen((frame, frame), views, "spot")
    for image, place in ((shown.rgb, in_rgb[0]), (shown.thermal, in_thermal[0])):
        sums = cv2.moments(image.astype(np.float32))
        found = sums["m10"] / sums["m00"], sums["m01"] / sums["m00"]
        assert found == pytest.approx(tuple(place), abs=0.3)


def test_what_the_set_itself_is_off_by_belongs_to_the_truth():
    views = draw_views(SIZE, np.random.default_rng(2))
    np.testing.assert_allclose(corrected(views, np.eye(3)), views.homography, atol=1e-9)
    beside = np.array([[1, 0, 3], [0, 1, 0], [0, 0, 1.0]])
    there = moved(corrected(views, beside), [[80, 60]]) - moved(views.homography, [[80, 60]])
    assert there[0] == pytest.approx([3 / views.rgb[0, 0], 0], abs=1e-6)


def test_cases_of_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "RATIOS", (1.05, 1.1))  # the first case has 1.09
    for folder in ("vi", "ir"):
        (tmp_path / folder).mkdir()
    for number, (rgb, thermal) in enumerate(rig.street(12)):
        cv2.imwrite(str(tmp_path / "vi" / f"{number}.png"), rgb[..., ::-1])
        low, high = np.percentile(thermal, (1, 99.8))
        scaled = np.clip((thermal - low) / (high - low) * 255, 0, 255)
        cv2.imwrite(str(tmp_path / "ir" / f"{number}.png"), scaled.astype(np.uint8))
    asked = argparse.Namespace(
        data=tmp_path, cases=1, first_case=0, frames=12, thermal_size=(128, 160)
    )
    (case,) = run_cases(asked, AlignedSet(".", "*", SIZE), np.eye(3))
    assert not case.reason
    assert case.error_px < 5  # at 640; the frames have half of that


def test_the_table():
    cases = [Case(error, 1.0, 3.0, 5.0) for error in (1.0, 2.0, 12.0)]
    refused = Case(np.nan, np.nan, np.nan, 5.0, reason="too few edges")
    rows = table([("road", [*cases, refused]), ("tno", [refused])])
    assert rows[2] == "| road | 4 | 2.00 | 10.00 | 12.00 | 1 | 0 | 1 | 5.0 |"
    assert rows[3] == "| tno | 1 | - | - | - | - | - | 1 | 5.0 |"
    assert rows[4].startswith("| all but tno | 4 |")


def test_the_row_of_the_watch(frames):
    """Pairs that fit; the same 4 pixels of 640 beside; 10 to 30 beside."""
    size = rig.RGB_SIZE[::-1]
    window = [
        (frame.rgb, cv2.warpPerspective(frame.thermal, rig.homography(), size))
        for frame in frames[:8]
    ]
    cells = [cell.strip() for cell in row("made", [window], np.eye(3)).strip("|").split("|")]
    near, far = (float(cells[index].split(",")[0]) for index in (2, 3))
    assert cells[:2] == ["made", "1"]
    assert near < 1.5 < 2.5 < far
    assert cells[5:] == ["0 of 1", "5 of 5"]
