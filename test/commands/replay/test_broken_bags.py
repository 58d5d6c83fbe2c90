"""`mafs replay` on broken bags: a clear line, and a report of what there is."""

from __future__ import annotations

import numpy as np
import pytest
from replay_bag import HEIGHT, START, STEP, WIDTH, replay, rows, write_bag

from mafs_ros.bags import reader
from mafs_ros.bags.writer import BagWriter
from mafs_ros.cli import main


def test_what_is_odd_about_the_images_is_a_warning_and_no_problem(tmp_path, capsys):
    with BagWriter(tmp_path / "bag") as writer:
        rng = np.random.default_rng(0)
        for index in range(3):
            thermal = rng.integers(29_000, 31_000, (HEIGHT, HEIGHT)).astype(np.uint16)
            thermal[:9] = 0
            stamp = START + index * STEP
            writer.write_image("/rgb", np.zeros((HEIGHT, WIDTH, 3), np.uint8), stamp, "f")
            writer.write_image("/thermal", thermal, stamp, "f")
    code, report = replay(tmp_path / "bag", tmp_path / "out")
    assert (code, report["status"], report["problems"]) == (0, "complete", [])
    zeros, shape = report["warnings"]
    assert zeros.startswith("pair 0: thermal image: 14.1 % of its pixels are exactly 0")
    assert shape.startswith("pair 0: the shapes of the images differ")
    said = capsys.readouterr().err
    assert said.count("mafs replay: warning: ") == 2
    assert "Look at these" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("storage", "compress"),
    [
        ("mcap", False),
        ("sqlite3", False),
        ("mcap", "chunks"),
        ("sqlite3", True),
        ("mcap", "file"),
        ("sqlite3", "file"),
    ],
)
def test_file_that_was_cut_off(tmp_path, capsys, storage, compress):
    rng = np.random.default_rng(0)  # noise, so that the file is longer than a chunk of 1 MiB
    noise = rng.integers(0, 256, (12, 200, 300, 3), np.uint8)
    with BagWriter(tmp_path / "bag", storage, compress) as writer:
        for index, rgb in enumerate(noise):
            stamp = START + index * STEP
            writer.write_image("/rgb", rgb, stamp, "f")
            writer.write_image("/thermal", rgb[:, :, 0], stamp, "f")
    file = next(p for p in (tmp_path / "bag").iterdir() if p.suffix != ".yaml")
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 6 // 10])
    code, report = replay(tmp_path / "bag", tmp_path / "out", "--every", 3)
    assert (code, report["status"]) == (1, "partial")
    assert 3 <= report["pairing"]["pairs"] < 12
    assert report["frames"]["evaluated"] == -(-report["pairing"]["pairs"] // 3)
    assert "cut off" in report["problems"][0]
    assert f"mafs replay: {tmp_path / 'bag'}: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("storage", "compress"),
    [("mcap", False), ("mcap", "chunks"), ("mcap", True), ("sqlite3", True), ("sqlite3", "file")],
)
def test_metadata_is_missing(tmp_path, frames, storage, compress):
    bag = write_bag(tmp_path / "bag", frames[:3], storage=storage, compress=compress)
    (bag / "metadata.yaml").unlink()
    code, report = replay(bag, tmp_path / "out")
    assert (code, report["status"], report["frames"]["evaluated"]) == (1, "partial", 3)
    assert "metadata.yaml is missing" in report["problems"][0]


def test_damage_in_the_middle(tmp_path, frames):
    with BagWriter(tmp_path / "bag") as writer:
        for index, frame in enumerate(frames[:3]):
            stamp = START + index * STEP
            writer.write_image("/rgb", frame.rgb, stamp, "f")
            if index < 2:
                writer.write_image("/thermal", frame.thermal, stamp, "f")
            else:
                writer.write_raw("/thermal", reader.IMAGE, b"\0\1\0\0", stamp)
    code, report = replay(tmp_path / "bag", tmp_path / "out")
    assert (code, report["status"], report["frames"]["evaluated"]) == (1, "partial", 2)
    assert "cannot be read" in report["problems"][0]


