"""The thread that turns pairs into images and publishes them."""

import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.clock import Clock

from mafs_ros.base.errors import one_line
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.images.messages.encode import serialised_image
from mafs_ros.images.messages.pixels import ImageError
from mafs_ros.node.camera_health import CameraHealth
from mafs_ros.node.depth import DepthInput
from mafs_ros.node.health import FrameHealth
from mafs_ros.node.registration_watch import RegistrationWatch
from mafs_ros.node.state import Arrival, Session, seconds
from mafs_ros.node.warnings import Warnings
from mafs_ros.perception.alone import perceive
from mafs_ros.perception.dead_images import BLACK, COVERED
from mafs_ros.perception.overlay import overlay
from mafs_ros.perception.pairing.fallback import PAIR, RGB, THERMAL
from mafs_ros.perception.pairing.mailbox import Mailbox
from mafs_ros.perception.pairing.policy import Pairing
from mafs_ros.perception.perception import Perceived

# Names of our threads.
STARTER, WORKER = "mafs start", "mafs worker"


class Worker(threading.Thread):
    """Takes pairs from the mailbox until it is closed; perceives and publishes them.

    Nothing that goes wrong with one frame ends it: that frame is logged, counted and skipped.
    """

    def __init__(
        self,
        session: Session,
        mailbox: Mailbox,
        pairing: Pairing,
        rgb: CameraHealth,
        thermal: CameraHealth,
        warnings: Warnings,
        logger: Any,
        clock: Clock,
        registration_watch: RegistrationWatch,
        depth: DepthInput | None = None,
    ) -> None:
        super().__init__(name=WORKER)
        self.frames = FrameHealth()
        self._session = session
        self._mailbox, self._pairing = mailbox, pairing
        self._rgb, self._thermal = rgb, thermal
        self._warnings, self._logger, self._clock = warnings, logger, clock
        self._registration_watch = registration_watch
        self._depth = depth

    def run(self) -> None:
        while (pair := self._mailbox.take()) is not None:
            try:
                self._process(*pair)
            except Exception as error:
                self.frames.fail(time.monotonic(), one_line(error))
                self._warnings.warn(
                    "frame", f"frame skipped ({self.frames.failed} so far): {one_line(error)}"
                )
                self._logger.debug(traceback.format_exc())

    def _process(self, rgb: Arrival | None, thermal: Arrival | None) -> None:
        """Make a frame of a pair, or of one image where the other camera is dead."""
        wanted = {
            name: publisher
            for name, publisher in self._session.outputs.items()
            if publisher.get_subscription_count() > 0
        }
        self.frames.subscribed = bool(wanted)
        if not wanted:
            self.frames.not_subscribed += 1
            return
        mode = mode_of(rgb, thermal)
        if mode == PAIR and self._session.perception.registration is None:
            self.frames.not_registered += 1
            return
        living = rgb or thermal
        assert living is not None  # noqa: S101 (mode_of)
        complete_at = max(arrival.at for arrival in (rgb, thermal) if arrival is not None)
        watch = Stopwatch()
        watch.steps_ms["waiting"] = 1000 * (time.monotonic() - complete_at)
        rgb_image = self._image(self._rgb, rgb, rgb_from_message)
        thermal_image = self._image(self._thermal, thermal, thermal_from_message)
        if (rgb is not None and rgb_image is None) or (
            thermal is not None and thermal_image is None
        ):
            self.frames.bad_image += 1
            return
        depth = None
        if rgb is not None and thermal is not None and self._depth:
            depth = self._depth.nearest(rgb, self._pairing.pair_by)
        watch.lap("conversion")
        perceived = perceive(
            self._session.perception,
            rgb_image,
            thermal_image,
            self._taken(thermal),
            depth,
            remember=thermal is None or thermal.fault not in (BLACK, COVERED),
        )
        watch.restart(perceived.timings_ms)
        for remark in perceived.remarks:
            self._logger.warning(remark)
            self.frames.remarks.append(remark)
        with self._session.mode.frame_of(mode):
            latency_ms, age_ms = self._publish(wanted, perceived, living, complete_at, watch)
        self.frames.publish(time.monotonic(), latency_ms, age_ms, watch.steps_ms, mode)
        if rgb_image is not None and thermal is not None and not (living.fault or thermal.fault):
            self._registration_watch.offer(rgb_image, perceived.thermal)

    def _publish(
        self,
        wanted: dict[str, Any],
        perceived: Perceived,
        living: Arrival,
        complete_at: float,
        watch: "Stopwatch",
    ) -> tuple[float, float]:
        """Publish what is wanted; latency and age in ms, of the frame without the overlay."""
        header = living.header
        if "fused" in wanted:
            wanted["fused"].publish(serialised_image(perceived.fused, "rgb8", header))
        if "labels" in wanted:
            wanted["labels"].publish(serialised_image(perceived.labels, "mono8", header))
        watch.lap("publishing")
        latency_ms = 1000 * (time.monotonic() - complete_at)
        age_ms = 1000 * (self._clock.now().nanoseconds / 1e9 - seconds(living))
        if "overlay" in wanted:
            shown = overlay(
                perceived.fused, perceived.labels, self._session.table, self._session.overlay_alpha
            )
            wanted["overlay"].publish(serialised_image(shown, "rgb8", header))
            watch.lap("overlay")
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
