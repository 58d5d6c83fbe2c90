"""`mafs calibrate --board` on rendered images of a board."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import rendered_board as scene
import yaml
from command_output import one_line

from mafs_ros.bags.writer import BagWriter
from mafs_ros.cli import main
from mafs_ros.commands.calibrate.method.board import board_from
from mafs_ros.perception.registration import load_registration

BOARD = "checkerboard:9x6:0.05"
FILES = ["registration.yaml", "rgb_camera_info.yaml", "thermal_camera_info.yaml"]


@pytest.fixture(scope="module")
def pairs():
    return list(scene.pairs(board_from(BOARD), count=12))


def folders(path, pairs):
    """The options for two folders of images."""
    for folder in ("rgb", "thermal"):
        (path / folder).mkdir()
    for name, rgb, thermal in pairs:
        cv2.imwrite(str(path / "rgb" / f"{name}.png"), rgb[..., ::-1])
        cv2.imwrite(str(path / "thermal" / f"{name}.png"), thermal)
    return "--rgb", path / "rgb", "--thermal", path / "thermal"


def calibrate(*options):
    return main(["calibrate", *map(str, options)])


def misses(path, distance_m):
    """How far the homography takes pixels near the middle from where they are at a distance."""
    rgb = np.stack(np.meshgrid([220.0, 320, 420], [160.0, 240, 320]), -1).reshape(-1, 2)
    thermal = scene.RIG.thermal_pixels(rgb, distance_m)
    there = cv2.perspectiveTransform(thermal[None], load_registration(path).homography)[0]
    return np.linalg.norm(there - rgb, axis=1).max()


def test_folders_give_three_files(pairs, tmp_path, capsys):
    out = tmp_path / "cameras"
    assert calibrate(*folders(tmp_path, pairs), "--board", BOARD, "--out", out) == 0
    assert sorted(path.name for path in out.iterdir()) == FILES
    line = one_line(capsys.readouterr().out)
    assert f"for 10 m, to {out}: the board is in both images of" in line
    info = yaml.safe_load((out / "thermal_camera_info.yaml").read_text())
    assert info["camera_matrix"]["data"][0] == pytest.approx(330, rel=0.01)
    lens_error_px = yaml.safe_load((out / "registration.yaml").read_text())["lens_error_px"]
    assert misses(out / "registration.yaml", 10) < lens_error_px + 1


def test_a_bag_gives_the_plane_that_is_asked_for(pairs, tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        for number, (_, rgb, thermal) in enumerate(pairs):
            stamp = 1_700_000_000_000_000_000 + number * 500_000_000
            writer.write_image("/rgb/image", rgb, stamp, "rgb")
            writer.write_image("/thermal/image", thermal, stamp, "thermal")
    out = tmp_path / "cameras"
    options = "--board", BOARD, "--out", out, "--distance-m", 1.5
    assert calibrate(tmp_path / "bag", *options) == 0
    file = out / "registration.yaml"
    assert yaml.safe_load(file.read_text())["plane_depth_m"] == 1.5
    assert misses(file, 1.5) < misses(file, 10) / 3  # 28 pixels between the two


def test_no_board_is_refused_in_one_line(tmp_path, capsys):
    grey = [
        (str(n), np.full((48, 64, 3), 90 + n, np.uint8), np.full((24, 32), 300 + n, np.uint16))
        for n in range(9)
    ]
    out = tmp_path / "cameras"
    assert calibrate(*folders(tmp_path, grey), "--board", BOARD, "--out", out) == 1
    assert "was found in 0 of 9 RGB and 0 of 9 thermal" in one_line(capsys.readouterr().err)
    assert not out.exists()


def test_images_of_several_sizes_are_refused(tmp_path, capsys):
    images = [
        (str(n), np.zeros((48 + n, 64, 3), np.uint8), np.zeros((24, 32), np.uint16))
        for n in range(2)
    ]
    options = "--board", BOARD, "--out", tmp_path / "cameras"
    assert calibrate(*folders(tmp_path, images), *options) == 1
    line = one_line(capsys.readouterr().err)
    assert "the images of 1 are 64x49 (RGB) and 32x24 (thermal), those of 0 64x48" in line


def test_outputs_of_the_wrong_kind_are_found_first(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert calibrate("bag", "--board", BOARD, "--out", tmp_path / "file") == 1
    assert "is a file, expected a folder" in one_line(capsys.readouterr().err)
    assert calibrate("bag", "--out", tmp_path) == 1
    assert "is a folder, expected a file" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--board", "chess:9x6:0.05"], "got the board 'chess:9x6:0.05'"),
        (["--board", BOARD, "--report", "a.html"], "--report and --board do not go together"),
        (["--board", BOARD, "--baseline-m", "0.1"], "--baseline-m and --board do not"),
        (["--board", BOARD, "--focal-px", "600"], "--focal-px and --board do not"),
        (["--board", BOARD, "--distance-m", "0"], "--distance-m must be above 0"),
        (["--board", BOARD, "--distance-m", "nan"], "--distance-m must be above 0"),
        (["--distance-m", "10"], "--baseline-m and --distance-m go together"),
    ],
)
def test_wrong_usage(options, reason, capsys):
    with pytest.raises(SystemExit, match="2"):
        calibrate("bag", *options, "--out", "cameras")
    assert reason in capsys.readouterr().err
