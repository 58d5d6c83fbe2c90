"""Registration by calibrations, against points projected by hand; CameraInfo of every kind."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
from camera_rigs import (
    EQUIDISTANT,
    PINHOLE,
    PLUMB_BOB,
    RATIONAL,
    camera_info,
    centroid,
    dot,
    seen_at,
    turned,
    two_cameras,
)

from mafs_ros.perception.registration import CameraRegistration, Rig, registration_from_cameras
from mafs_ros.perception.registration.camera_info import lens_from
from mafs_ros.perception.registration.lens import Lens

RGB_SIZE, THERMAL_SIZE = (480, 640), (256, 320)
ROTATION, TRANSLATION = turned(1.5, -2.0, 0.8), np.array([0.12, -0.03, 0.02])  # thermal -> RGB
PLANE_M = 8.0


def rig(rgb=PINHOLE, thermal=PINHOLE, rotation=ROTATION, translation=TRANSLATION):
    """CameraInfo of both and their Rig; the thermal camera sees a little less."""
    return two_cameras(
        (rgb, thermal), (RGB_SIZE, THERMAL_SIZE), (460.0, 290.0), rotation, translation
    )


def points(depth_m, reach=0.5):
    """Points of the RGB camera's frame at a depth, over what both cameras see."""
    x, y = np.meshgrid(np.linspace(-reach, reach, 5), np.linspace(-0.8 * reach, 0.8 * reach, 4))
    return np.stack([x.ravel(), y.ravel(), np.ones(x.size)], -1) * depth_m


def in_thermal_frame(point):
    return ROTATION.T @ (point - TRANSLATION)


LENSES = [PINHOLE, PLUMB_BOB, RATIONAL, EQUIDISTANT]


@pytest.mark.parametrize("rgb", LENSES, ids=["pinhole", "plumb_bob", "rational", "equidistant"])
@pytest.mark.parametrize("thermal", LENSES, ids=["pinhole", "plumb_bob", "rational", "fisheye"])
def test_pixels_of_both_cameras_belong_together(rgb, thermal):
    rgb_info, thermal_info, both = rig(rgb, thermal)
    for depth_m in (3.0, PLANE_M, 60.0):
        for point in points(depth_m):
            found = both.thermal_pixels(np.array(seen_at(rgb_info, point)), depth_m)
            expected = seen_at(thermal_info, in_thermal_frame(point))
            assert found == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("rgb", "thermal", "tolerance_px"),
    [(PINHOLE, PINHOLE, 0.1), (PLUMB_BOB, EQUIDISTANT, 0.3), (RATIONAL, PLUMB_BOB, 0.3)],
)
def test_points_on_the_plane_land_where_the_rgb_camera_sees_them(rgb, thermal, tolerance_px):
    rgb_info, thermal_info, both = rig(rgb, thermal)
    registration = CameraRegistration(both, PLANE_M)
    for point in points(PLANE_M, reach=0.4)[::3]:
        image = dot(THERMAL_SIZE, *seen_at(thermal_info, in_thermal_frame(point)))
        warped = registration(image, RGB_SIZE)
        assert warped.shape == RGB_SIZE and warped.dtype == np.uint8
        assert centroid(warped) == pytest.approx(seen_at(rgb_info, point), abs=tolerance_px)


def test_without_distortion_it_is_the_homography():
    """Where the planes are parallel: both at right angles to both axes."""
    shift = np.array([0.1, 0.02, 0.0])
    rgb, thermal, both = rig(rotation=np.eye(3), translation=shift)
    homography = registration_from_cameras(rgb.k, thermal.k, np.eye(3), shift, PLANE_M)
    smooth = dot(THERMAL_SIZE, 150, 120, 30)
    difference = CameraRegistration(both, PLANE_M)(smooth, RGB_SIZE).astype(int) - homography(
        smooth, RGB_SIZE
    )
    assert np.abs(difference).max() <= 2


def test_what_lies_before_the_plane_is_off_as_documented():
    rgb, thermal, both = rig(rotation=np.eye(3), translation=np.array([0.1, 0.0, 0.0]))
    point = np.array([0.0, 0.0, 4.0])
    image = dot(THERMAL_SIZE, *seen_at(thermal, point - [0.1, 0.0, 0.0]))
    x, _ = centroid(CameraRegistration(both, 10.0)(image, RGB_SIZE))
    off = 460.0 * 0.1 * (1 / 4.0 - 1 / 10.0)
    assert abs(x - seen_at(rgb, point)[0]) == pytest.approx(off, abs=0.1)


@pytest.mark.parametrize("lens", [PLUMB_BOB, RATIONAL, EQUIDISTANT])
def test_rays_and_pixels_are_inverse_up_to_the_corners(lens):
    camera = lens_from(camera_info(lens, RGB_SIZE, 460.0), "RGB")
    pixels = np.stack(np.meshgrid(np.linspace(0, 639, 20), np.linspace(0, 479, 15)), -1)
    rays = camera.rays_of(pixels)
    assert np.abs(camera.pixels_of(rays * 7.0) - pixels).max() < 0.02


