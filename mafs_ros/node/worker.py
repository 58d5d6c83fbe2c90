"""The thread that turns pairs into images and publishes them."""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rclpy.clock import Clock

from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.images.messages.pixels import ImageError
from mafs_ros.node.camera_health import CameraHealth
from mafs_ros.node.camera_pair import CameraPair
from mafs_ros.node.state import Arrival, seconds
from mafs_ros.perception.overlay import overlay
from mafs_ros.perception.pairing.turns import Turns

# Names of our threads.
STARTER, WORKER = "mafs start", "mafs worker"


class Worker(threading.Thread):
    """Takes images of the pairs of cameras in turn until closed; perceives and publishes them.

    pairs: active ones, in the order of the mailboxes of `turns`. Nothing that goes wrong with one
    frame ends it: that frame is logged, counted and skipped.
    """

    def __init__(self, pairs: Sequence[CameraPair], turns: Turns, clock: Clock) -> None:
        super().__init__(name=WORKER)
        self._frame_makers = [FrameMaker(pair, clock) for pair in pairs]
        self._turns = turns

    def run(self) -> None:
        while (turn := self._turns.take()) is not None:
            index, (rgb, thermal) = turn
            self._frame_makers[index].make(rgb, thermal)


class FrameMaker:
    """Makes frames of the images of one active pair of cameras, and publishes them."""

    def __init__(self, pair: CameraPair, clock: Clock) -> None:
        session, activity = pair.session, pair.activity
        assert session is not None and activity is not None  # noqa: S101 (active)
        self._session = session
        self._frames, self._pairing = activity.frames, activity.pairing
        self._rgb, self._thermal, self._depth = activity.rgb, activity.thermal, activity.depth
        self._registration_watch = activity.registration_watch
        self._warnings, self._clock = pair.warnings, clock

    def make(self, rgb: Arrival, thermal: Arrival) -> None:
        """Perceive and publish; whatever that raises is said, and the frame skipped."""
        try:
            self._process(rgb, thermal)
        except Exception as error:
            self._frames.fail(time.monotonic(), one_line(error))
            self._warnings.warn(
                Fault.FRAME_FAILED,
                f"frame skipped ({self._frames.failed} so far): {one_line(error)}",
            )
            self._warnings.debug(traceback.format_exc())

    def _process(self, rgb: Arrival, thermal: Arrival) -> None:
        wanted = self._session.outputs.wanted()
        self._frames.subscribed = bool(wanted.names)
        if not wanted.names:
            self._frames.not_subscribed += 1
            return
        if self._session.perception.registration is None:
            self._frames.not_registered += 1
            return
        watch = Stopwatch()
        watch.steps_ms["waiting"] = 1000 * (time.monotonic() - max(rgb.at, thermal.at))
        rgb_image = self._image(self._rgb, rgb, rgb_from_message)
        thermal_image = self._image(self._thermal, thermal, thermal_from_message)
        if rgb_image is None or thermal_image is None:
            self._frames.bad_image += 1
            return
        depth = self._depth.nearest(rgb, self._pairing.pair_by) if self._depth else None
        watch.lap("conversion")
        taken = thermal.at if self._pairing.pair_by == "arrival" else seconds(thermal)
        perception = self._session.perception
        sure = wanted.confidence(perception.confidence_threshold)
        perceived = perception(rgb_image, thermal_image, taken, depth, sure)
        watch.restart(perceived.timings_ms)
        for remark in perceived.remarks:
            self._warnings.warn_once(remark.fault, remark)
            self._frames.remarks.append(remark)
        images = {"fused": perceived.fused, "labels": perceived.labels}
        if perceived.confidence is not None:
            images["confidence"] = perceived.confidence
        outputs = self._session.outputs
        if wanted.labels:
            outputs.say_threshold(perceived.threshold)
        for name, pixels in images.items():
            outputs.publish(name, pixels, rgb.header, wanted)
        outputs.camera_info.publish(rgb.header)
        watch.lap("publishing")
        latency_ms = 1000 * (time.monotonic() - max(rgb.at, thermal.at))
        age_ms = 1000 * (self._clock.now().nanoseconds / 1e9 - seconds(rgb))
        if "overlay" in wanted.names:
            images["overlay"] = overlay(
                perceived.fused, perceived.labels, self._session.table, self._session.overlay_alpha
            )
            outputs.publish("overlay", images["overlay"], rgb.header, wanted)
            watch.lap("overlay")
        if wanted.compressed:
            for name, pixels in images.items():
                outputs.publish_compressed(name, pixels, rgb.header, wanted)
            watch.lap("compression")
        self._frames.publish(time.monotonic(), latency_ms, age_ms, watch.steps_ms)
        self._registration_watch.offer(rgb_image, perceived.thermal)

    def _image(
        self, camera: CameraHealth, arrival: Arrival, convert: Callable[[Any], np.ndarray]
    ) -> np.ndarray | None:
        """The image of a message; None, logged and counted, where it holds none."""
        try:
            return convert(arrival.message)
        except ImageError as error:
            self._warnings.refuse(camera, one_line(error))
            return None


class Stopwatch:
    """Milliseconds of one step after the other."""

    def __init__(self) -> None:
        self.steps_ms: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """The step `name` took the time since the step before."""
        now = time.monotonic()
        self.steps_ms[name] = 1000 * (now - self._last)
        self._last = now

    def restart(self, steps_ms: dict[str, float]) -> None:
        """The time since the step before is accounted for by these."""
        self.steps_ms.update(steps_ms)
        self._last = time.monotonic()
