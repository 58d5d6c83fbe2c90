"""The demo as a user runs it: a process that starts cameras and node, and leaves files."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from recordings import START, STEP

from mafs_ros.bags.writer import BagWriter
from mafs_ros.demo import __main__, picture_writer
from mafs_ros.images.files import folders, read, write
from mafs_ros.perception.classes import ClassTable, LabelClass

# The first start on a machine compiles the engine; its next ones take it from the cache.
pytestmark = [pytest.mark.timeout(420), pytest.mark.usefixtures("demo_domain")]
RUN_TIMEOUT_S = 400
TABLE = ClassTable(
    "t",
    (
        LabelClass(0, "background", (0, 0, 0)),
        LabelClass(1, "car", (0, 0, 255)),
        LabelClass(2, "person", (255, 0, 0)),
    ),
)


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "mafs_ros.demo", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=RUN_TIMEOUT_S)
    return process.returncode, out, err


def succeed(*arguments):
    """Run the demo; returns what it printed and its summary."""
    code, out, err = finish(start(*arguments))
    assert code == 0, err
    folder = arguments[arguments.index("--out") + 1]
    return out, json.loads((folder / "summary.json").read_text())


def fail(*arguments):
    """Run a demo that must fail; returns its error."""
    code, out, err = finish(start(*arguments))
    assert code == 1, (out, err)
    assert "Traceback" not in err
    return err


def check_accounts(summary):
    """Every image sent and every pair formed is a frame or a counted drop."""
    drops = summary["drops"]
    assert all(count >= 0 for count in drops.values())
    pair_causes = ("replaced_while_busy", "failed", "bad_image", "not_subscribed", "output_lost")
    assert summary["pairs_in"] == summary["frames_out"] + sum(drops[c] for c in pair_causes)
    for camera in ("rgb", "thermal"):
        lost = sum(count for cause, count in drops.items() if cause.startswith(camera))
        assert summary["sent"][camera] == summary["pairs_in"] + lost


def check_files(folder, names, height, width):
    """Three pictures for each name, of the size of the RGB images, and nothing else."""
    for output in ("fused", "labels", "overlay"):
        assert sorted(path.stem for path in (folder / output).iterdir()) == sorted(names)
    for name in names:
        fused = cv2.imread(str(folder / "fused" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        labels = cv2.imread(str(folder / "labels" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        overlay = cv2.imread(str(folder / "overlay" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert fused.shape == overlay.shape == (height, width, 3)
        assert fused.std() > 3
        assert (labels.shape, labels.dtype) == ((height, width), np.uint8)
        assert set(np.unique(labels)) <= {0, 1, 2, 3}  # the class table `street`
        assert np.array_equal(overlay[labels == 0], fused[labels == 0])
    picture = cv2.imread(str(folder / "side_by_side.png"))
    assert picture.shape == (2 * height, 2 * width, 3)
    assert picture_writer.count_video_frames(folder / "demo.webm") == len(names)
    assert not list(folder.glob(".*"))  # no spool is left behind


def test_simulation(tmp_path):
    printed, summary = succeed("--frames", 12, "--out", tmp_path / "out")
    assert summary["sent"] == {"rgb": 12, "thermal": 12}
    assert summary["pairs_in"] == summary["frames_out"] == 12
    assert not any(summary["drops"].values())
    check_files(tmp_path / "out", [f"{i:06d}" for i in range(12)], 480, 640)
    latency, engine = summary["latency_ms"], summary["engine_ms"]
    assert 0 < engine["median"] <= latency["median"] <= latency["p95"]
    assert summary["overhead_ms"] == pytest.approx(latency["median"] - engine["median"], abs=0.02)
    rows = dict(re.split(r" {2,}", line, maxsplit=1) for line in printed.splitlines()[1:])
    assert rows["pairs in"] == "12 (of 12 RGB and 12 thermal images)"
    assert rows["frames out"] == "12"
    assert rows["drops by cause"] == "none"
    assert f"median {latency['median']} ms" in rows["latency"]


def test_cameras_faster_than_the_node(tmp_path):
    """At a fixed rate beyond the engine's the newest pair wins, and the accounts are complete."""
    printed, summary = succeed("--frames", 30, "--rate", 60, "--out", tmp_path / "out")
    assert summary["sent"] == {"rgb": 30, "thermal": 30}
    assert 1 <= summary["frames_out"] < 30
    assert summary["drops"]["replaced_while_busy"] > 0
    assert f"{summary['drops']['replaced_while_busy']} replaced_while_busy" in printed
    check_accounts(summary)
    check_files(tmp_path / "out", [f"{i:06d}" for i in range(summary["frames_out"])], 480, 640)


