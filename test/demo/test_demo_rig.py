"""`make demo-rig` without its processes: what it runs, and its picture."""

import cv2
import numpy as np
import pytest

from mafs_ros.cli import make_parser
from mafs_ros.demo import __main__ as demo
from mafs_ros.demo import rig
from mafs_ros.images.files.write import write_png


def test_steps_are_commands_that_exist(tmp_path):
    (_, record), _, (_, before), (_, after) = rig.steps(tmp_path, 7)
    args = make_parser().parse_args(record[1:])
    assert (args.seconds, args.fps, args.out) == (60, 2, tmp_path / "drive")
    for command in (before, after):
        args = demo.parse_arguments(command[1:])
        assert (args.rig, args.frames) == ("unaligned", 7)
    assert args.node_parameters == [f"registration_file:={tmp_path / 'registration.yaml'}"]


def test_picture_shows_the_same_frame_without_and_with(tmp_path):
    for when, grey in (("before", 60), ("after", 180)):
        for folder in ("fused", "labels"):
            (tmp_path / when / folder).mkdir(parents=True)
        for number in range(2):
            fused = np.full((40, 60, 3), grey + 10 * number, np.uint8)
            write_png(tmp_path / when / f"fused/{number}.png", fused)
            labels = np.full((40, 60), number, np.uint8)  # the second has more on it
            write_png(tmp_path / when / f"labels/{number}.png", labels)
    picture = cv2.imread(str(rig.write_before_after(tmp_path)))
    assert picture.shape == (40, 120, 3)
    assert (picture[-1, 0] == 70).all() and (picture[-1, -1] == 190).all()


def test_rig_goes_with_the_simulation_alone(capsys):
    with pytest.raises(SystemExit):
        demo.parse_arguments(["--rig", "unaligned", "--bag", "drive"])
    assert "--rig goes with the simulated street" in capsys.readouterr().err


def test_a_step_that_fails_ends_it_with_one_line(tmp_path, capfd):
    (tmp_path / "drive").mkdir()  # as left by an earlier run, but empty
    assert rig.main(["--out", str(tmp_path), "--frames", "1"]) == 1
    assert (
        "demo-rig: calibrating from the recording: ended with exit code" in capfd.readouterr().err
    )
