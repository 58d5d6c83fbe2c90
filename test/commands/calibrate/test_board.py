"""Calibration by a board, on rendered images of cameras that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from rendered_board import RGB, RIG, THERMAL, pairs, poses

from mafs_ros.commands.calibrate.method.board import View, board_from, calibrate_views
from mafs_ros.commands.calibrate.method.board_files import calibrate_by_board
from mafs_ros.commands.calibrate.method.errors import CalibrationError
from mafs_ros.perception.registration import load_registration
from mafs_ros.perception.registration.lens import Lens


@pytest.mark.parametrize(
    "text", ["checkerboard:9x6:0.05", "circles:7x5:0.07", "asymmetric_circles:4x9:0.04"]
)
def test_both_cameras_are_found(text: str, tmp_path: Path) -> None:
    board = board_from(text)
    result = calibrate_by_board(pairs(board), text, tmp_path)
    assert result.views["both"] >= 8
    rig = result.rig
    for found, truth in ((rig.rgb, RGB), (rig.thermal, THERMAL)):
        assert found.k[0, 0] == pytest.approx(truth.k[0, 0], rel=0.01)
        assert found.k[1, 1] == pytest.approx(truth.k[1, 1], rel=0.01)
    pixels = np.stack(np.meshgrid(np.linspace(100, 540, 9), np.linspace(80, 400, 7)), -1)
    for depth_m in (1.2, 3.0):
        apart = rig.thermal_pixels(pixels, depth_m) - RIG.thermal_pixels(pixels, depth_m)
        lengths = np.linalg.norm(apart, axis=-1)  # thermal pixels, the most in the corners
        assert lengths.max() < 0.5
        print(f"off by {lengths.mean():.2f} pixels on average, {lengths.max():.2f} at the most")
    written = yaml.safe_load((tmp_path / "thermal_camera_info.yaml").read_text())
    assert (written["image_width"], written["distortion_model"]) == (320, "plumb_bob")
    assert written["camera_matrix"]["data"] == rig.thermal.k.ravel().tolist()
    registration = load_registration(tmp_path / "registration.yaml")
    assert (registration.rgb_size, registration.thermal_size) == (RGB.size, THERMAL.size)
    kept = yaml.safe_load((tmp_path / "registration.yaml").read_text())
    assert kept["thermal_to_rgb_translation_m"] == pytest.approx(RIG.translation, abs=0.01)
    assert kept["lens_error_px"] > 0


def test_what_was_found_where_is_said() -> None:
    board = board_from("checkerboard:9x6:0.05")
    points = board.points[:, :2].copy()
    views = [View(str(n), points, points if n < 3 else None) for n in range(20)]
    with pytest.raises(CalibrationError) as error:
        calibrate_views(views, board, {"rgb": (480, 640), "thermal": (256, 320)})
    assert (
        "the board (checkerboard, 9x6) was found in 20 of 20 RGB and 3 of 20 thermal images, in "
        "both of 3 pairs; at least 8 pairs are needed" in str(error.value)
    )


def projected(board, lens: Lens, rotation, translation):
    return lens.pixels_of(board.points @ rotation.T + translation).astype(np.float32)


def seen(board, board_poses, shuffled: bool = False):
    """Views of a board by points alone."""
    views = []
    board_poses = list(board_poses)
    for index, (rotation, translation) in enumerate(board_poses):
        r, t = board_poses[-1 - index] if shuffled else (rotation, translation)
        thermal = projected(
            board, THERMAL, RIG.rotation.T @ r, RIG.rotation.T @ (t - RIG.translation)
        )
        order = slice(None, None, -1 if index % 2 else 1)  # turned by half in every second
        views.append(
            View(str(index), projected(board, RGB, rotation, translation), thermal[order])
        )
    return views


SIZES = {"rgb": RGB.size, "thermal": THERMAL.size}


def test_boards_that_look_the_same_turned_by_half_are_told_apart() -> None:
    board = board_from("circles:7x5:0.07")
    rig = calibrate_views(seen(board, poses(board, 12)), board, SIZES).rig
    assert rig.translation == pytest.approx(RIG.translation, abs=1e-3)
    assert rig.rotation == pytest.approx(RIG.rotation, abs=1e-3)


def test_images_that_were_not_taken_together_are_refused() -> None:
    board = board_from("checkerboard:9x6:0.05")
    with pytest.raises(CalibrationError, match="only in . of these pairs do the cameras sit"):
        calibrate_views(seen(board, poses(board, 12), shuffled=True), board, SIZES)


def test_a_board_that_is_never_tilted_is_refused() -> None:
    board = board_from("checkerboard:9x6:0.05")
    flat = [
        (np.eye(3), np.array([x, y, 1.2]) + np.random.default_rng(0).normal(0, 1e-3, 3))
        for x in (-0.3, -0.2, -0.1, 0.0)
        for y in (-0.2, -0.1, 0.0)
    ]
    views = [
        View(v.name, *(p + np.random.default_rng(1).normal(0, 0.3, p.shape) for p in v[1:]))
        for v in seen(board, flat)
    ]
    views = [View(n, r.astype(np.float32), t.astype(np.float32)) for n, r, t in views]
    with pytest.raises(
        CalibrationError, match="focal length of the (RGB|thermal) camera is uncertain"
    ):
        calibrate_views(views, board, SIZES)


@pytest.mark.parametrize(
    "text",
    ["checkerboard", "checkerboard:9x6", "dots:9x6:0.1", "circles:5x5:0.1", "circles:2x5:1"],
)
def test_impossible_boards_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="got the board|got a board"):
        board_from(text)