def test_pace_and_latency_without_pictures(tmp_path):
    """The node has the parameters that were passed on, and its steps add up to the latency."""
    printed, summary = succeed(
        "--frames",
        6,
        "--no-pictures",
        "-p",
        "threads:=1",
        "-p",
        "image_height:=128",
        "-p",
        "image_width:=160",
        "--rate",
        5,
        "--out",
        tmp_path / "out",
    )
    assert 1 <= summary["frames_out"] <= 6
    check_accounts(summary)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["log", "summary.json"]
    assert "preparing the engine for 160x128" in (tmp_path / "out/log/node.log").read_text()
    steps = summary["node_steps_ms"]
    parts = ("waiting", "conversion", "thermal", "registration", "engine", "publishing")
    assert all(steps[part] >= 0 for part in parts)
    assert summary["transport_ms"] == pytest.approx(
        summary["latency_ms"]["median"] - sum(steps[part] for part in parts), abs=0.02
    )
    age = summary["age_ms"]
    assert 0 < age["median"] <= age["p95"]
    assert f"median {age['median']} ms, p95 {age['p95']} ms (RGB stamp" in printed


def street_pairs(count):
    from mafs_ros.simulation import StreetSimulation

    street = StreetSimulation(seed=1, height=480, width=640, night=True)
    return [street.frame(0.5 * index) for index in range(count)]


def test_bag_with_an_image_that_has_no_partner_then_folders(tmp_path):
    """Every pair comes out once; the second demo replaces the pictures of the first."""
    frames = street_pairs(6)
    with BagWriter(tmp_path / "drive") as writer:
        for index, frame in enumerate(frames):
            stamp = START + index * STEP // 20  # recorded far faster than any engine
            writer.write_image("/left/image_color", frame.rgb, stamp, "left")
            if index != 2:
                writer.write_image("/boson/image16", frame.thermal, stamp + 1_000_000, "boson")
    printed, summary = succeed("--bag", tmp_path / "drive", "--out", tmp_path / "out")
    assert "/left/image_color (rgb8 640x480" in printed
    assert "/boson/image16 (mono16 640x480" in printed
    assert summary["sent"] == {"rgb": 6, "thermal": 5}
    assert (summary["pairs_in"], summary["frames_out"]) == (5, 5)
    assert summary["drops"]["rgb_unpaired_slop"] == 1
    check_accounts(summary)
    check_files(tmp_path / "out", [f"{i:06d}" for i in range(5)], 480, 640)

    names = ["first", "second", "third"]
    for camera in ("rgb", "thermal"):
        (tmp_path / camera).mkdir()
        for name, frame in zip(names, frames[:3], strict=True):
            write.write_png(tmp_path / camera / f"{name}.png", getattr(frame, camera))
    _, summary = succeed(
        "--rgb", tmp_path / "rgb", "--thermal", tmp_path / "thermal", "--out", tmp_path / "out"
    )
    assert summary["pairs_in"] == summary["frames_out"] == 3
    check_files(tmp_path / "out", names, 480, 640)


def shared_pairs(shared_data, data):
    """RGB folder, thermal folder, height of real pairs."""
    if data == "street":
        folder, height = shared_data / "street_rgbt" / "test", 480
    else:
        folder, height = shared_data / "drone_sequence", 512
    return folder / "vi", folder / "ir", height


# The 42 street pairs whole, of the others the first ones: two cores need a while for all.
@pytest.mark.parametrize(("data", "frames"), [("street", 42), ("drone", 6)])
def test_real_folders_give_every_pair(shared_data, tmp_path, data, frames):
    rgb, thermal, height = shared_pairs(shared_data, data)
    _, summary = succeed("--rgb", rgb, "--thermal", thermal, "--frames", frames, "--out", tmp_path)
    names = sorted(path.stem for path in rgb.iterdir())[:frames]
    assert summary["pairs_in"] == summary["frames_out"] == len(names) == frames
    assert not any(summary["drops"].values())
    check_files(tmp_path, names, height, 640)


