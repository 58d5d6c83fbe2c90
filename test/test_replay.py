"""`mafs replay` on real bags with the shipped weights: numbers, files, broken bags."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mafs_ros import bags
from mafs_ros.cli import main
from mafs_ros.compare import block_length, mean_difference, miou_difference
from mafs_ros.engine import create_engine
from mafs_ros.ground_truth import LabelFolder, LabelMapper
from mafs_ros.labels import ClassTable, LabelClass, load_class_table
from mafs_ros.live_estimate import live_estimate
from mafs_ros.metrics import ConfusionMatrix, FusionScores
from mafs_ros.model import build_model
from mafs_ros.model.weights import ModelInfo, save_weights
from mafs_ros.perception import Perception
from mafs_ros.registration import Registration
from mafs_ros.replay_settings import read_settings
from mafs_ros.resources import default_weights
from mafs_ros.simulation import StreetSimulation
from mafs_ros.thermal import ThermalScaler

HEIGHT, WIDTH = 64, 96
START = 1_700_000_000_000_000_000
STEP = 100_000_000
MS = 1_000_000
REPEATABLE = ("report.json", "frames.csv", "side_by_side.webm", "output.mcap")


@pytest.fixture(scope="module")
def frames():
    street = StreetSimulation(seed=1, height=HEIGHT, width=WIDTH, night=True)
    return [street.frame(0.5 * index) for index in range(6)]


def write_bag(
    path,
    frames,
    *,
    lag=3 * MS,
    stamps=None,
    labelled=range(99),
    storage="mcap",
    compress=False,
    label_delay=0,
):
    """rgb, thermal (16 bit) and labels of simulated frames."""
    stamps = stamps or [START + index * STEP for index in range(len(frames))]
    with bags.BagWriter(path, storage, compress) as writer:
        for index, (frame, stamp) in enumerate(zip(frames, stamps, strict=True)):
            received = START + index * STEP
            writer.write_image("/rgb/image", frame.rgb, stamp, "rgb_optical", received)
            writer.write_image(
                "/thermal/image",
                frame.thermal,
                stamp + lag,
                "thermal_optical",
                received + max(lag, 0),
            )
            if index in labelled:
                writer.write_image(
                    "/labels/image", frame.labels, stamp, "rgb_optical", received + label_delay
                )
    return path


def replay(bag, out, *options):
    """Evaluate with torch, which starts at once; returns exit code and report."""
    code = main(["replay", str(bag), "--out", str(out), "--backend", "torch", *map(str, options)])
    return code, json.loads((out / "report.json").read_text())


def rows(out):
    with open(out / "frames.csv", newline="") as file:
        return list(csv.DictReader(file))


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


# Numbers and files


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
    with bags.Bag(folder / "out" / "output.mcap") as bag:
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


def test_every(tmp_path, frames):
    code, report = replay(write_bag(tmp_path / "b", frames), tmp_path / "out", "--every", 4)
    assert code == 0
    assert (report["pairing"]["pairs"], report["frames"]["evaluated"]) == (6, 2)
    assert [row["pair"] for row in rows(tmp_path / "out")] == ["0", "4"]


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


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("slop:=0.1", "there is no parameter slop: did you mean slop_s?"),
        ("slop_s:=fast", "parameter slop_s: got 'fast', expected a number"),
        ("slop_s", "got the parameter 'slop_s', expected NAME:=VALUE"),
    ],
)
def test_wrong_parameters(assignment, message):
    with pytest.raises(ValueError, match=".") as error:
        read_settings(None, [assignment])
    assert message in str(error.value)


def test_default_settings_are_those_of_the_node():
    settings = read_settings(None, [])
    assert (settings["slop_s"], settings["thermal_scaling"]) == (0.05, "auto")


# Ground truth


def test_labels_that_come_late_in_the_bag(tmp_path, frames):
    bag = write_bag(tmp_path / "bag", frames, label_delay=3 * STEP)
    _, report = replay(bag, tmp_path / "out", "--labels", "labels/image")
    assert report["frames"]["labelled"] == 6


@pytest.mark.parametrize("name", ["{stamp}", "{stamp_s}.{stamp_ns:09d}", "{index}", "{index:06d}"])
def test_label_folder_by_stamp_or_number(tmp_path, name):
    for index in (1, 4):
        stamp = START + index * STEP
        file = name.format(
            stamp=stamp, stamp_s=stamp // 10**9, stamp_ns=stamp % 10**9, index=index
        )
        assert cv2.imwrite(str(tmp_path / f"{file}.png"), np.full((4, 4), index, np.uint8))
    labels = LabelFolder(tmp_path, 6)
    found = [labels.find(START + index * STEP, index) for index in range(6)]
    assert [None if one is None else int(one[0, 0]) for one in found] == [
        None,
        1,
        None,
        None,
        4,
        None,
    ]


def test_labels_of_a_folder_are_scored(tmp_path, frames):
    bag = write_bag(tmp_path / "bag", frames[:3], labelled=())
    (tmp_path / "labels").mkdir()
    assert cv2.imwrite(str(tmp_path / "labels" / "1.png"), frames[1].labels)
    code, _ = replay(bag, tmp_path / "out", "--labels", tmp_path / "labels")
    assert code == 0
    assert [row["pair"] for row in rows(tmp_path / "out") if row["labelled_pixels"]] == ["1"]


def test_label_folder_of_other_names_goes_by_order(tmp_path, frames):
    for name in ("a10", "a2"):
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((4, 4), len(name), np.uint8))
    labels = LabelFolder(tmp_path, 2)
    assert [labels.find(START, i)[0, 0] for i in range(2)] == [2, 3]
    with pytest.raises(ValueError, match="neither stamps nor numbers"):
        LabelFolder(tmp_path, 3)


def test_classes_are_matched_by_name():
    mfnet, street = load_class_table("mfnet"), load_class_table("street")
    labels = np.array([[0, 1, 2, 3, 4, 255]], np.uint8)
    assert LabelMapper(mfnet, street)(labels, (1, 6)).tolist() == [[0, 1, 2, 3, 255, 255]]
    with pytest.raises(ValueError, match="is --label-classes the table of these labels"):
        LabelMapper(street, street)(labels, (1, 6))
    with pytest.raises(ValueError, match="the labels are 6x1, expected 4x3"):
        LabelMapper(mfnet, street)(labels, (3, 4))
    other = ClassTable(
        "x", (LabelClass(0, "background", (0, 0, 0)), LabelClass(1, "cow", (1, 1, 1)))
    )
    with pytest.raises(ValueError, match="have no object in common"):
        LabelMapper(other, street)


def test_unusable_labels_are_named_and_the_frame_is_scored_for_fusion(tmp_path, frames):
    (tmp_path / "labels").mkdir()
    assert cv2.imwrite(str(tmp_path / "labels" / "0.png"), np.zeros((5, 5), np.uint8))
    bag = write_bag(tmp_path / "bag", frames[:2], labelled=())
    code, report = replay(bag, tmp_path / "out", "--labels", tmp_path / "labels")
    assert code == 1
    assert report["problems"] == [
        "1 frames are scored for fusion only: the labels are 5x5, expected 96x64 as the RGB image"
    ]
    assert report["fusion"]["images"] == 2


# Broken bags: a clear line, and a report of what there is


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
    with bags.BagWriter(tmp_path / "bag", storage, compress) as writer:
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
    with bags.BagWriter(tmp_path / "bag") as writer:
        for index, frame in enumerate(frames[:3]):
            stamp = START + index * STEP
            writer.write_image("/rgb", frame.rgb, stamp, "f")
            if index < 2:
                writer.write_image("/thermal", frame.thermal, stamp, "f")
            else:
                writer.write_raw("/thermal", bags.IMAGE, b"\0\1\0\0", stamp)
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


def test_unknown_encoding(tmp_path, frames):
    bag = tmp_path / "bag"
    with bags.BagWriter(bag) as writer:
        for index, frame in enumerate(frames[:2]):
            stamp = START + index * STEP
            message = bags.TYPES.types[bags.IMAGE](
                header=bags._header(stamp, "f"),
                height=HEIGHT,
                width=WIDTH,
                encoding="rgb12p",
                is_bigendian=0,
                step=WIDTH * 3,
                data=frame.rgb.reshape(-1),
            )
            raw = bytes(bags.TYPES.serialize_cdr(message, bags.IMAGE))
            writer.write_raw("/rgb", bags.IMAGE, raw, stamp)
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


def test_interrupted_replay_reports_what_it_has(tmp_path, frames, monkeypatch):
    calls = []

    def perceive(self, *images):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return self.perception(*images)

    monkeypatch.setattr("mafs_ros.replay_candidate.Candidate.perceive", perceive)
    bag = write_bag(tmp_path / "bag", frames)
    code, report = replay(bag, tmp_path / "out")
    assert (code, report["status"], report["frames"]["evaluated"]) == (130, "partial", 2)
    assert report["pairing"]["rgb"]["received"] == 3
    assert report["problems"][0].startswith("interrupted")
    with bags.Bag(tmp_path / "out" / "output.mcap") as bag:
        assert len(list(bag.messages(["/mafs/fused/image"]))) == 2


def test_two_interrupts_leave_a_report(tmp_path, frames):
    """As from Ctrl-C under ros2 launch: the terminal sends one, launch another."""
    bag, out = write_bag(tmp_path / "bag", frames * 20), tmp_path / "out"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mafs_ros.cli",
            "replay",
            str(bag),
            "--out",
            str(out),
            "--backend",
            "torch",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (out / "frames.csv").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    report = json.loads((out / "report.json").read_text())
    assert (process.returncode, report["problems"][0][:11]) == (130, "interrupted"), said
    assert report["frames"]["evaluated"] < 120
    assert (out / "report.html").exists()


def test_what_cannot_be_started_at_all(tmp_path, frames, capsys):
    assert main(["replay", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 1
    assert "there is no such bag" in capsys.readouterr().err
    bag = write_bag(tmp_path / "bag", frames[:1])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "output.mcap").write_bytes(b"precious")
    assert main(["replay", str(bag), "--out", str(tmp_path / "mine")]) == 1
    assert (tmp_path / "mine" / "output.mcap").read_bytes() == b"precious"


# Comparison


def test_comparing_an_engine_with_itself_finds_nothing(tmp_path, frames):
    bag = write_bag(tmp_path / "bag", frames)
    code, report = replay(
        bag, tmp_path / "out", "--labels", "/labels/image", "--compare", default_weights()
    )
    compare = report["compare"]
    assert code == 0
    assert compare["agreement_percent"]["min"] == 100.0
    assert compare["fused_difference"]["max"] == 0.0
    for one in compare["differences"].values():
        assert one["difference"] in (0.0, None)
        assert not one["larger_than_chance"]
    assert compare["second"]["segmentation"] == report["segmentation"]
    assert rows(tmp_path / "out")[2]["b_VIF"] == rows(tmp_path / "out")[2]["VIF"]


def test_other_weights_differ_by_more_than_chance(tmp_path, frames):
    """A network that has learnt nothing, beside the shipped one."""
    torch.manual_seed(0)
    save_weights(
        tmp_path / "new.safetensors",
        build_model("mafs-lite", num_classes=4, auxiliary=False),
        ModelInfo("mafs-lite", {}, load_class_table("street").to_dict()),
    )
    bag = write_bag(tmp_path / "bag", frames)
    code, report = replay(bag, tmp_path / "out", "--compare", tmp_path / "new.safetensors")
    assert code == 0
    vif = report["compare"]["differences"]["VIF"]
    assert vif["larger_than_chance"]
    assert vif["low"] <= vif["difference"] <= vif["high"] < 0
    assert report["compare"]["fused_difference"]["min"] > 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<td>VIF</td>" in page and "<td><b>larger than chance</b></td>" in page


def test_class_tables_that_differ_are_not_compared(tmp_path, frames):
    torch.manual_seed(0)
    table = ClassTable(
        "other", (LabelClass(0, "background", (0, 0, 0)), LabelClass(1, "person", (1, 1, 1)))
    )
    save_weights(
        tmp_path / "new.safetensors",
        build_model("mafs-lite", num_classes=2, auxiliary=False),
        ModelInfo("mafs-lite", {}, table.to_dict()),
    )
    bag = write_bag(tmp_path / "bag", frames[:2])
    code, report = replay(
        bag,
        tmp_path / "out",
        "--labels",
        "/labels/image",
        "--label-classes",
        "street",
        "--compare",
        tmp_path / "new.safetensors",
    )
    assert (code, report["status"]) == (1, "partial")
    assert "the class tables of the two differ" in report["problems"][0]
    assert "miou_with_background" not in report["compare"]["differences"]
    assert report["compare"]["second"]["segmentation"]["frames"] == 2


def test_differences_beyond_and_within_chance():
    rng = np.random.default_rng(1)
    first = rng.normal(5, 1, 300)
    better = mean_difference(list(first), list(first + rng.normal(0.3, 0.5, 300)), 10)
    assert better.larger_than_chance
    assert better.low < better.difference < better.high
    same = mean_difference(list(first), list(first + rng.normal(0.0, 0.5, 300)), 10)
    assert not same.larger_than_chance
    none = mean_difference([None, 1.0], [2.0, None], 1)
    assert (none.frames, none.larger_than_chance) == (0, False)


def test_interval_of_frames_that_resemble_their_neighbours_is_wider_by_blocks():
    drift = np.repeat(np.random.default_rng(2).normal(0, 1, 30), 10)
    single = mean_difference([0.0] * 300, list(drift), 1)
    blocks = mean_difference([0.0] * 300, list(drift), 10)
    assert blocks.high - blocks.low > 2 * (single.high - single.low)


def test_miou_difference_agrees_with_the_confusion_matrix():
    rng = np.random.default_rng(3)
    first, second, sums = [], [], []
    for cells in (first, second):
        whole = ConfusionMatrix(("background", "a", "b"))
        for _ in range(12):
            matrix = rng.integers(0, 50, (3, 3))
            cells.append(matrix)
            whole.matrix += matrix
        sums.append(whole)
    for background in (True, False):
        found = miou_difference(first, second, 2, background)
        assert found.first == pytest.approx(100 * sums[0].miou(background))
        assert found.second == pytest.approx(100 * sums[1].miou(background))
        assert found.low < found.difference < found.high


def test_block_length():
    assert [block_length(*case) for case in ((300, 10.0), (20, 10.0), (3, 30.0))] == [10, 4, 1]


# Speed


def test_live_estimate_of_a_busy_node():
    received = [index * 100 * MS for index in range(5)]  # every 100 ms, 250 ms each
    estimate = live_estimate(received, [250.0] * 5)
    # 0 runs to 250; 1 is replaced by 2, which runs to 500; 3 by 4, which runs to 750.
    assert (estimate.pairs, estimate.replaced) == (5, 2)
    assert estimate.latency_ms == [250.0, 300.0, 350.0]
    assert live_estimate(received, [20.0] * 5).replaced == 0


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
        with bags.BagWriter(bag) as writer:
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


def test_live_node_gives_the_bytes_of_the_offline_evaluation(tmp_path, frames, demo_domain):
    pytest.importorskip("rclpy", reason="needs ROS 2")
    bag = write_bag(tmp_path / "bag", frames)
    code, report = replay(bag, tmp_path / "out", "--live", "--rate", "0.3")
    assert (code, report["problems"]) == (0, [])
    live = json.loads((tmp_path / "out" / "timing.json").read_text())["live"]
    assert live["sent"] == {"rgb": 6, "thermal": 6}
    assert live["pairs"] == 6
    assert 1 <= live["published"] == live["same_bytes"] == report["frames"]["evaluated"]
    assert (
        live["published"]
        + sum(
            count
            for cause, count in live["drops"].items()
            if not cause.startswith(("rgb", "thermal"))
        )
        == 6
    )
    assert 0 < live["latency_ms"]["median"] <= live["age_ms"]["max"]
    assert "<h2>Live node</h2>" in (tmp_path / "out" / "report.html").read_text()