def test_a_lens_does_not_fold_back_what_it_cannot_see():
    """k1 alone, below 0: beyond a radius the polynomial brings points back into the image."""
    camera = lens_from(camera_info(("plumb_bob", [-0.4, 0, 0, 0, 0]), RGB_SIZE, 400.0), "RGB")
    limit = np.sqrt(1 / (3 * 0.4))
    inside, beyond = [0.95 * limit, 0, 1], [1.6 * limit, 0, 1]
    assert np.isfinite(camera.pixels_of(np.array(inside))).all()
    assert np.isnan(camera.pixels_of(np.array(beyond))).all()
    assert np.isnan(camera.pixels_of(np.array([0.1, 0.1, -1.0]))).all()  # behind


def test_rectified_images_go_by_p():
    k_of_p = [300.0, 0.0, 310.0, 0.0, 0.0, 305.0, 245.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    info = camera_info(PLUMB_BOB, RGB_SIZE, 460.0, p=k_of_p)
    camera = lens_from(info, "RGB", rectified=True)
    assert camera.pixels_of(np.array([0.2, -0.1, 1.0])) == pytest.approx([370.0, 214.5])
    assert not camera.distortion.any()


def test_the_rectification_turns_rays_into_the_frame():
    r = turned(0, 3.0, 0)
    camera = lens_from(camera_info(PINHOLE, RGB_SIZE, 460.0, r=r.ravel().tolist()), "RGB")
    ray = camera.rays_of(np.array([317.0, 242.5]))  # the principal point: straight ahead
    assert ray == pytest.approx(r @ [0, 0, 1] / (r @ [0, 0, 1])[2])


def test_binning_and_roi_of_the_calibration():
    """The same point in the whole image, in a part of it, and with pixels binned."""
    whole = camera_info(PLUMB_BOB, (960, 1280), 900.0)
    roi = SimpleNamespace(x_offset=200, y_offset=100, width=800, height=600)
    changed = camera_info(PLUMB_BOB, (960, 1280), 900.0, roi=roi, binning_x=2, binning_y=2)
    camera = lens_from(changed, "RGB")
    assert camera.size == (300, 400)
    x, y = seen_at(whole, np.array([0.1, 0.05, 1.0]))
    expected = (x - 200 + 0.5) / 2 - 0.5, (y - 100 + 0.5) / 2 - 0.5
    assert camera.pixels_of(np.array([0.1, 0.05, 1.0])) == pytest.approx(expected)


def test_images_in_another_resolution_of_the_same_shape_are_taken():
    rgb_info, thermal_info, both = rig(PLUMB_BOB, PLUMB_BOB)
    registration = CameraRegistration(both, PLANE_M)
    point = points(PLANE_M, reach=0.3)[7]
    x, y = (2 * (n + 0.5) - 0.5 for n in seen_at(thermal_info, in_thermal_frame(point)))
    warped = registration(dot((512, 640), x, y, 3.0), (240, 320))
    expected = [(n + 0.5) / 2 - 0.5 for n in seen_at(rgb_info, point)]
    assert centroid(warped) == pytest.approx(expected, abs=0.15)


def test_images_of_another_shape_are_refused():
    registration = CameraRegistration(rig()[2], PLANE_M)
    with pytest.raises(ValueError, match="thermal camera is for images of 320x256, got 320x200"):
        registration(np.zeros((200, 320), np.uint8), RGB_SIZE)
    with pytest.raises(ValueError, match="RGB camera is for images of 640x480, got 640x360"):
        registration(np.zeros(THERMAL_SIZE, np.uint8), (360, 640))


def test_cameras_that_do_not_overlap_are_refused():
    _, _, both = rig()
    with pytest.raises(ValueError, match="sees no part of the RGB image at 8 m: .* optical ones"):
        CameraRegistration(Rig(both.rgb, both.thermal, turned(0, 90, 0), TRANSLATION), PLANE_M)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": [0.0] * 9}, "k is all zeros, the camera is not calibrated"),
        ({"k": [float("nan")] * 9}, "k must be finite"),
        ({"k": [-4.0, 0, 3, 0, 4, 3, 0, 0, 1]}, "with fx, fy above 0"),
        ({"d": [0.1] * 3}, "got 3 coefficients d, expected 4 or 5 for plumb_bob"),
        ({"distortion_model": "mei", "d": [0.1] * 4}, "got distortion_model 'mei', expected one"),
        ({"d": [float("inf")] * 5}, "d must be finite"),
        ({"width": 0}, "got width and height 0x480"),
        ({"r": [2.0, 0, 0, 0, 2, 0, 0, 0, 2]}, "r must be a rotation matrix"),
    ],
)
def test_impossible_calibrations_are_refused(changes, message):
    with pytest.raises(
        ValueError, match=f"CameraInfo of the RGB camera is of no use: .*{message}"
    ):
        lens_from(camera_info(PLUMB_BOB, RGB_SIZE, 460.0, **changes), "RGB")


def test_what_drivers_leave_empty_is_no_fault():
    info = camera_info(PLUMB_BOB, RGB_SIZE, 460.0, d=[], distortion_model="", r=[0.0] * 9)
    assert not lens_from(info, "RGB").distortion.any()


@pytest.mark.alone
def test_tables_are_built_within_a_frame():
    both = rig(PLUMB_BOB, PLUMB_BOB)[2]
    times = []
    for _ in range(5):
        start = time.process_time()
        CameraRegistration(both, PLANE_M)
        times.append(time.process_time() - start)
    assert min(times) < 0.05


def test_a_lens_is_said_in_a_line():
    assert str(Lens("RGB", (480, 640), np.diag([460.0, 460, 1]))) == (
        "RGB 640x480 without distortion, f 460"
    )
