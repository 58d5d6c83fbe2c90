"""Registration: homographies from files and calibrations, other resolutions, bad input."""

import time

import cv2
import numpy as np
import pytest

from mafs_ros.perception.registration import (
    Registration,
    load_registration,
    registration_from_cameras,
)

# Thermal 64x48 seen by an RGB camera of 128x96: twice as large, shifted and a little oblique.
HOMOGRAPHY = np.array([[1.9, 0.02, 6.0], [-0.03, 1.95, 4.0], [0.0001, 0.0002, 1.0]])
THERMAL_SIZE, RGB_SIZE = (48, 64), (96, 128)


def dot(size, x, y, radius=1.5):
    """Image with a Gaussian dot at (x, y)."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    distance2 = (columns - x) ** 2 + (rows - y) ** 2
    return (255 * np.exp(-distance2 / (2 * radius**2))).round().astype(np.uint8)


def centroid(image):
    weights = image.astype(float)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return (weights * columns).sum() / weights.sum(), (weights * rows).sum() / weights.sum()


def through(homography, x, y):
    u, v, w = np.asarray(homography) @ [x, y, 1]
    return u / w, v / w


def noise(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def test_without_homography_images_of_one_size_are_left_alone():
    thermal = noise((48, 64))
    assert Registration()(thermal, (48, 64)) is thermal


def test_without_homography_the_image_is_resized():
    thermal = noise((48, 64))
    expected = cv2.resize(thermal, (128, 96), interpolation=cv2.INTER_LINEAR)
    assert (Registration()(thermal, (96, 128)) == expected).all()


def test_identity_is_a_no_op():
    thermal = noise((48, 64))
    assert Registration(np.eye(3))(thermal, (48, 64)) is thermal
    measured_small = Registration(np.eye(3), thermal_size=(24, 32), rgb_size=(24, 32))
    assert measured_small(thermal, (48, 64)) is thermal


@pytest.mark.parametrize("scale", [1, -3])
def test_points_move_as_the_homography_says(scale):
    """Whatever its scale and sign, which mean nothing in a homography."""
    registration = Registration(scale * HOMOGRAPHY)
    for x, y in [(20, 10), (45, 30), (12, 33)]:
        warped = registration(dot(THERMAL_SIZE, x, y), RGB_SIZE)
        assert warped.shape == RGB_SIZE
        assert warped.dtype == np.uint8
        assert centroid(warped) == pytest.approx(through(HOMOGRAPHY, x, y), abs=0.1)


def test_it_agrees_with_opencv():
    thermal = cv2.GaussianBlur(noise(THERMAL_SIZE), (0, 0), 2)
    expected = cv2.warpPerspective(thermal, HOMOGRAPHY, (128, 96), flags=cv2.INTER_LINEAR)
    warped = Registration(HOMOGRAPHY)(thermal, RGB_SIZE)
    assert np.abs(warped.astype(int) - expected).max() <= 3


def test_where_the_thermal_camera_sees_nothing_the_result_is_0():
    shift = np.array([[1, 0, 20], [0, 1, 0], [0, 0, 1.0]])
    thermal = np.full((48, 64), 200, np.uint8)
    warped = Registration(shift)(thermal, (48, 64))
    assert not warped[:, :20].any()
    assert (warped[:, 20:] == 200).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_points_behind_the_camera_are_not_mirrored_in(sign):
    to_thermal = np.array([[-1, 0, 30], [0, -1, 30], [-0.05, 0, 1]])  # weight below 0 from x = 20
    registration = Registration(sign * np.linalg.inv(to_thermal))
    warped = registration(np.full((80, 80), 200, np.uint8), (60, 60))
    assert through(to_thermal, 10, 10) == (40, 40)
    assert warped[10, 10] == 200
    assert through(to_thermal, 40, 40) == (10, 10)  # by its numbers, but behind the camera
    assert warped[40, 40] == 0


@pytest.mark.parametrize(
    ("thermal_size", "rgb_size"),
    [((96, 128), (96, 128)), ((48, 64), (192, 256)), ((24, 32), (48, 64))],
)
def test_a_homography_is_carried_over_to_other_resolutions(thermal_size, rgb_size):
    registration = Registration(HOMOGRAPHY, thermal_size=THERMAL_SIZE, rgb_size=RGB_SIZE)
    # Centre of the measured image's pixel (30, 20) in the images of the other resolution.
    scale = thermal_size[0] / THERMAL_SIZE[0]
    x, y = (30 + 0.5) * scale - 0.5, (20 + 0.5) * scale - 0.5
    expected = (np.array(through(HOMOGRAPHY, 30, 20)) + 0.5) * rgb_size[0] / RGB_SIZE[0] - 0.5
    warped = registration(dot(thermal_size, x, y), rgb_size)
    assert centroid(warped) == pytest.approx(tuple(expected), abs=0.1)


def test_resolutions_may_change_while_it_runs():
    registration = Registration(HOMOGRAPHY, thermal_size=THERMAL_SIZE, rgb_size=RGB_SIZE)
    thermal = noise(THERMAL_SIZE)
    first = registration(thermal, RGB_SIZE)
    assert registration(thermal, (192, 256)).shape == (192, 256)
    assert (registration(thermal, list(RGB_SIZE)) == first).all()


def test_another_shape_is_refused():
    registration = Registration(HOMOGRAPHY, thermal_size=THERMAL_SIZE, rgb_size=RGB_SIZE)
    with pytest.raises(ValueError, match="thermal images of 64x48, got 64x40"):
        registration(noise((40, 64)), RGB_SIZE)
    with pytest.raises(ValueError, match="RGB images of 128x96, got 128x72"):
        registration(noise(THERMAL_SIZE), (72, 128))


@pytest.mark.parametrize(
    ("homography", "message"),
    [
        (np.zeros((3, 3)), "cannot be inverted"),
        (np.ones((3, 3)), "cannot be inverted"),
        (np.full((3, 3), np.nan), "finite"),
        (np.eye(2), "homography must be 3x3 numbers"),
        ([["a", 0, 0], [0, 1, 0], [0, 0, 1]], "homography must be 3x3 numbers"),
    ],
)
def test_impossible_homographies_are_refused(homography, message):
    with pytest.raises(ValueError, match=message):
        Registration(homography)


def test_a_homography_without_overlap_is_refused_at_once_where_the_sizes_are_known():
    away = [[1, 0, 500], [0, 1, 0], [0, 0, 1]]
    with pytest.raises(ValueError, match="no part of the 64x48 thermal.*is it the inverse"):
        Registration(away, thermal_size=(48, 64), rgb_size=(48, 64))
    with pytest.raises(ValueError, match="no part of the 64x48 thermal"):
        Registration(away)(noise((48, 64)), (48, 64))


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint16), np.zeros((4, 4, 1), np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_other_images_are_refused(image):
    with pytest.raises(ValueError, match=r"uint8 \[h,w\] and not empty, got"):
        Registration()(image, (8, 8))


@pytest.mark.parametrize("size", [(0, 8), (8, -1), (8.0, 8)])
@pytest.mark.parametrize("homography", [None, HOMOGRAPHY])
def test_impossible_sizes_are_refused(size, homography):
    with pytest.raises(ValueError, match="two whole numbers above 0"):
        Registration(homography)(noise((48, 64)), size)


FILE = """
homography:
  - [1.9, 0.02, 6.0]
  - [-0.03, 1.95, 4.0]
  - [0.0001, 0.0002, 1.0]
