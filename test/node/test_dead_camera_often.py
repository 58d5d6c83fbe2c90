"""Every way in which a camera dies, many times in a row at random phases, as processes over DDS.

MAFS_DEAD_CAMERAS=20 python -m pytest -s test/node/test_dead_camera_often.py
"""

from __future__ import annotations

import os
import signal
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import pytest
from camera_faults import PAIR, RGB, THERMAL, Consumer, Faults
from node_bench import Bench
from node_messages import HEIGHT, WIDTH
from node_process import Process, cameras

TIMES = int(os.environ.get("MAFS_DEAD_CAMERAS", "0"))
RATE_HZ = 10.0
FALLBACK_S, BACK_S = 0.5, 1.0
FRAME_S = 1 / RATE_HZ + 0.1  # until the next image comes, and until it is perceived
LIVE = ("frozen", "black", "covered", "silent")


class Driver:
    """One camera as a process of its own."""

    def __init__(self, camera: str, bench: Bench, stack: ExitStack) -> None:
        self._camera, self._stack = camera, stack
        self._other = THERMAL if camera == RGB else RGB
        self.faults = Faults(bench, f"{camera}_driver")
        self.start()

    def start(self) -> None:
        self.process = self._stack.enter_context(
            cameras(
                rate_hz=RATE_HZ,
                cycle=8,
                wait_for_subscribers=2,
                node_name=f"{self._camera}_driver",
                **{f"{self._other}_topic": ""},
            )
        )


@pytest.mark.alone
@pytest.mark.timeout(3600)
@pytest.mark.skipif(
    not TIMES, reason="takes ten minutes: MAFS_DEAD_CAMERAS=20 says how often each camera dies"
)
def test_each_camera_dies_often(
    start: Callable[..., Process], bench: Bench, shared_memory: None
) -> None:
    rng, took = np.random.default_rng(17), defaultdict(list)
    start(image_height=HEIGHT, image_width=WIDTH, slop_s=0.06)
    consumer = Consumer(bench)
    with ExitStack() as stack:
        drivers = {camera: Driver(camera, bench, stack) for camera in (RGB, THERMAL)}
        bench.wait(lambda: consumer.frames, "a frame", timeout_s=600.0)
        for fault in ("killed", "stopped", *LIVE):
            for camera in (RGB, THERMAL) * TIMES:
                consumer.wait_for_images(camera, 6)
                threading.Event().wait(rng.uniform(0.0, 2 / RATE_HZ))  # any phase
                died, back = die_and_come_back(drivers[camera], camera, fault, consumer)
                took[f"{fault} {camera}"].append((died, back))
    bench.wait_for_counts(waiting=0, in_progress=0)
    counts = consumer.check_frames()
    print(f"\n{counts}, {len(consumer.modes)} modes told, {consumer.unknown} frames unknown")
    for name, times in took.items():
        died, back = (f"{np.median(s):.3f} (largest {s.max():.3f}) s" for s in np.array(times).T)
        print(f"{name:16} {len(times)}: alone after {died}, pairs after {back}")
    consumer.check_counters(counts)
    assert consumer.unknown <= TIMES
    for name, times in took.items():
        died_s, back_s = np.array(times).T
        assert died_s.max() <= FALLBACK_S + FRAME_S, name
        assert back_s.max() <= BACK_S, name


def die_and_come_back(
    driver: Driver, camera: str, fault: str, consumer: Consumer
) -> tuple[float, float]:
    """Seconds until frames of the other camera come, and until pairs come again."""
    living = THERMAL if camera == RGB else RGB
    if fault in LIVE:
        died = driver.faults.set(camera, fault)
        alone = consumer.wait_for(living, died, fault)
        back = driver.faults.set(camera, "none")
        return alone - died, consumer.wait_for(PAIR, alone, fault) - back
    died = consumer.now()
    driver.process.send(signal.SIGKILL if fault == "killed" else signal.SIGSTOP)
    alone = consumer.wait_for(living, died, fault)
    back = consumer.now()
    if fault == "killed":
        driver.process.kill()
        driver.start()
        back = consumer.wait_for_images(camera, 1)
    else:
        driver.process.send(signal.SIGCONT)
    return alone - died, consumer.wait_for(PAIR, alone, fault) - back
