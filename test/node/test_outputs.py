"""What the node publishes, over DDS, with its real engine and weights."""

from __future__ import annotations

import csv
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from node_bench import OUTCOMES, Bench, LabelInfo
from node_messages import (
    HEIGHT,
    SECOND,
    WIDTH,
    image_message,
    pixels,
    rgb_image,
    stamp_of,
    thermal_image,
)
from node_process import DEADLINE_S, Process, cameras
from sensor_msgs.msg import CompressedImage

from mafs_ros.perception.classes import ClassTable, load_class_table

CAUSES = (
    "paired",
    "unpaired_slop",
    "unpaired_overflow",
    "duplicate",
    "late",
    "cleared",
    "pending",
)


@pytest.mark.alone
def test_every_pair_at_10_hz_comes_out_once_in_order(
    start: Callable[..., Process], bench: Bench, tmp_path: Path
) -> None:
    sent_file = tmp_path / "sent.csv"
    start(image_height=HEIGHT, image_width=WIDTH, fallback_after_s=0.5)
    connected = bench.connect("fused", "labels")
    with cameras(rate_hz=10.0, frames=200, rgb_frame_id="left_eye", sent_file=str(sent_file)) as c:
        assert c.wait() == 0, c.lines
    sent = [int(stamp) for topic, stamp, _ in csv.reader(sent_file.open()) if "rgb" in topic]
    assert len(sent) == 200
    bench.wait_for_stamp(sent[-1], "fused")
    bench.wait_for_stamp(sent[-1], "labels")
    bench.wait_for_counts(waiting=0, in_progress=0)
    # None, but where the machine stands still for longer than a period; the node counts it then.
    may_miss = min(bench.counts()["replaced_while_busy"], 2)
    classes = load_class_table("street").num_classes
    for name, encoding in (("fused", "rgb8"), ("labels", "mono8")):
        messages = [m for m in bench.received[name] if stamp_of(m) > connected]
        stamps = [stamp_of(message) for message in messages]
        assert stamps == [stamp for stamp in sent if stamp in stamps]
        assert len(stamps) >= 200 - may_miss
        for message in messages:
            assert message.header.frame_id == "left_eye"
            assert (message.encoding, message.height, message.width) == (encoding, HEIGHT, WIDTH)
            assert len(message.data) == message.height * message.step
            assert name == "fused" or pixels(message).max() < classes


@pytest.mark.alone
def test_at_60_hz_it_keeps_up_with_the_newest_pair(
    start: Callable[..., Process], bench: Bench, tmp_path: Path
) -> None:
    sent_file = tmp_path / "sent.csv"
    start(image_height=480, image_width=640, input_reliability="reliable", input_depth=100)
    bench.subscribe("fused")
    with cameras(
        rate_hz=60.0, frames=300, height=480, width=640, depth=100, sent_file=str(sent_file)
    ) as process:
        assert process.wait() == 0, process.lines
    sent = {int(stamp) for topic, stamp, _ in csv.reader(sent_file.open()) if "rgb" in topic}
    bench.wait_for_counts("pairing", rgb_received=300, thermal_received=300)
    bench.wait_for_counts(waiting=0, in_progress=0)
    pairing, perception = bench.counts("pairing"), bench.counts()
    for camera in ("rgb", "thermal"):
        assert sum(pairing[f"{camera}_{cause}"] for cause in CAUSES) == 300
    assert pairing["paired"] == perception["pairs"]
    assert sum(perception[outcome] for outcome in OUTCOMES) == perception["pairs"]
    assert perception["failed"] == perception["bad_image"] == 0
    bench.wait(
        lambda: len(bench.received["fused"]) == perception["published"], "the published frames"
    )
    stamps = [stamp_of(message) for message in bench.received["fused"]]
    assert stamps == sorted(set(stamps)) and set(stamps) <= sent
    timing = {key: float(value) for key, value in bench.values().items() if "_ms_" in key}
    assert timing["latency_ms_p95"] < 2 * timing["engine_ms_p95"], timing
    assert timing["age_ms_median"] < 2 * timing["engine_ms_p95"], timing


def test_a_frame_that_fails_is_skipped(start: Callable[..., Process], bench: Bench) -> None:
    process = start(thermal_scaling="as_is")  # takes 8-bit images alone
    bench.subscribe("fused")
    grey = {"thermal": image_message(np.full((HEIGHT, WIDTH), 90, np.uint8), "mono8")}
    stamp = bench.connect("fused", make=lambda: grey)
    stamp = bench.send_pair(stamp + SECOND // 10)
    bench.wait_for_counts(failed=1)
    bench.wait_for_stamp(bench.send_pair(stamp + SECOND // 10, **grey))
    process.wait_for_line("frame skipped .*thermal scaling as_is takes 8-bit images")


def test_work_is_done_for_subscribers_only(start: Callable[..., Process], bench: Bench) -> None:
    start()
    deadline = time.monotonic() + DEADLINE_S
    while not bench.counts().get("not_subscribed"):
        assert time.monotonic() < deadline
        bench.send_pair(time.time_ns())
        with bench.changed:
            bench.changed.wait(0.1)
    assert bench.counts()["published"] == 0
    bench.connect("fused", "labels")
    bench.wait(lambda: bench.counts()["published"] > 0, "frames")
    assert "overlay_ms_median" not in bench.values()
    bench.connect("overlay")
    bench.wait(lambda: "overlay_ms_median" in bench.values(), "the overlay")
    message = bench.received["overlay"][-1]
    assert (message.encoding, message.height, message.width) == ("rgb8", HEIGHT, WIDTH)


def test_label_info_is_latched(start: Callable[..., Process], bench: Bench) -> None:
    start().wait_for_line("active")
    bench.subscribe_label_info()
    bench.wait(lambda: bench.received["label_info"], "the class table")
    message, table = bench.received["label_info"][0], load_class_table("street")
    if LabelInfo is None:
        assert ClassTable.from_dict(json.loads(message.data)) == table
    else:
        assert [(c.class_id, c.class_name) for c in message.class_map] == [
            (c.id, c.name) for c in table.classes
        ]


def test_compressed_images(start: Callable[..., Process], bench: Bench) -> None:
    """JPEG and 16-bit PNG give nearly the picture that raw images give."""

    def encoded(image: np.ndarray, suffix: str, kind: str) -> CompressedImage:
        return CompressedImage(format=kind, data=cv2.imencode(suffix, image)[1].tobytes())

    scaling = {"thermal_scaling": "fixed", "thermal_low": 28000.0, "thermal_high": 30000.0}
    process = start(rgb_transport="compressed", thermal_transport="compressed", **scaling)
    messages = {
        "rgb": encoded(rgb_image()[..., ::-1], ".jpg", "rgb8; jpeg compressed bgr8"),
        "thermal": encoded(thermal_image(), ".png", "16UC1; png compressed 16UC1"),
    }
    stamp = bench.connect("fused", make=lambda: messages)
    compressed = pixels(bench.wait_for_stamp(stamp)).astype(int)
    process.send(signal.SIGINT)
    assert process.wait() == 0
    with bench.changed:
        bench.received["fused"].clear()
    start(**scaling)
    raw = pixels(bench.wait_for_stamp(bench.connect("fused"))).astype(int)
    assert np.abs(compressed - raw).mean() < 2
