"""Registration by depth: exact at every depth, holes by the plane, nothing doubled."""

from __future__ import annotations

import time

import camera_rigs as rigs
import cv2
import numpy as np
import pytest
from camera_rigs import EQUIDISTANT, PINHOLE, PLUMB_BOB, RATIONAL, centroid, dot, seen_at, turned

from mafs_ros.perception.registration import CameraRegistration
from mafs_ros.perception.registration.by_depth import DepthWarp

RGB_SIZE, THERMAL_SIZE = (240, 320), (256, 320)
ROTATION, TRANSLATION = turned(0.5, -1.5, 0.8), np.array([0.12, -0.03, 0.02])  # thermal -> RGB
PLANE_M = 10.0


def cameras(rgb=PINHOLE, thermal=PINHOLE, rotation=ROTATION, translation=TRANSLATION):
    return rigs.two_cameras(
        (rgb, thermal), (RGB_SIZE, THERMAL_SIZE), (240.0, 300.0), rotation, translation
    )


@pytest.mark.parametrize(
    ("rgb", "thermal", "tolerance_px"),
    [
        (PINHOLE, PINHOLE, 0.1),
        (PLUMB_BOB, PLUMB_BOB, 0.3),
        (RATIONAL, EQUIDISTANT, 0.3),
        (PINHOLE, RATIONAL, 0.3),
    ],
)
def test_what_is_read_is_exact_at_every_depth(rgb, thermal, tolerance_px):
    _, _, rig = cameras(rgb, thermal)
    rows, columns = np.mgrid[: RGB_SIZE[0], : RGB_SIZE[1]]
    depth = np.where((rows // 20 + columns // 20) % 2, 2.0 + columns / 50, 40.0)
    read = DepthWarp(rig, PLANE_M).thermal_pixels(depth.astype(np.float32))
    expected = rig.thermal_pixels(np.stack([columns, rows], -1), depth)
    with np.errstate(invalid="ignore"):
        seen = ((expected >= 0) & (expected <= [319, 255])).all(-1)
    assert seen.mean() > 0.4
    assert np.hypot(*(np.moveaxis(expected, -1, 0) - read))[seen].max() < tolerance_px


@pytest.mark.parametrize("depth_m", [1.5, 5.0, 40.0])
def test_points_land_where_the_rgb_camera_sees_them(depth_m):
    rgb_info, thermal_info, rig = cameras(PLUMB_BOB, PLUMB_BOB)
    registration = CameraRegistration(rig, PLANE_M)
    depth = np.full(RGB_SIZE, depth_m, np.float32)
    for x, y in [(-0.2, 0.1), (0.0, 0.0), (0.25, -0.2)]:
        point = np.array([x, y, 1.0]) * depth_m
        image = dot(THERMAL_SIZE, *seen_at(thermal_info, ROTATION.T @ (point - TRANSLATION)))
        warped = registration(image, RGB_SIZE, depth)
        assert centroid(warped) == pytest.approx(seen_at(rgb_info, point), abs=0.3)


@pytest.mark.parametrize("hole", [0.0, -1.0, np.nan, np.inf])
def test_holes_are_taken_to_be_on_the_plane(hole):
    _, _, rig = cameras(PLUMB_BOB, PLUMB_BOB)
    registration = CameraRegistration(rig, PLANE_M)
    thermal = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, THERMAL_SIZE, np.uint8), (0, 0), 3
    )
    by_depth = registration(thermal, RGB_SIZE, np.full(RGB_SIZE, hole, np.float32))
    plane = registration(thermal, RGB_SIZE)
    seen = cv2.erode((plane > 0).astype(np.uint8), np.ones((5, 5))) > 0
    assert seen.mean() > 0.4
    assert np.abs(by_depth.astype(int) - plane)[seen].max() <= 4


def scene(size, k, place, step=1):
    """A warm board at 2 m before a wall at 20 m, by rays: image, depth along the axis.

    place: of the camera in the RGB camera's frame, not turned.
    """
    rows, columns = np.mgrid[: size[0] : step, : size[1] : step]
    x, y = (columns - k[2]) / k[0], (rows - k[5]) / k[4]
    at_2m = np.stack([x * 2 + place[0], y * 2 + place[1]])
    board = (np.abs(at_2m[0]) < 0.15) & (np.abs(at_2m[1]) < 0.4)
    return np.where(board, 220, 60).astype(np.uint8), np.where(board, 2.0, 20.0), board