def test_no_matching_topics(tmp_path, frames):
    bag = write_bag(tmp_path / "bag", frames[:1])
    code, report = replay(bag, tmp_path / "out", "--thermal-topic", "/flir")
    assert (code, report["status"]) == (1, "failed")
    assert "no image topic /flir; the image topics are: /labels/image" in report["problems"][0]
    assert (tmp_path / "out" / "report.html").read_text().count("Nothing could be evaluated") == 1


def test_unreadable_bag(tmp_path):
    (tmp_path / "x.mcap").write_bytes(b"hello" * 100)
    code, report = replay(tmp_path / "x.mcap", tmp_path / "out")
    assert (code, report["status"]) == (1, "failed")
    assert "cannot be read" in report["problems"][0]


def test_no_pairs_within_the_slop(tmp_path, frames):
    steps = [START + index * 10 * STEP for index in range(4)]
    bag = write_bag(tmp_path / "bag", frames[:4], lag=73_400_000, stamps=steps)
    code, report = replay(bag, tmp_path / "out")
    assert (code, report["status"], report["pairing"]["pairs"]) == (1, "failed", 0)
    problem = report["problems"][-1]
    assert "stamps are 73.400 ms apart (thermal minus RGB), slop_s is 0.05" in problem
    assert "slop_s 0.074 would pair" in problem
    proposal = problem[problem.index("-p ") : problem.index(" pairs 4 of 4")].split()
    code, report = replay(bag, tmp_path / "out", *proposal)
    assert (code, report["frames"]["evaluated"]) == (0, 4)
    code, report = replay(bag, tmp_path / "out", "-p", "slop_s:=0.074")
    assert (code, report["frames"]["evaluated"]) == (0, 4)


def header(stamp):
    time = reader.TYPES.types["builtin_interfaces/msg/Time"](
        sec=stamp // 10**9, nanosec=stamp % 10**9
    )
    return reader.TYPES.types["std_msgs/msg/Header"](stamp=time, frame_id="f")


def test_unknown_encoding(tmp_path, frames):
    bag = tmp_path / "bag"
    with BagWriter(bag) as writer:
        for index, frame in enumerate(frames[:2]):
            stamp = START + index * STEP
            message = reader.TYPES.types[reader.IMAGE](
                header=header(stamp),
                height=HEIGHT,
                width=WIDTH,
                encoding="rgb12p",
                is_bigendian=0,
                step=WIDTH * 3,
                data=frame.rgb.reshape(-1),
            )
            raw = bytes(reader.TYPES.serialize_cdr(message, reader.IMAGE))
            writer.write_raw("/rgb", reader.IMAGE, raw, stamp)
            writer.write_image("/thermal", frame.thermal, stamp, "f")
    code, report = replay(bag, tmp_path / "out")
    assert (code, report["status"], report["frames"]["bad_image"]) == (1, "failed", 2)
    assert "got encoding 'rgb12p', expected one of rgb8, bgr8" in report["problems"][0]
    assert {row["status"] for row in rows(tmp_path / "out")} == {"bad_image"}


def test_backward_stamps(tmp_path, frames):
    stamps = [START + (index % 3) * 20 * STEP for index in range(6)]  # a loop
    bag = write_bag(tmp_path / "bag", frames, stamps=stamps)
    code, report = replay(bag, tmp_path / "out")
    assert (code, report["frames"]["evaluated"], report["pairing"]["resets"]) == (1, 6, 1)
    assert "/rgb/image: 1 stamps go back in time" in report["problems"][0]


def test_what_cannot_be_started_at_all(tmp_path, frames, capsys):
    assert main(["replay", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 1
    assert "there is no such bag" in capsys.readouterr().err
    bag = write_bag(tmp_path / "bag", frames[:1])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "output.mcap").write_bytes(b"precious")
    assert main(["replay", str(bag), "--out", str(tmp_path / "mine")]) == 1
    assert (tmp_path / "mine" / "output.mcap").read_bytes() == b"precious"
