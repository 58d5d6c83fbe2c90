"""`mafs replay` of a bag with several pairs of cameras: one report for each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from replay_bag import MS, START, STEP

from mafs_ros.bags.writer import BagWriter
from mafs_ros.cli import main
from mafs_ros.parameters.file import read_values, settings_of
from mafs_ros.parameters.table import TABLE

PARAMS = """
/**:
  ros__parameters:
    pairs: [front, rear]
    front:
      rgb_topic: front/rgb/image
      thermal_topic: front/thermal/image
    rear:
      rgb_topic: /rear/rgb/image
      thermal_topic: /rear/thermal/image
      slop_s: 0.001
"""


@pytest.fixture
def drive(tmp_path: Path, frames) -> Path:
    """Two pairs; the rear thermal camera is 3 ms late, which its slop forbids. The parameters."""
    with BagWriter(tmp_path / "drive") as writer:
        for index, frame in enumerate(frames[:3]):
            stamp = START + index * STEP
            for pair in ("front", "rear"):
                writer.write_image(f"/{pair}/rgb/image", frame.rgb, stamp, f"{pair}_rgb", stamp)
                late = stamp + 3 * MS
                writer.write_image(f"/{pair}/thermal/image", frame.thermal, late, "t", late)
    params = tmp_path / "two.yaml"
    params.write_text(PARAMS)
    return params


def replay(params: Path, *options: str) -> int:
    folder = params.parent
    given = ["--params", str(params), "--out", str(folder / "out"), "--backend", "torch"]
    return main(["replay", str(folder / "drive"), *given, *options])


def test_each_pair_has_a_report_by_its_own_parameters(drive, capsys):
    assert replay(drive) == 1  # of the rear cameras nothing pairs
    out = drive.parent / "out"
    reports = {
        pair: json.loads((out / pair / "report.json").read_text()) for pair in ("front", "rear")
    }
    assert reports["front"]["frames"]["evaluated"] == 3 and not reports["front"]["problems"]
    assert reports["rear"]["pairing"]["pairs"] == 0 and reports["rear"]["problems"]
    assert not (out / "report.json").exists()
    said = capsys.readouterr()
    assert f"front: 3 of 3 pairs evaluated; {out / 'front' / 'report.html'}" in said.out
    assert "mafs replay: rear: " in said.err and "mafs replay: front: " not in said.err


def test_one_parameter_of_one_pair_on_the_command_line(drive):
    values = read_values(drive, ["rear.slop_s:=0.05"])
    assert settings_of("rear", values)["slop_s"] == 0.05
    assert settings_of("front", values)["slop_s"] == TABLE["slop_s"].default


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rgb-topic", "/x"), "do not go with several pairs"),
        (("--live",), "--live goes with one pair of cameras: give a --params file without"),
        (("--labels", "/l"), "--labels goes with one pair of cameras"),
    ],
)
def test_what_goes_with_one_pair_alone_is_refused(drive, capsys, options, message):
    with pytest.raises(SystemExit) as ended:
        replay(drive, *options)
    assert ended.value.code == 2 and message in capsys.readouterr().err


def test_two_cameras_on_one_topic_are_refused(drive, capsys):
    drive.write_text(PARAMS.replace("/rear/rgb", "/front/rgb"))
    assert replay(drive) != 0
    assert (
        "front.rgb_topic and rear.rgb_topic: both are /front/rgb/image" in capsys.readouterr().err
    )


def test_other_commands_want_the_parameters_of_one_pair(drive, capsys):
    folder = drive.parent
    given = ["--params", str(drive), "--out", str(folder / "registration.yaml")]
    assert main(["calibrate", str(folder / "drive"), *given]) != 0
    assert "holds the parameters of 2 pairs of cameras (front, rear)" in capsys.readouterr().err
