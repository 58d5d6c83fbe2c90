"""`mafs replay` on real bags with the shipped weights: numbers and files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from replay_bag import MS, START, STEP, replay, rows, write_bag

from mafs_ros.bags import reader
from mafs_ros.bags.writer import BagWriter
from mafs_ros.base.resources import default_weights
from mafs_ros.engine import create_engine
from mafs_ros.evaluation.metrics import ConfusionMatrix, FusionScores
from mafs_ros.perception.classes import load_class_table
from mafs_ros.perception.perception import Perception
from mafs_ros.perception.registration import Registration
from mafs_ros.perception.thermal import ThermalScaler

REPEATABLE = ("report.json", "frames.csv", "side_by_side.webm", "output.mcap")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, frames):
    """A labelled bag of six frames and its report."""
    folder = tmp_path_factory.mktemp("evaluated")
    write_bag(folder / "drive", frames, labelled=(0, 1, 3, 4))
    code, report = replay(folder / "drive", folder / "out", "--labels", "/labels/image")
    assert code == 0
    return folder, report


def perceived(frames):
    """The outputs, computed here frame by frame as the node does."""
    engine = create_engine("torch", default_weights())
    perception = Perception(engine, ThermalScaler(), Registration(None))
    return [
        perception(frame.rgb, frame.thermal, (START + index * STEP + 3 * MS) / 1e9)
        for index, frame in enumerate(frames)
    ]


def test_scores_equal_those_computed_frame_by_frame(evaluated, frames):
    _, report = evaluated
    table = load_class_table("street")
    fusion, matrix = FusionScores(), ConfusionMatrix(table.names)
    for index, (frame, one) in enumerate(zip(frames, perceived(frames), strict=True)):
        fusion.accumulate(one.thermal, frame.rgb, one.fused)
        if index in (0, 1, 3, 4):
            matrix.accumulate(frame.labels, one.labels)
    assert report["fusion"]["mean"] == fusion.mean()
    assert report["segmentation"]["confusion"] == matrix.matrix.tolist()
    assert report["segmentation"]["miou_with_background"] == 100 * matrix.miou()
    assert report["segmentation"]["frames"] == report["frames"]["labelled"] == 4
    assert report["frames"]["evaluated"] == report["pairing"]["pairs"] == 6
    assert (report["status"], report["problems"]) == ("complete", [])


def test_frames_csv(evaluated):
    folder, report = evaluated
    found = rows(folder / "out")
    assert [int(row["rgb_stamp_ns"]) for row in found] == [START + i * STEP for i in range(6)]
    assert {row["offset_ms"] for row in found} == {"3.0"}
    assert {row["status"] for row in found} == {"ok"}
    assert [bool(row["labelled_pixels"]) for row in found] == [
        True,
        True,
        False,
        True,
        True,
        False,
    ]
    assert np.mean([float(row["VIF"]) for row in found]) == report["fusion"]["mean"]["VIF"]


def test_output_bag_holds_what_was_perceived_with_the_stamps_of_the_inputs(evaluated, frames):
    folder, _ = evaluated
    expected = perceived(frames)
    with reader.Bag(folder / "out" / "output.mcap") as bag:
        topics = {topic.name: topic for topic in bag.image_topics}
        assert topics.keys() == {
            "/mafs/fused/image",
            "/mafs/segmentation/labels",
            "/mafs/segmentation/overlay",
        }
        assert topics["/mafs/fused/image"].frame_id == "rgb_optical"
        for name, kind in (
            ("/mafs/fused/image", "fused"),
            ("/mafs/segmentation/labels", "labels"),
        ):
            messages = list(bag.messages([name]))
            assert [m.stamp for m in messages] == [START + i * STEP for i in range(6)]
            for message, one in zip(messages, expected, strict=True):
                assert message.deserialize().data.tobytes() == getattr(one, kind).tobytes()


def test_video_shows_every_frame(evaluated):
    video = cv2.VideoCapture(str(evaluated[0] / "out" / "side_by_side.webm"))
    count = 0
    while video.read()[0]:
        count += 1
    assert count == 6


@pytest.mark.parametrize(("storage", "compress"), [("sqlite3", "file"), ("mcap", True)])
def test_same_bytes_twice_and_from_another_storage(
    evaluated, tmp_path, frames, storage, compress, monkeypatch
):
    folder, _ = evaluated
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        write_bag(Path("drive"), frames, labelled=(0, 1, 3, 4), storage=storage, compress=compress)
        replay(Path("drive"), Path("out"), "--labels", "/labels/image")
    for file in REPEATABLE:
        first, second = ((tmp_path / name / "out" / file).read_bytes() for name in "ab")
        assert first == second, file
    for file in ("frames.csv", "side_by_side.webm", "output.mcap"):
        assert (tmp_path / "a" / "out" / file).read_bytes() == (
            folder / "out" / file
        ).read_bytes(), file


def test_every_and_confidence(tmp_path, frames):
    bag = write_bag(tmp_path / "b", frames)
    code, report = replay(bag, tmp_path / "out", "--every", 4, "--confidence")
    assert code == 0
    assert (report["pairing"]["pairs"], report["frames"]["evaluated"]) == (6, 2)
    assert [row["pair"] for row in rows(tmp_path / "out")] == ["0", "4"]
    rgb, thermal = frames[0].rgb, ThermalScaler()(frames[0].thermal, (START + 3 * MS) / 1e9)
    engine = create_engine("torch", default_weights())
    expected = engine.with_confidence(rgb[None], thermal[None])[2]
    with reader.Bag(tmp_path / "out" / "output.mcap") as output:
        sure, _ = (m.deserialize() for m in output.messages(["/mafs/segmentation/confidence"]))
    assert sure.encoding == "mono8"
    assert sure.data.tobytes() == expected.tobytes()


def test_settings_of_the_node_are_used(tmp_path, frames):
    bag = write_bag(tmp_path / "bag", frames[:3], lag=70 * MS)
    (tmp_path / "p.yaml").write_text(
        "mafs:\n  ros__parameters:\n    slop_s: 0.08\n"
        "    thermal_scaling: fixed\n    thermal_low: 270\n"
        "    thermal_high: 310.0\n    thermal_unit: kelvin\n"
    )
    code, report = replay(
        bag,
        tmp_path / "out",
        "--params",
        tmp_path / "p.yaml",
        "-p",
        "thermal_time_offset_s:=-0.068",
    )
    assert code == 0
    assert report["pairing"]["offset_ms"]["median"] == 2.0
    assert (report["settings"]["slop_s"], report["settings"]["thermal_low"]) == (0.08, 270.0)


MEASURE = """
import resource, sys
from mafs_ros.cli import main
code = main(sys.argv[1:])
print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


def test_memory_does_not_grow_with_the_bag(tmp_path, frames):
    """400 pairs need what 40 pairs need; the images of the long bag are 150 MB."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (240, 320, 3), np.uint8)
    thermal = rng.integers(0, 9999, (240, 320)).astype(np.uint16)
    peaks = []
    for count in (40, 400):
        bag = tmp_path / f"bag{count}"
        with BagWriter(bag) as writer:
            for index in range(count):
                stamp = START + index * STEP // 3
                writer.write_image("/rgb", rgb, stamp, "f")
                writer.write_image("/thermal", thermal, stamp, "f")
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                MEASURE,
                "replay",
                str(bag),
                "--out",
                str(tmp_path / "out"),
                "--backend",
                "torch",
                "--every",
                str(count // 4),
            ],
            capture_output=True,
            text=True,
            timeout=110,
            check=True,
        )
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 60, peaks
