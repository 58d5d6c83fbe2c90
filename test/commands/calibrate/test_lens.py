"""Lens distortion and focal lengths of calibrated cameras."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mafs_ros.commands.calibrate.method.depth import depth_range
from mafs_ros.commands.calibrate.method.geometry import moved
from mafs_ros.commands.calibrate.method.lens import (
    Undistortion,
    distorted,
    for_images_as_they_come,
    view_ratio,
)
from mafs_ros.perception.registration.lens import Lens

SIZE = (240, 320)
K = np.array([[300.0, 0, 155], [0, 300, 125], [0, 0, 1]])
BARREL = Lens("barrel", SIZE, K, np.array([-0.3, 0.1, 0.001, -0.002, 0.0]))
FISHEYE = Lens("fisheye", SIZE, K, np.array([-0.05, 0.01, 0.0, 0.0]), fisheye=True)
STRAIGHT = Lens("straight", SIZE, K)


@pytest.mark.parametrize("lens", [BARREL, FISHEYE], ids=lambda lens: lens.name)
def test_points_lie_where_the_image_was_taken_from(lens):
    """A dot in the image as it comes is found at its place in the undistorted one."""
    undistortion = Undistortion(lens)
    for x, y in ((60, 50), (160, 120), (250, 190)):
        at = distorted(lens, np.array([[x, y]], float))[0]
        image = np.zeros(SIZE, np.float32)
        rows, columns = np.indices(SIZE)
        image += np.exp(-((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / 8)
        moments = cv2.moments(undistortion(image))
        found = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
        assert found == pytest.approx((x, y), abs=0.3)


def test_the_homography_for_images_as_they_come():
    homography = np.array([[1.1, 0.02, 3], [-0.01, 1.1, -5], [0, 0, 1]])
    nearest, error = for_images_as_they_come(homography, STRAIGHT, STRAIGHT, (SIZE, SIZE))
    np.testing.assert_allclose(nearest / nearest[2, 2], homography, atol=1e-4)
    assert error < 1e-3
    nearest, error = for_images_as_they_come(homography, None, BARREL, (SIZE, SIZE))
    point = np.array([[160.0, 120.0]])
    bent = distorted(BARREL, moved(homography, point))
    assert np.linalg.norm(moved(nearest, point) - bent) <= error
    assert 1 < error < 20


@pytest.mark.parametrize("lens", [BARREL, FISHEYE], ids=lambda lens: lens.name)
def test_distortion_is_that_of_opencv(lens):
    """OpenCV gives the same image, up to the rounding of its tables."""
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    image = cv2.GaussianBlur(image, None, 3)
    make = cv2.fisheye.initUndistortRectifyMap if lens.fisheye else cv2.initUndistortRectifyMap
    maps = make(K, lens.distortion, np.eye(3), K, SIZE[::-1], cv2.CV_16SC2)
    expected = cv2.remap(image, *maps, cv2.INTER_LINEAR)
    assert cv2.absdiff(Undistortion(lens)(image), expected).max() <= 2


def test_images_of_another_size_are_refused():
    undistortion = Undistortion(BARREL)
    with pytest.raises(ValueError, match="got barrel images of 320x240 and of 160x120"):
        undistortion(np.zeros((120, 160), np.uint8))


def test_the_ratio_of_the_views():
    narrow = Lens("narrow", SIZE, K * [[2], [2], [1]])
    assert view_ratio(narrow, STRAIGHT) == pytest.approx(0.5)


def test_depths():
    """10 cm apart, 600 pixels, right at 10 m: as the table in docs/registration.md."""
    found = depth_range(600, 0.1, 10)
    assert found.nearest_m == pytest.approx(6)
    assert found.farthest_m == pytest.approx(30)
    assert depth_range(600, 0.1, 20).farthest_text == "infinity"
    with pytest.raises(ValueError, match="above 0"):
        depth_range(600, 0, 10)
