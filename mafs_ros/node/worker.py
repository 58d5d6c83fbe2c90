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
from mafs_ros.engine.interface import GpuLostError
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.images.messages.pixels import ImageError
from mafs_ros.node.camera_health import CameraHealth
from mafs_ros.node.camera_pair import CameraPair
from mafs_ros.node.outputs import Wanted
from mafs_ros.node.state import Arrival, seconds
from mafs_ros.perception.alone import perceive
from mafs_ros.perception.dead_images import BLACK, COVERED
from mafs_ros.perception.overlay import overlay
from mafs_ros.perception.pairing.fallback import PAIR, RGB, THERMAL
from mafs_ros.perception.pairing.turns import Turns
from mafs_ros.perception.perception import Perceived

# Names of our threads.
STARTER, WORKER = "mafs start", "mafs worker"


class Worker(threading.Thread):
    """Takes images of the pairs of cameras in turn until closed; perceives and publishes them.

    pairs: active ones, in the order of the mailboxes of `turns`. Nothing that goes wrong with one
    frame ends it: that frame is logged, counted and skipped. It ends where the GPU is lost:
    no frame of this process will succeed any more.
    """

    def __init__(self, pairs: Sequence[CameraPair], turns: Turns, clock: Clock) -> None:
        super().__init__(name=WORKER)
        self._frame_makers = [FrameMaker(pair, clock) for pair in pairs]
        self._turns = turns

    def run(self) -> None:
        while (turn := self._turns.take()) is not None:
            index, (rgb, thermal) = turn
            try:
                self._frame_makers[index].make(rgb, thermal)
            except GpuLostError:
                return


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

    def make(self, rgb: Arrival | None, thermal: Arrival | None) -> None:
        """Perceive and publish a pair, or one image while the other camera is dead.

        Whatever that raises is said, and the frame skipped. Raises GpuLostError, said as well.
        """
        try:
            self._process(rgb, thermal)
        except GpuLostError as error:
            self._frames.fail(time.monotonic(), one_line(error))
            self._warnings.error(Fault.GPU_LOST, one_line(error))
            raise
        except Exception as error:
            self._frames.fail(time.monotonic(), one_line(error))
            self._warnings.warn(
                Fault.FRAME_FAILED,
                f"frame skipped ({self._frames.failed} so far): {one_line(error)}",
            )
            self._warnings.logger.debug(traceback.format_exc())

    def _process(self, rgb: Arrival | None, thermal: Arrival | None) -> None:
        wanted = self._session.outputs.wanted()
        self._frames.subscribed = bool(wanted.names)
        if not wanted.names:
            self._frames.not_subscribed += 1
            return
        mode = mode_of(rgb, thermal)
        if mode == PAIR and self._session.perception.registration is None:
            self._frames.not_registered += 1
            return
        arrivals = [arrival for arrival in (rgb, thermal) if arrival is not None]
        complete_at = max(arrival.at for arrival in arrivals)
        watch = Stopwatch()
        watch.steps_ms["waiting"] = 1000 * (time.monotonic() - complete_at)
        rgb_image = self._image(self._rgb, rgb, rgb_from_message)
        thermal_image = self._image(self._thermal, thermal, thermal_from_message)
        if len(arrivals) > (rgb_image is not None) + (thermal_image is not None):
            self._frames.bad_image += 1
            return
        depth = None
        if self._depth and rgb is not None and mode == PAIR:
            depth = self._depth.nearest(rgb, self._pairing.pair_by)
        watch.lap("conversion")
        perception = self._session.perception
        perceived = perceive(
            perception,
            rgb_image,
            thermal_image,
            self._taken(thermal),
            depth,
            wanted.confidence(perception.confidence_threshold),
            remember=thermal is None or thermal.fault not in (BLACK, COVERED),
        )
        watch.restart(perceived.timings_ms)
        for remark in perceived.remarks:
            self._warnings.warn_once(remark.fault, remark)
            self._frames.remarks.append(remark)
        with self._session.outputs.mode.frame_of(mode):
            latency_ms, age_ms = self._publish(wanted, perceived, arrivals[0], complete_at, watch)
        self._frames.publish(time.monotonic(), latency_ms, age_ms, watch.steps_ms, mode)
        if rgb_image is not None and mode == PAIR and not any(a.fault for a in arrivals):
            self._registration_watch.offer(rgb_image, perceived.thermal)

    def _publish(
        self,
        wanted: Wanted,
        perceived: Perceived,
        living: Arrival,
        complete_at: float,
        watch: "Stopwatch",
    ) -> tuple[float, float]:
        """Publish what is wanted, with the header of the living camera's image.

        Returns latency and age in ms, without overlay and compression.
        """
        outputs, header = self._session.outputs, living.header
        images = {"fused": perceived.fused, "labels": perceived.labels}
        if perceived.confidence is not None:
            images["confidence"] = perceived.confidence
        if wanted.labels:
            outputs.say_threshold(perceived.threshold)
        for name, pixels in images.items():
            outputs.publish(name, pixels, header, wanted)
        outputs.camera_info.publish(header)
        watch.lap("publishing")
        latency_ms = 1000 * (time.monotonic() - complete_at)
        age_ms = 1000 * (self._clock.now().nanoseconds / 1e9 - seconds(living))
        if "overlay" in wanted.names:
            images["overlay"] = overlay(
                perceived.fused, perceived.labels, self._session.table, self._session.overlay_alpha
            )
            outputs.publish("overlay", images["overlay"], header, wanted)
            watch.lap("overlay")
        if wanted.compressed:
            for name, pixels in images.items():
                outputs.publish_compressed(name, pixels, header, wanted)
            watch.lap("compression")
        return latency_ms, age_ms

    def _taken(self, thermal: Arrival | None) -> float:
        """When a thermal image was taken, as far as the node knows."""
        if thermal is None:
            return 0.0
        return thermal.at if self._pairing.pair_by == "arrival" else seconds(thermal)

    def _image(
        self, camera: CameraHealth, arrival: Arrival | None, convert: Callable[[Any], np.ndarray]
    ) -> np.ndarray | None:
        """The image of a message; None, logged and counted, where it holds none."""
        if arrival is None:
            return None
        try:
            return convert(arrival.message)
        except ImageError as error:
            self._warnings.refuse(camera, one_line(error))
            return None


def mode_of(rgb: Arrival | None, thermal: Arrival | None) -> str:
    """Of which images a frame is made."""
    if rgb is not None and thermal is not None:
        return PAIR
    return RGB if thermal is None else THERMAL


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
