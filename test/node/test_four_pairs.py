"""Four pairs of cameras at 640x480: whose turn it is, and what they cost beside one pair.

MAFS_SECONDS=60 .venv/bin/python -m pytest -s test/node/test_four_pairs.py
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from node_bench import RELIABLE, Bench
from node_messages import image_message, stamp_of
from node_process import Process
from sensor_msgs.msg import Image

from mafs_ros.simulation import StreetSimulation

SECONDS = float(os.environ.get("MAFS_SECONDS", "8"))
RATE_HZ = 5.0


class Cameras(Bench):
    """Publishes pairs of a simulated street, one pair of cameras after the other."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names
        self.received.update({name: [] for name in names})
        for name in names:
            for topic in ("fused/image", "segmentation/labels"):
                self.node.create_subscription(
                    Image,
                    f"/mafs/{name}/{topic}",
                    lambda m, name=name: self._hear(name, m),
                    RELIABLE,
                )
        street = StreetSimulation(seed=1, height=480, width=640)
        frames = [street.frame(7.0 * index) for index in range(3)]
        self.images = [
            {"rgb": image_message(f.rgb, "rgb8"), "thermal": image_message(f.thermal, "mono16")}
            for f in frames
        ]

    def _hear(self, name: str, message: Image) -> None:
        if message.encoding == "rgb8":  # the stamp alone: images are large
            self._take(name, stamp_of(message))

    def play(self, seconds: float) -> None:
        """All cameras at their rate, one pair after the other within a period."""
        start, count = time.monotonic(), round(seconds * RATE_HZ * len(self.names))
        for number in range(count):
            due = start + number / (RATE_HZ * len(self.names))
            with self.changed:  # until it is time
                self.changed.wait_for(
                    lambda due=due: time.monotonic() >= due, due - time.monotonic()
                )
            stamp_ns, images = time.time_ns(), self.images[number % len(self.images)]
            for camera, message in images.items():
                message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
                self.publish(f"{self.names[number % len(self.names)]}/{camera}", message)


def rss_mb(process: Process) -> float:
    """Memory of a process with its pages of libraries and files."""
    status = Path(f"/proc/{process.child.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


@pytest.fixture
def drive(start: Callable[..., Process], ros_domain: int) -> Iterator[Callable]:
    """Let pairs of some names run; frames by name and memory in MB."""
    opened = []

    def run(names: list[str]) -> tuple[dict[str, int], float]:
        topics = {
            f"{name}.{camera}_topic": f"/{name}/{camera}/image"
            for name in names
            for camera in ("rgb", "thermal")
        }
        process = start(pairs=names, image_height=480, image_width=640, **topics)
        process.wait_for_line(f"{names[-1]}: active")
        cameras = Cameras(names)
        opened.append(cameras)
        while not all(cameras.received[name] for name in names):
            cameras.play(1.0)
        before = {name: len(cameras.received[name]) for name in names}
        cameras.play(SECONDS)
        frames = {name: len(cameras.received[name]) - before[name] for name in names}
        memory = rss_mb(process)
        process.send(signal.SIGINT)
        assert process.wait() == 0
        return frames, memory

    yield run
    for cameras in opened:
        cameras.close()


@pytest.mark.alone
@pytest.mark.timeout(600 + 10 * SECONDS)
def test_every_pair_has_its_turn_and_memory_is_shared(drive: Callable) -> None:
    _, one_mb = drive(["only"])
    frames, four_mb = drive(["a", "b", "c", "d"])
    print(f"\nframes {frames} in {SECONDS:g} s; {four_mb:.0f} MB, one pair {one_mb:.0f} MB")
    assert four_mb <= 1.3 * one_mb
    # One more for whoever the time begins and ends with.
    assert max(frames.values()) <= 1.1 * min(frames.values()) + 2
