"""A camera that dies while the node runs, and comes back: simulated cameras, real processes."""

from __future__ import annotations

import time
from collections.abc import Callable

from camera_faults import PAIR, RGB, THERMAL, Consumer, set_fault
from node_bench import Bench
from node_messages import HEIGHT, WIDTH
from node_process import Process, cameras

FALLBACK_S = 0.5


def test_node_goes_on_with_one_camera(start: Callable[..., Process], bench: Bench) -> None:
    process = start(image_height=HEIGHT, image_width=WIDTH)
    consumer = Consumer(bench)
    with cameras(rate_hz=10.0, cycle=20) as source:
        consumer.wait_for(PAIR, 0.0, "at the start")
        bench.wait(lambda: consumer.modes[-1][1] == PAIR, "the mode")
        # enough images for the period of both to be known
        bench.wait(lambda: len(consumer.frames) > 8, "frames")
        for camera, fault in (
            (THERMAL, "frozen"),
            (RGB, "black"),
            (THERMAL, "covered"),
            (RGB, "silent"),
        ):
            living, lines = (THERMAL, RGB)[camera == THERMAL], len(process.lines)
            set_fault(bench, camera, fault)
            alone = consumer.wait_for(living, time.monotonic(), f"{camera} {fault}")
            line = process.wait_for_line(f"mode {living}: the {camera} camera", lines)
            assert f"has been {fault} for 0." in line and "WARN" in line, line
            bench.wait(
                lambda living=living: bench.values("mode").get("mode") == living, "diagnostics"
            )
            assert bench.status["mode"].level == b"\x01"
            assert bench.values("mode")[f"{camera}_fault"] == fault
            set_fault(bench, camera, "none")
            consumer.wait_for(PAIR, alone, f"{camera} after {fault}")
            process.wait_for_line(f"WARN.*mode pair: the {camera} camera .* is back", lines)
            frames = len(consumer.frames)
            bench.wait(lambda n=frames: len(consumer.frames) > n + 4, "pairs")
        set_fault(bench, THERMAL, "silent")
        assert bench.set_parameters(fallback_after_s=0.0)[0].successful
        process.wait_for_line("mode pair: fallback_after_s is 0")
        source.kill()
    counts = consumer.check_frames()
    assert min(counts.values()) >= 2
    consumer.check_counters(counts)
