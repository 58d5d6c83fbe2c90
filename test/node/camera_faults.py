"""Cameras that die and come back, and a consumer that knows of every frame what it shows."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from node_bench import LATCHED, OUTCOMES, RELIABLE, TOPICS, Bench
from node_messages import stamp_of
from node_process import DEADLINE_S
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import String

PAIR, RGB, THERMAL = "pair", "rgb", "thermal"


@dataclass
class Frame:
    """A fused image that came. arrived: monotonic seconds; sent: ns of the publisher's clock."""

    arrived: float
    sent: int
    stamp: int
    frame_id: str
    pixels: int  # hash of its bytes

    @property
    def taken(self) -> float:
        """When the camera took its image, monotonic seconds."""
        return self.stamp / 1e9 - (time.time() - time.monotonic())


class Consumer:
    """Takes fused images, modes and the images of both cameras, with the time of publication."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.frames: list[Frame] = []
        self.modes: list[tuple[int, str]] = []  # sent, mode
        self.rgb: dict[int, int] = {}  # stamp -> hash of the pixels
        self.images = {RGB: 0, THERMAL: 0}
        self.unknown = 0  # frames of an RGB image that did not come here
        node = bench.node
        node.create_subscription(Image, TOPICS["fused"], self._on_fused, RELIABLE)
        node.create_subscription(String, "/mafs/mode", self._on_mode, LATCHED)
        node.create_subscription(Image, "/rgb/image", self._on_rgb, RELIABLE)
        node.create_subscription(Image, "/thermal/image", self._on_thermal, RELIABLE)

    def _on_fused(self, message: Image, info: Any) -> None:
        frame = Frame(
            time.monotonic(),
            info["source_timestamp"],
            stamp_of(message),
            message.header.frame_id,
            hash(bytes(message.data)),
        )
        with self.bench.changed:
            self.frames.append(frame)
            self.bench.changed.notify_all()

    def _on_mode(self, message: String, info: Any) -> None:
        with self.bench.changed:
            self.modes.append((info["source_timestamp"], message.data))
            self.bench.changed.notify_all()

    def _on_rgb(self, message: Image) -> None:
        with self.bench.changed:
            self.rgb[stamp_of(message)] = hash(bytes(message.data))
            self.images[RGB] += 1
            self.bench.changed.notify_all()

    def _on_thermal(self, message: Image) -> None:
        with self.bench.changed:
            self.images[THERMAL] += 1
            self.bench.changed.notify_all()

    def shown(self, frame: Frame) -> str:
        """Of which images a frame is made, by what it shows; '' while that is not known yet."""
        if frame.frame_id == "thermal_camera":
            return THERMAL
        assert frame.frame_id == "rgb_camera"
        if frame.stamp not in self.rgb:
            return ""
        return RGB if frame.pixels == self.rgb[frame.stamp] else PAIR

    def claimed(self, frame: Frame) -> str:
        """The mode that was in force as the frame was published."""
        return [mode for sent, mode in self.modes if sent <= frame.sent][-1]

    def wait_for(self, mode: str, after: float, what: str) -> Frame:
        """The first frame after a moment, in monotonic seconds, that shows this."""

        def found() -> list[Frame]:
            newest = [frame for frame in self.frames[-100:] if frame.arrived > after]
            return [frame for frame in newest if self.shown(frame) == mode]

        self.bench.wait(found, f"no frame of {mode}: {what}")
        return found()[0]

    @staticmethod
    def now() -> float:
        """The clock of the frames' arrival."""
        return time.monotonic()

    def wait_for_images(self, camera: str, count: int) -> float:
        """The moment at which so many more images of a camera have come, monotonic seconds."""
        target = self.images[camera] + count
        self.bench.wait(lambda: self.images[camera] >= target, f"images of {camera}")
        return time.monotonic()

    def check_frames(self) -> dict[str, int]:
        """Every frame claims what it shows and is newer than the one before; counts by mode."""
        counts = {PAIR: 0, RGB: 0, THERMAL: 0}
        newest = 0
        for frame in self.frames:
            claimed = self.claimed(frame)
            shown = self.shown(frame)
            if not shown:  # the camera was killed while it sent that image
                # Those before the first one heard were sent before this subscription was matched.
                self.unknown += frame.stamp >= min(self.rgb, default=0)
                shown = claimed
            assert (claimed == THERMAL) is (frame.frame_id == "thermal_camera"), frame
            assert claimed == shown, f"{frame} is {shown}, claimed is {claimed}"
            assert frame.stamp > newest, f"{frame} after {newest}"
            newest = frame.stamp
            counts[shown] += 1
        return counts

    def check_counters(self, counts: dict[str, int]) -> None:
        """What /diagnostics says adds up, and to the frames that came; nothing runs any more."""
        bench = self.bench
        bench.wait_for_counts("mode", **{f"published_{mode}": n for mode, n in counts.items()})
        perception, pairing, mode = bench.counts(), bench.counts("pairing"), bench.counts("mode")
        assert perception["published"] == sum(counts.values())
        given = perception["pairs"] + perception["rgb_alone"] + perception["thermal_alone"]
        assert given == sum(perception[outcome] for outcome in (*OUTCOMES, "left_out")), perception
        assert perception["failed"] == perception["bad_image"] == 0
        assert pairing["paired"] == perception["pairs"]
        for camera in ("rgb", "thermal"):
            received = bench.counts(f"{camera} camera")["received"]
            assert received == pairing[f"{camera}_received"] + mode[f"{camera}_not_paired"]


class Faults:
    """Sets the faults of simulated cameras. node: the name of their node."""

    def __init__(self, bench: Bench, node: str = "cameras") -> None:
        self._client = bench.node.create_client(SetParameters, f"/{node}/set_parameters")

    def set(self, camera: str, fault: str) -> float:
        """Returns when it was asked for, monotonic seconds."""
        assert self._client.wait_for_service(DEADLINE_S)
        value = Parameter(f"{camera}_fault", value=fault).to_parameter_msg()
        done, asked = threading.Event(), time.monotonic()
        future = self._client.call_async(SetParameters.Request(parameters=[value]))
        future.add_done_callback(lambda _: done.set())
        assert done.wait(DEADLINE_S), "no answer of the cameras"
        result = future.result().results[0]
        assert result.successful, result.reason
        return asked