thermal_size: {width: 64, height: 48}
rgb_size: {width: 128, height: 96}
date: 2024-05-01
"""


def test_load_registration(tmp_path):
    path = tmp_path / "registration.yaml"
    path.write_text(FILE)
    registration = load_registration(path)
    assert np.allclose(registration.homography, HOMOGRAPHY)
    assert (registration.thermal_size, registration.rgb_size) == (THERMAL_SIZE, RGB_SIZE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("homography: [", "line 1, column 14: expected .*; indent with spaces"),
        ("- 1\n", "expected a mapping"),
        ("homography: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]", "lacks rgb_size, thermal_size"),
        (FILE.replace("1.95", "one"), "3x3 numbers"),
        (FILE.replace("1.95", ".inf"), "finite"),
        (FILE.replace("{width: 64, height: 48}", "[64, 48]"), r"thermal_size must be \{width"),
        (FILE.replace("height: 48", "height: tall"), "two whole numbers"),
        (FILE.replace("6.0", "600"), "no part of the 64x48 thermal"),
    ],
)
def test_errors_of_a_file_name_it(tmp_path, text, message):
    path = tmp_path / "registration.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"registration.yaml: .*{message}"):
        load_registration(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        load_registration(tmp_path / "nowhere.yaml")


RGB_K = [600, 0, 320, 0, 610, 240, 0, 0, 1]
THERMAL_K = [[400, 0, 160], [0, 405, 128], [0, 0, 1]]
TRANSLATION = [0.1, -0.02, 0.03]


def rotation():
    return cv2.Rodrigues(np.array([0.02, -0.03, 0.01]))[0]


def test_cameras_agree_with_projecting_points_of_the_plane():
    registration = registration_from_cameras(RGB_K, THERMAL_K, rotation(), TRANSLATION, 8.0)
    for point in ([0, 0, 8.0], [2, -1, 8.0], [-1.5, 1.2, 8.0]):
        x, y, w = np.array(THERMAL_K) @ point
        in_rgb = np.reshape(RGB_K, (3, 3)) @ (rotation() @ point + TRANSLATION)
        expected = in_rgb[:2] / in_rgb[2]
        assert through(registration.homography, x / w, y / w) == pytest.approx(expected, abs=1e-9)


def test_cameras_hold_at_one_depth_alone():
    """The docstring's error in pixels: f * b * |1/z - 1/depth|."""
    k = [600, 0, 320, 0, 600, 240, 0, 0, 1]
    registration = registration_from_cameras(k, k, np.eye(3), [0.1, 0, 0], 10.0)
    x, _ = through(registration.homography, 320, 240)
    assert x + 600 * 0.1 * (1 / 5 - 1 / 10) == pytest.approx(320 + 600 * 0.1 / 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rgb_k": np.zeros(9)}, "rgb_k must be.*not calibrated"),
        ({"thermal_k": [1, 2, 3]}, "thermal_k must be 3x3 numbers"),
        ({"rotation": 2 * np.eye(3)}, "must be a rotation matrix"),
        ({"rotation": np.diag([1, 1, -1])}, "must be a rotation matrix"),
        ({"translation": [0, np.nan, 0]}, "translation must be finite"),
        ({"plane_depth_m": 0}, "plane_depth_m must be above 0, got 0"),
        ({"thermal_size": (256, 320)}, "both the thermal and the RGB"),
    ],
)
def test_impossible_calibrations_are_refused(change, message):
    calibration = {
        "rgb_k": RGB_K,
        "thermal_k": THERMAL_K,
        "rotation": rotation(),
        "translation": TRANSLATION,
        "plane_depth_m": 8.0,
    }
    with pytest.raises(ValueError, match=message):
        registration_from_cameras(**(calibration | change))


