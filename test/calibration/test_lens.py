"""Lens distortion and focal lengths as CameraInfo gives them."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mafs_ros.calibration.depth import depth_range
from mafs_ros.calibration.geometry import moved
from mafs_ros.calibration.lens import (
    Lens,
    for_images_as_they_come,
    lens_from_message,
    view_ratio,
)

SIZE = (240, 320)
K = np.array([[300.0, 0, 155], [0, 300, 125], [0, 0, 1]])
BARREL = Lens(K, (-0.3, 0.1, 0.001, -0.002, 0.0), "plumb_bob", SIZE)
FISHEYE = Lens(K, (-0.05, 0.01, 0.0, 0.0), "equidistant", SIZE)
STRAIGHT = Lens(K, (), "plumb_bob", SIZE)


def info(**changed):
    fields = {
        "k": K.ravel(),
        "p": np.column_stack([K * [[0.9], [0.9], [1]], np.zeros(3)]).ravel(),
        "d": [-0.3, 0.1, 0.0, 0.0, 0.0],
        "distortion_model": "plumb_bob",
        "width": 320,
        "height": 240,
    }
    return SimpleNamespace(**{**fields, **changed})


@pytest.mark.parametrize("lens", [BARREL, FISHEYE], ids=lambda lens: lens.model)
def test_points_lie_where_the_image_was_taken_from(lens):
    """A dot in the image as it comes is found at its place in the undistorted one."""
    for x, y in ((60, 50), (160, 120), (250, 190)):
        at = lens.distorted(np.array([[x, y]], float))[0]
        image = np.zeros(SIZE, np.float32)
        rows, columns = np.indices(SIZE)
        image += np.exp(-((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / 8)
        there = lens.undistorted(image)
        moments = cv2.moments(there)
        found = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
        assert found == pytest.approx((x, y), abs=0.3)


def test_the_homography_for_images_as_they_come():
    homography = np.array([[1.1, 0.02, 3], [-0.01, 1.1, -5], [0, 0, 1]])
    nearest, error = for_images_as_they_come(homography, STRAIGHT, STRAIGHT, (SIZE, SIZE))
    np.testing.assert_allclose(nearest / nearest[2, 2], homography, atol=1e-4)
    assert error < 1e-3
    nearest, error = for_images_as_they_come(homography, None, BARREL, (SIZE, SIZE))
    point = np.array([[160.0, 120.0]])
    bent = BARREL.distorted(moved(homography, point))
    assert np.linalg.norm(moved(nearest, point) - bent) <= error
    assert 1 < error < 20


def test_camera_info_is_read():
    lens = lens_from_message(info(), SIZE, rectified=False)
    assert lens.distorts and lens.model == "plumb_bob"
    np.testing.assert_array_equal(lens.k, K)
    rectified = lens_from_message(info(), SIZE, rectified=True)
    assert not rectified.distorts
    assert rectified.k[0, 0] == pytest.approx(270)
    half = lens_from_message(info(), (120, 160), rectified=False)
    assert half.k[:2].ravel() == pytest.approx([150, 0, 77.25, 0, 150, 62.25])
    assert lens_from_message(info(k=np.zeros(9)), SIZE, rectified=False) is None


def test_camera_info_that_does_not_fit():
    with pytest.raises(ValueError, match="distortion model 'omni'"):
        lens_from_message(info(distortion_model="omni"), SIZE, rectified=False)
    with pytest.raises(ValueError, match="another shape"):
        lens_from_message(info(), (256, 320), rectified=False)


def test_the_ratio_of_the_views():
    narrow = Lens(K * [[2], [2], [1]], (), "plumb_bob", SIZE)
    assert view_ratio(narrow, STRAIGHT) == pytest.approx(0.5)


def test_depths():
    """10 cm apart, 600 pixels, right at 10 m: as the table in docs/registration.md."""
    found = depth_range(600, 0.1, 10)
    assert found.nearest_m == pytest.approx(6)
    assert found.farthest_m == pytest.approx(30)
    assert depth_range(600, 0.1, 20).farthest_text == "infinity"
    with pytest.raises(ValueError, match="above 0"):
        depth_range(600, 0, 10)