@pytest.mark.parametrize(
    ("data", "storage", "frames"), [("street", "sqlite3", 6), ("drone", "mcap", 6)]
)
def test_real_bags_give_every_pair(shared_data, tmp_path, data, storage, frames):
    rgb, thermal, height = shared_pairs(shared_data, data)
    pairs = folders.pair_folders(rgb, thermal)[:frames]
    with BagWriter(tmp_path / "bag", storage) as writer:
        for index, (_, rgb_file, thermal_file) in enumerate(pairs):
            stamp = START + index * STEP
            writer.write_image("/rgb/image", read.read_rgb(rgb_file), stamp, "rgb")
            writer.write_image(
                "/thermal/image", read.read_thermal(thermal_file), stamp + 3_000_000, "thermal"
            )
    _, summary = succeed("--bag", tmp_path / "bag", "--out", tmp_path / "out")
    assert summary["pairs_in"] == summary["frames_out"] == len(pairs) == frames
    assert not any(summary["drops"].values())
    check_files(tmp_path / "out", [f"{i:06d}" for i in range(frames)], height, 640)


def test_bag_whose_stamps_never_pair(tmp_path):
    frame = street_pairs(1)[0]
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_image("/rgb", frame.rgb, START, "f")
        writer.write_image("/thermal", frame.thermal, START + 73_000_000, "f")
    error = fail("--bag", tmp_path / "bag", "--out", tmp_path / "out")
    assert "stamps are 0.073 s apart, the node pairs up to 0.05 s" in error
    assert f"`mafs replay {tmp_path / 'bag'} --out DIR -p slop_s:=0.0" in error
    assert "` pairs 1 of 1" in error
    assert not (tmp_path / "out" / "log" / "node.log").exists()  # before anything starts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "/proc/demo"], "demo: /proc/demo: cannot write into this folder"),
        (["--bag", "/nowhere"], "demo: /nowhere: there is no such bag"),
        (
            ["--rgb", "/nowhere", "--thermal", "/nowhere"],
            "demo: /nowhere: there is no such folder",
        ),
        (["--rgb", "/proc/self", "--thermal", "/nowhere"], "demo: /proc/self: no image in this"),
    ],
)
def test_bad_input_is_one_line(tmp_path, arguments, message):
    error = fail(*(arguments if "--out" in arguments else [*arguments, "--out", tmp_path]))
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rgb", "x"],
        ["--bag", "x", "--rgb", "y", "--thermal", "z"],
        ["--frames", "-1"],
        ["--rate", "5000"],
    ],
)
def test_wrong_usage(arguments):
    with pytest.raises(SystemExit, match="2"):
        __main__.parse_arguments(arguments)


def children(pid):
    """Module name -> process id of the processes that `pid` started."""
    found = {}
    for child in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            with open(f"/proc/{child}/stat") as stat, open(f"/proc/{child}/cmdline") as command:
                if int(stat.read().rpartition(")")[2].split()[1]) == pid:
                    words = command.read().split("\0")
                    found[words[2].rpartition(".")[2]] = child
        except (OSError, IndexError):
            continue  # it has ended meanwhile
    return found


def running_demo(tmp_path):
    """A demo whose node and cameras run; returns it and their process ids."""
    process = start("--out", tmp_path / "out", "--frames", 4)
    deadline = time.monotonic() + 60
    while True:
        found = children(process.pid)
        log = tmp_path / "out" / "log" / "node.log"
        if {"node", "cameras"} <= set(found) and log.exists() and "loading" in log.read_text():
            return process, found
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_node_that_dies_is_reported_with_its_log(tmp_path):
    process, found = running_demo(tmp_path)
    os.kill(found["node"], signal.SIGKILL)
    code, _, error = finish(process)
    assert code == 1
    assert "the process node ended with exit code -9" in error
    assert "loading " in error  # the node's log
    assert has_ended(found["cameras"])


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_ends_its_processes(tmp_path, stop):
    process, found = running_demo(tmp_path)
    process.send_signal(stop)
    code, _, error = finish(process)
    assert code == 130
    assert error.splitlines()[-1].startswith("demo: interrupted")
    assert has_ended(found["node"])
    assert has_ended(found["cameras"])
    assert not list((tmp_path / "out").glob(".*"))


# Parts, without processes
