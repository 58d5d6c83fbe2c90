"""Where the evidence is weak there is no registration, but the reason for none."""

from __future__ import annotations

from dataclasses import replace

import calibration_rig as rig
import cv2
import numpy as np
import pytest

from mafs_ros.commands.calibrate.method import calibrate as calibration
from mafs_ros.commands.calibrate.method import turned
from mafs_ros.commands.calibrate.method.errors import CalibrationError


@pytest.fixture(autouse=True)
def few_ratios(monkeypatch):
    """Two ratios of the views, the true one among them: the search of all is tested elsewhere."""
    monkeypatch.setattr(turned, "RATIOS", (0.65, rig.RATIO))
    monkeypatch.setattr(turned, "MOST_FRAMES", 8)
    monkeypatch.setattr(calibration, "RATIOS", (0.65, rig.RATIO))


def thermal_changed(frames, change):
    """The frames with other thermal images."""
    found = [change(frame.thermal) for frame in frames]
    return [
        replace(frame, thermal=np.ascontiguousarray(image), thermal_size=image.shape)
        for frame, image in zip(frames, found, strict=True)
    ]


def refused(frames):
    with pytest.raises(CalibrationError) as error:
        calibration.calibrate(frames)
    text = str(error.value)
    assert "\n" not in text
    return text


def test_too_few_pairs(frames):
    assert "there are 5 pairs, expected at least 8" in refused(frames[:5])


def test_a_drive_that_stands_still(frames):
    assert "the cameras stand still" in refused([frames[0]] * 20)


def test_a_thermal_camera_that_shows_nothing(frames):
    flat = thermal_changed(frames, lambda image: image // 64 + 100)
    assert "the thermal images are almost flat" in refused(flat)


def test_a_dark_rgb_camera(frames):
    dark = [replace(frame, rgb=frame.rgb // 100) for frame in frames]
    assert "the RGB images are almost flat" in refused(dark)


def test_images_without_edges(frames):
    blurred = thermal_changed(frames, lambda image: cv2.GaussianBlur(image, (0, 0), 30) * 2)
    assert "too few edges in the thermal images" in refused(blurred)


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        (lambda image: np.rot90(image, 2), "turn the thermal image by 180 degrees"),
        (lambda image: np.rot90(image), "turn the thermal image by 90 degrees clockwise"),
        (lambda image: np.rot90(image, -1), "by 90 degrees counterclockwise"),
        (np.fliplr, "flip the thermal image from left to right"),
        (np.flipud, "flip the thermal image upside down"),
    ],
)
def test_a_camera_that_is_turned_or_mirrored(frames, wrong, advice):
    assert advice in refused(thermal_changed(frames, wrong))


def test_cameras_that_look_elsewhere(frames):
    other = rig.frames_of(rig.street(len(frames), seed=8), rig.homography())
    mixed = [replace(f, thermal=o.thermal) for f, o in zip(frames, other, strict=True)]
    assert "nothing in common at the same moment" in refused(mixed)


def test_pairs_of_wrong_moments(frames):
    late = [*frames[7:], *frames[:7]]
    mixed = [replace(f, thermal=o.thermal) for f, o in zip(frames, late, strict=True)]
    assert "do their stamps belong together" in refused(mixed)


def test_cameras_that_hardly_overlap(pairs, monkeypatch):
    """The left and the right part of a wide scene, which share a quarter."""
    apart = [(rgb[:, :180], thermal[:, 135:315]) for rgb, thermal in pairs]
    monkeypatch.setattr(calibration, "RATIOS", (1.0, 1.1))
    monkeypatch.setattr(turned, "RATIOS", (1.0,))
    assert "the cameras share only about" in refused(rig.frames_of(apart))


def test_a_camera_that_moved_on_the_way(pairs):
    half = len(pairs) // 2
    moved = rig.homography(right=26.0, down=0.0)
    frames = rig.frames_of(pairs[:half], rig.homography()) + rig.frames_of(pairs[half:], moved)
    assert "the two halves of the drive" in refused(frames)
