"""Cameras that die and come back, and a consumer that knows of every frame what it shows."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from node_bench import LATCHED, RELIABLE, TOPICS, Bench
from node_messages import SECOND, stamp_of
from node_process import DEADLINE_S, Process, cameras
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import String

PAIR, RGB, THERMAL = "pair", "rgb", "thermal"
FRAME_IDS = {"rgb": "rgb_camera", "thermal": "thermal_camera"}


@dataclass
class Frame:
    """A fused image that came. arrived: monotonic seconds; sent: of the publisher's clock, ns."""

    arrived: float
    sent: int
    message: Image


class Consumer:
    """Takes fused images, modes and the RGB images, each with the time it was published."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.frames: list[Frame] = []
        self.modes: list[tuple[int, str, float]] = []  # sent, mode, arrived
        self.rgb: dict[int, bytes] = {}
        self.newest = {"rgb": 0.0, "thermal": 0.0}  # arrival of a camera's newest image
        node = bench.node
        node.create_subscription(Image, TOPICS["fused"], self._on_fused, RELIABLE)
        node.create_subscription(String, "/mafs/mode", self._on_mode, LATCHED)
        node.create_subscription(Image, "/rgb/image", self._on_rgb, RELIABLE)
        node.create_subscription(Image, "/thermal/image", self._on_thermal, RELIABLE)

    def _on_fused(self, message: Image, info: Any) -> None:
        with self.bench.changed:
            self.frames.append(Frame(time.monotonic(), info["source_timestamp"], message))
            self.bench.changed.notify_all()

    def _on_mode(self, message: String, info: Any) -> None:
        with self.bench.changed:
            self.modes.append((info["source_timestamp"], message.data, time.monotonic()))
            self.bench.changed.notify_all()

    def _on_rgb(self, message: Image) -> None:
        with self.bench.changed:
            self.rgb[stamp_of(message)] = bytes(message.data)
            self.newest["rgb"] = time.monotonic()
            self.bench.changed.notify_all()

    def _on_thermal(self, message: Image) -> None:
        with self.bench.changed:
            self.newest["thermal"] = time.monotonic()
            self.bench.changed.notify_all()

    def shown(self, frame: Frame) -> str:
        """Of which images a frame is made, by what it shows."""
        header = frame.message.header
        if header.frame_id == FRAME_IDS["thermal"]:
            return THERMAL
        assert header.frame_id == FRAME_IDS["rgb"]
        return RGB if bytes(frame.message.data) == self.rgb[stamp_of(frame.message)] else PAIR

    def claimed(self, frame: Frame) -> str:
        """The mode that was in force as the frame was published."""
        return [mode for sent, mode, _ in self.modes if sent <= frame.sent][-1]

    def wait_for(self, mode: str, after: float, what: str) -> float:
        """Arrival of the first frame after a moment that shows this, monotonic seconds."""

        def found() -> list[float]:
            newest = [frame for frame in self.frames if frame.arrived > after]
            return [frame.arrived for frame in newest if self._is(frame, mode)]

        self.bench.wait(found, f"no frame of {mode}: {what}", DEADLINE_S)
        return found()[0]

    def _is(self, frame: Frame, mode: str) -> bool:
        known = frame.message.header.frame_id == FRAME_IDS["thermal"] or (
            stamp_of(frame.message) in self.rgb
        )
        return known and self.shown(frame) == mode

    def check_frames(self) -> dict[str, int]:
        """Every frame claims what it shows and is newer than the one before; counts by mode."""
        counts = {PAIR: 0, RGB: 0, THERMAL: 0}
        newest = 0
        for frame in self.frames:
            shown = self.shown(frame)
            assert self.claimed(frame) == shown, f"{stamp_of(frame.message)} is {shown}"
            assert stamp_of(frame.message) > newest, (
                f"{(newest - stamp_of(frame.message)) / SECOND} s"
            )
            newest = stamp_of(frame.message)
            counts[shown] += 1
        return counts

    def check_counters(self, counts: dict[str, int]) -> None:
        """What /diagnostics says adds up, and to the frames that came; nothing runs any more."""
        bench = self.bench
        bench.wait_for_counts("mode", **{f"published_{mode}": n for mode, n in counts.items()})
        perception, pairing, mode = bench.counts(), bench.counts("pairing"), bench.counts("mode")
        assert perception["published"] == sum(counts.values())
        given = perception["pairs"] + perception["rgb_alone"] + perception["thermal_alone"]
        outcomes = (
            "waiting",
            "in_progress",
            "published",
            "failed",
            "bad_image",
            "not_subscribed",
            "not_registered",
            "replaced_while_busy",
            "left_out",
            "discarded",
        )
        assert given == sum(perception[outcome] for outcome in outcomes), perception
        assert perception["failed"] == perception["bad_image"] == 0
        assert pairing["paired"] == perception["pairs"]
        for camera in ("rgb", "thermal"):
            received = bench.counts(f"{camera} camera")["received"]
            assert received == pairing[f"{camera}_received"] + mode[f"{camera}_not_paired"]


@contextlib.contextmanager
def one_camera(name: str, **parameters: Any) -> Iterator[Process]:
    """One of the two simulated cameras as a process of its own; ROS calls it NAME_driver."""
    other = "thermal" if name == "rgb" else "rgb"
    with cameras(**{f"{other}_topic": ""}, **parameters) as process:
        yield process


def set_fault(bench: Bench, camera: str, fault: str) -> None:
    """Set the fault of a simulated camera (both of one process)."""
    value = Parameter(f"{camera}_fault", value=fault).to_parameter_msg()
    request = SetParameters.Request(parameters=[value])
    results = bench.call(SetParameters, "/cameras/set_parameters", request).results
    assert results[0].successful, results[0].reason
