"""The offset of a registered thermal image: its direction, size and certainty."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mafs_ros.perception.alignment.hint import RegistrationHint
from mafs_ros.perception.alignment.offset import REACH, measure_offset, offset_surface
from mafs_ros.perception.alignment.orientation import STRONGEST, orientation
from mafs_ros.perception.thermal import ThermalScaler
from mafs_ros.simulation import StreetSimulation


@pytest.fixture(scope="module")
def pairs():
    """Eight aligned pairs of a simulated night: uint8 [240, 320, 3] and [240, 320]."""
    street, scaler = StreetSimulation(seed=3, height=240, width=320, night=True), ThermalScaler()
    frames = [street.frame(3.0 * index) for index in range(8)]
    return [(frame.rgb, scaler(frame.thermal, 3.0 * i)) for i, frame in enumerate(frames)]


def moved(image, x, y):
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    size = image.shape[1], image.shape[0]
    return cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)


def offset_of(pairs, x, y, width=320):
    surfaces = [offset_surface(rgb, moved(thermal, x, y)) for rgb, thermal in pairs]
    return measure_offset(np.sum(surfaces, 0), width)


@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (0, -2.5), (-4.5, 4), (1.5, 6)])
def test_the_shift_is_measured(pairs, shift):
    offset = offset_of(pairs, *shift)
    assert (offset.dx, offset.dy) == pytest.approx(shift, abs=0.5)
    assert offset.length == pytest.approx(np.hypot(*shift), abs=0.7)
    assert offset.certainty > 0.3


def test_offsets_are_pixels_of_the_rgb_image(pairs):
    large = [
        (cv2.resize(rgb, (640, 480)), moved(cv2.resize(thermal, (640, 480)), 6, -4))
        for rgb, thermal in pairs
    ]
    offset = offset_of(large, 0, 0, width=640)
    assert (offset.dx, offset.dy) == pytest.approx((6, -4), abs=1)


def test_beyond_its_reach_it_is_not_certain(pairs):
    assert offset_of(pairs, 0, REACH + 3).certainty < 0.2


def test_pictures_of_two_places_are_not_certain(pairs):
    mixed = [(rgb, pairs[(i + 4) % 8][1][:, ::-1]) for i, (rgb, _) in enumerate(pairs)]
    assert offset_of(mixed, 0, 0).certainty < 0.25


def test_what_the_thermal_camera_does_not_see_is_left_out(pairs):
    """The border of a registered image, and edges outside of it, say nothing."""
    seen = np.zeros((240, 320), np.uint8)
    seen[40:200, 60:260] = 1
    surfaces = []
    for number, (rgb, thermal) in enumerate(pairs):
        shifted = moved(thermal, 3, 2)
        noise = np.random.default_rng(number).integers(0, 255, thermal.shape, np.uint8)
        surfaces.append(offset_surface(rgb, np.where(seen, shifted, noise), seen))
    offset = measure_offset(np.sum(surfaces, 0), 320)
    assert (offset.dx, offset.dy) == pytest.approx((3, 2), abs=0.6)


def hint_of(pairs, change=lambda image: image):
    hint = RegistrationHint()
    for rgb, thermal in pairs:
        assert not hint.complete and hint.text() == ""
        hint.add(rgb, change(thermal))
    assert hint.complete
    return hint.text()


def test_a_registration_is_asked_for_where_one_is_needed(pairs):
    assert hint_of(pairs) == ""
    assert "lie 5 pixels apart" in hint_of(pairs, lambda image: moved(image, -3, 4))
    narrow = hint_of(pairs, lambda image: cv2.resize(image[40:200, 50:250], (320, 240)))
    assert "agree at no small shift" in narrow
    assert "`mafs calibrate`" in narrow


def test_flat_images_say_nothing():
    flat = np.full((48, 64), 100, np.uint8)
    offset = measure_offset(offset_surface(flat, flat), 64)
    assert np.isfinite([offset.dx, offset.dy]).all()
    assert offset.certainty == 0


def test_another_size_is_refused():
    with pytest.raises(ValueError, match="register it first"):
        offset_surface(np.zeros((48, 64), np.uint8), np.zeros((24, 32), np.uint8))


def test_an_edge_is_the_same_with_its_contrast_inverted():
    image = np.zeros((40, 60), np.uint8)
    image[:, 30:] = 200
    edge = orientation(image)
    np.testing.assert_allclose(edge, orientation(255 - image), atol=1e-3)
    assert 1 < edge[20, 30, 0] <= STRONGEST
    assert edge[20, 30, 1] == pytest.approx(0, abs=1e-3)
    assert orientation(image.T.copy())[30, 20, 0] < -1