def test_warping_is_cheap():
    registration = Registration(HOMOGRAPHY)
    thermal = noise((512, 640))
    registration(thermal, (480, 640))
    times = []
    for _ in range(20):
        start = time.perf_counter()
        registration(thermal, (480, 640))
        times.append(time.perf_counter() - start)
    assert min(times) < 3e-3  # 0.5 on an idle machine


@pytest.mark.parametrize(
    ("thermal", "rgb", "shapes"),
    [
        ((120, 160), (360, 640), "640x360 (1.78) and thermal 160x120 (1.33)"),
        ((512, 640), (480, 640), "640x480 (1.33) and thermal 640x512 (1.25)"),
        ((160, 120), (480, 640), "640x480 (1.33) and thermal 120x160 (0.75)"),  # upright
    ],
)
def test_a_stretched_image_is_named_once(thermal, rgb, shapes):
    registration = Registration()
    for _ in range(3):
        assert registration(noise(thermal), rgb).shape == rgb
    (said,) = registration.remarks.take()
    assert shapes in said and "registration_file" in said


def test_the_same_shape_or_a_homography_is_not_stretched():
    same, measured = Registration(), Registration(HOMOGRAPHY)
    same(noise((120, 160)), (480, 640))
    same(noise((122, 160)), (480, 640))  # rounding, telemetry
    measured(noise((256, 320)), (360, 640))
    assert same.remarks.take() == measured.remarks.take() == ()
