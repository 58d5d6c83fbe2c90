"""A camera that dies while the node runs, and comes back: simulated cameras, real processes."""

from __future__ import annotations

from collections.abc import Callable

from camera_faults import PAIR, RGB, THERMAL, Consumer, Faults
from node_bench import Bench
from node_messages import HEIGHT, WIDTH
from node_process import Process, cameras

FALLBACK_S = 0.5  # the default


def test_node_goes_on_with_one_camera(start: Callable[..., Process], bench: Bench) -> None:
    process = start(image_height=HEIGHT, image_width=WIDTH, fallback_after_s=FALLBACK_S)
    consumer, faults = Consumer(bench), Faults(bench)
    with cameras(rate_hz=10.0, cycle=8):
        consumer.wait_for(PAIR, 0.0, "at the start")
        for camera, fault in (
            (THERMAL, "frozen"),
            (RGB, "black"),
            (THERMAL, "covered"),
            (RGB, "silent"),
        ):
            consumer.wait_for_images(THERMAL, 5)  # of both the period is known
            living, lines = (THERMAL, RGB)[camera == THERMAL], len(process.lines)
            asked = faults.set(camera, fault)
            alone = consumer.wait_for(living, asked, f"{camera} {fault}")
            line = process.wait_for_line(f"mode {living}: the {camera} camera", lines)
            assert f"has been {fault} for 0." in line and "MAFS_E_CAMERA_DEAD" in line, line
            bench.wait(lambda mode=living: bench.values("mode").get("mode") == mode, "the status")
            assert bench.status["mode"].level == b"\x01"
            assert bench.values("mode")[f"{camera}_fault"] == fault
            faults.set(camera, "none")
            consumer.wait_for(PAIR, alone.arrived, f"{camera} after {fault}")
            process.wait_for_line(f"INFO.*mode pair: the {camera} camera .* is back", lines)
        faults.set(THERMAL, "silent")
        consumer.wait_for(RGB, consumer.now(), "thermal silent")
        assert bench.set_parameters(fallback_after_s=0.0)[0].successful
        process.wait_for_line("mode pair: fallback_after_s is 0")
    bench.wait_for_counts(waiting=0, in_progress=0)
    consumer.check_counters(consumer.check_frames())
    assert not consumer.unknown
