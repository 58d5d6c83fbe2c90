"""Cameras that are bad, silent, incompatible or out of time, and what the node says of them."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from node_bench import BEST_EFFORT, RELIABLE, Bench
from node_messages import (
    HEIGHT,
    SECOND,
    WIDTH,
    header,
    image_message,
    rgb_message,
    thermal_message,
)
from node_process import DEADLINE_S, Process, cameras
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image


def test_bad_images_are_counted_logged_and_skipped(
    start: Callable[..., Process], bench: Bench
) -> None:
    process = start(fallback_after_s=0.0)
    stamp = bench.connect("fused")
    short, unknown, empty = rgb_message(0), rgb_message(0), Image(encoding="mono16")
    short.data = short.data[:100]
    unknown.encoding = "rgb565"
    for number, bad in enumerate(({"rgb": short}, {"rgb": unknown}, {"thermal": empty}), 1):
        stamp = bench.send_pair(stamp + SECOND // 10, **bad)
        bench.wait_for_counts(bad_image=number)
    bench.wait_for_counts("rgb camera", bad=2)
    assert "bad images in 10 s: got encoding" in bench.status["rgb camera"].message
    bench.publishers["/rgb/image"].publish(serialize_message(rgb_message(0))[:1000])  # cut off
    bench.wait_for_counts("rgb camera", bad=3)
    assert "bad images in 10 s: got 1000 bytes" in bench.status["rgb camera"].message
    stamp = bench.send_pair(stamp + SECOND // 10)
    bench.wait_for_stamp(stamp)
    bench.wait_for_counts("thermal camera", bad=1)
    assert bench.counts()["failed"] == 0
    process.wait_for_line(r"rgb image on /rgb/image skipped .*got 100 bytes .*expected 61440")
    process.wait_for_line(r"thermal image on /thermal/image skipped .*got an image of 0x0")


def test_images_of_a_new_size_are_perceived_while_its_engine_is_built(
    start: Callable[..., Process], bench: Bench
) -> None:
    process = start(image_height=HEIGHT, image_width=WIDTH, backend="torch")  # is soon ready
    stamp = bench.connect("fused", "labels")
    rows, columns = HEIGHT + 8, WIDTH + 24
    rgb, thermal = np.full((rows, columns, 3), 90, np.uint8), np.full((60, 90), 29500, np.uint16)
    stamp += SECOND // 10
    bench.publish("rgb", image_message(rgb, "rgb8", stamp))
    bench.publish("thermal", image_message(thermal, "mono16", stamp))
    for name in ("fused", "labels"):
        message = bench.wait_for_stamp(stamp, name)
        assert (message.height, message.width) == (rows, columns)
    process.wait_for_line(f"images are {columns}x{rows} now: .* at {WIDTH}x{HEIGHT} and resized")
    process.wait_for_line(f"engine ready for {columns}x{rows}")


@pytest.mark.alone
def test_killed_camera_is_named_and_comes_back(
    start: Callable[..., Process], bench: Bench, shared_memory: None
) -> None:
    process = start(stale_timeout_s=1.0)
    bench.subscribe("fused")
    with cameras(rate_hz=20.0) as camera:
        bench.wait(lambda: bench.received["fused"], "a fused frame")
        camera.kill()
    for name in ("rgb", "thermal"):
        process.wait_for_line(
            rf"MAFS_E_CAMERA_SILENT: no {name} message on /{name}/image for \d+ s"
        )
    bench.wait(lambda: bench.status["thermal camera"].level == b"\x02", "an ERROR status")
    assert bench.values("thermal camera")["fault"] == "MAFS_E_CAMERA_SILENT"
    assert "MAFS_E_CAMERA_SILENT" in bench.values("faults")
    frames, lines = len(bench.received["fused"]), len(process.lines)
    with cameras(rate_hz=20.0):
        bench.wait(lambda: len(bench.received["fused"]) > frames, "fused frames again")
        process.wait_for_line("thermal messages on /thermal/image come again", lines)


def test_time_may_jump_back(start: Callable[..., Process], bench: Bench) -> None:
    """A bag that loops, with its clock."""
    start(use_sim_time=True)
    clock = bench.node.create_publisher(Clock, "/clock", RELIABLE)

    def play(second: float) -> None:
        message = Clock(clock=header(round(second * SECOND), "").stamp)
        clock.publish(message)
        bench.wait_for_stamp(bench.send_pair(round(second * SECOND)))

    bench.connect("fused")
    with bench.changed:
        bench.received["fused"].clear()
    for _ in range(2):
        for second in (1000.0, 1000.1, 1000.2, 1030.0):
            play(second)
        with bench.changed:
            bench.received["fused"].clear()
    bench.wait_for_counts("pairing", time_resets=2)  # from this test's clock, and the loop


def test_cameras_that_never_pair_are_explained(
    start: Callable[..., Process], bench: Bench
) -> None:
    process = start(stale_timeout_s=1.0)
    bench.connect("fused")
    deadline = time.monotonic() + DEADLINE_S
    while "no pair" not in bench.status["pairing"].message:
        assert time.monotonic() < deadline
        bench.publish("rgb", rgb_message(time.time_ns()))
        bench.publish("thermal", thermal_message(time.time_ns() - 90 * SECOND))
        with bench.changed:
            bench.changed.wait(0.1)
    process.wait_for_line(r"no pair for \d+ s: the newest thermal stamp is -(89|90)\.\d+ s from")


def test_incompatible_qos_names_both_sides(ros_domain: int, start: Callable[..., Process]) -> None:
    process = start(input_reliability="reliable")
    bench = Bench(camera_qos=BEST_EFFORT)
    try:
        bench.send_pair(time.time_ns())
        for camera in ("rgb", "thermal"):
            process.wait_for_line(
                rf"incompatible QoS on /{camera}/image: .* offers best_effort, this node requests "
                "reliable: .*set input_reliability to auto or best_effort"
            )
    finally:
        bench.close()


def test_best_effort_cameras_are_taken_by_default(
    ros_domain: int, start: Callable[..., Process]
) -> None:
    process = start()
    bench = Bench(camera_qos=BEST_EFFORT)
    try:
        bench.connect("fused")
        for camera in ("rgb", "thermal"):
            process.wait_for_line(f"/{camera}/image is offered with best_effort alone")
    finally:
        bench.close()