@pytest.mark.parametrize("baseline_m", [0.12, -0.12])
@pytest.mark.parametrize("holes", [0.0, 0.1])
def test_a_near_thing_is_not_doubled(baseline_m, holes):
    place = np.array([baseline_m, 0.0, 0.0])
    rgb_info, thermal_info, rig = cameras(rotation=np.eye(3), translation=place)
    thermal, _, _ = scene(THERMAL_SIZE, thermal_info.k, place)
    _, depth, board = scene(RGB_SIZE, rgb_info.k, np.zeros(3))
    depth = depth.astype(np.float32)
    depth[np.random.default_rng(0).random(RGB_SIZE) < holes] = 0
    registration = CameraRegistration(rig, 20.0)
    warped = registration(thermal, RGB_SIZE, depth)
    inner = cv2.erode(board.astype(np.uint8), np.ones((5, 5))) > 0
    outer = cv2.dilate(board.astype(np.uint8), np.ones((5, 5))) > 0
    known = depth > 0
    assert (warped[inner & known] == 220).all()
    doubled = (warped > 70) & ~outer  # a second board on the wall
    columns = np.arange(RGB_SIZE[1])
    hidden = (warped == 0) & ~outer & (columns > 40) & (columns < 280)
    assert doubled.sum() < 0.01 * hidden.sum()  # a row where the board ends
    # As wide as the wall behind the board that the thermal camera does not see.
    width = 240.0 * 0.12 * (1 / 2 - 1 / 20)
    rows = slice(100, 140)
    assert hidden[rows].sum(1).mean() == pytest.approx(width, abs=5)
    plane = registration(thermal, RGB_SIZE)
    assert (plane[~outer] > 200).any()  # which the plane alone shows beside it


def test_a_slanted_floor_hides_nothing_of_itself():
    rgb_info, _, rig = cameras(PLUMB_BOB, PLUMB_BOB)
    rows = np.arange(RGB_SIZE[0], dtype=np.float32)[:, None]
    below = np.maximum(rows - rgb_info.k[5], 5.0) / rgb_info.k[4]
    depth = np.broadcast_to((1.2 / below).astype(np.float32), RGB_SIZE)  # camera at 1.2 m
    thermal = np.full(THERMAL_SIZE, 99, np.uint8)
    warped = CameraRegistration(rig, PLANE_M)(thermal, RGB_SIZE, depth)
    assert (warped[130:210, 80:240] == 99).all()


def test_depth_of_another_resolution_is_laid_on_the_rgb_pixels():
    _, _, rig = cameras()
    registration = CameraRegistration(rig, PLANE_M)
    thermal = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, THERMAL_SIZE, np.uint8), (0, 0), 3
    )
    full = registration(thermal, RGB_SIZE, np.full(RGB_SIZE, 4.0, np.float32))
    assert (registration(thermal, RGB_SIZE, np.full((120, 160), 4.0, np.float32)) == full).all()
    assert registration.remarks.take() == ()


def test_depth_of_another_shape_is_left_out_and_said_once():
    _, _, rig = cameras()
    registration = CameraRegistration(rig, PLANE_M)
    thermal = np.full(THERMAL_SIZE, 99, np.uint8)
    warped = registration(thermal, RGB_SIZE, np.full((100, 320), 4.0, np.float32))
    assert (warped == registration(thermal, RGB_SIZE)).all()
    registration(thermal, RGB_SIZE, np.full((100, 320), 4.0, np.float32))
    (line,) = registration.remarks.take()
    assert "the depth images are 320x100, the RGB images 320x240" in line


@pytest.mark.alone
def test_it_takes_10_ms_at_most_at_640x480():
    lenses, sizes = (PLUMB_BOB, PLUMB_BOB), ((480, 640), (512, 640))
    *_, rig = rigs.two_cameras(lenses, sizes, (460.0, 600.0), ROTATION, TRANSLATION)
    registration = CameraRegistration(rig, PLANE_M, with_depth=True)
    depth = np.full((480, 640), 20.0, np.float32)
    depth[100:400, 200:300] = 2.0
    thermal = np.zeros((512, 640), np.uint8)
    times = []
    for _ in range(20):
        start = time.process_time()
        registration(thermal, (480, 640), depth)
        times.append(time.process_time() - start)
    print(f"by depth at 640x480: {1e3 * np.median(times):.1f} ms")
    assert min(times) < 0.010
