"""One dead camera is a mode of the node: from the images that arrive to what the worker gets."""

import time
from typing import Any

from mafs_ros.base.faults import Fault
from mafs_ros.node.camera_health import CameraHealth
from mafs_ros.node.camera_looks import CameraLooks
from mafs_ros.node.diagnostics import OK, WARN, Status, number
from mafs_ros.node.health import Events, FrameHealth
from mafs_ros.node.mode_topic import ModeTopic
from mafs_ros.node.state import Arrival, seconds
from mafs_ros.node.warnings import Warnings
from mafs_ros.perception.pairing.fallback import NONE, OTHER, PAIR, RGB, THERMAL, Change, Fallback
from mafs_ros.perception.pairing.mailbox import Mailbox
from mafs_ros.perception.pairing.policy import Pairing


class CameraFallback:
    """Leaves pairs, or images of one camera while the other is dead, in the mailbox.

    A pair is (rgb, thermal), an image alone has None for the other. `paired` is the callback of
    the pairing, which is given by `feed`. All is called by the thread that spins.
    """

    def __init__(
        self,
        after_s: float,
        cameras: tuple[CameraHealth, CameraHealth],
        mailbox: Mailbox,
        pairs: Events,
        topic: ModeTopic,
        warnings: Warnings,
    ) -> None:
        self._cameras = {camera.name: camera for camera in cameras}
        self._mailbox, self._pairs, self._topic, self._warnings = mailbox, pairs, topic, warnings
        self._policy = Fallback(time.monotonic(), after_s, self._changed)
        self._looks = {name: CameraLooks(name) for name in self._cameras}
        self._withheld = dict.fromkeys(self._cameras, 0)
        self._pairing: Any = None
        topic.idle(self._policy.mode)

    def feed(self, pairing: Pairing) -> None:
        """The pairing that gets the images."""
        self._pairing = pairing

    @property
    def after_s(self) -> float:
        """Parameter fallback_after_s; may be changed any time."""
        return self._policy.after_s

    @after_s.setter
    def after_s(self, after_s: float) -> None:
        if after_s != self._policy.after_s:
            self._policy.set_after(after_s, time.monotonic())

    @property
    def alone(self) -> bool:
        """Whether frames are of one camera alone."""
        return self._policy.mode in OTHER

    def arrived(self, name: str, arrival: Arrival) -> None:
        """An image came: to the pairing with it, or alone to the worker, or both."""
        fault: str | None = ""
        acquired = self._acquired(name, arrival)
        if self._policy.after_s:
            fault = self._looks[name](arrival.message, arrival.at)
            arrival.fault = fault or ""
            self._policy.image(name, arrival.at, acquired, fault)
        if self._policy.may_pair(name, fault):
            (self._pairing.add_rgb if name == RGB else self._pairing.add_thermal)(arrival)
        else:
            self._withheld[name] += 1
        if self._policy.alone(name, acquired):
            self._mailbox.put((arrival, None) if name == RGB else (None, arrival))

    def paired(self, rgb: Arrival, thermal: Arrival) -> None:
        """The pairing made a pair."""
        now = time.monotonic()
        self._pairs.add(now)
        if self._policy.pair(now, self._acquired(RGB, rgb), rgb.fault, thermal.fault):
            self._mailbox.put((rgb, thermal))

    def beat(self, frames: FrameHealth) -> None:
        """Time goes on; frames: of the worker, which tells the mode itself while it has work."""
        self._policy.beat(time.monotonic())
        counters = self._mailbox.counters
        if not counters.waiting and counters.taken == sum(frames.counts().values()):
            self._topic.idle(self._policy.mode)

    def close(self) -> None:
        """No frames come any more."""
        self._topic.idle(NONE)

    def counts(self) -> dict[str, int]:
        """Images shown alone, and pairs left out of which one image was shown or is dead."""
        return {
            **{f"{name}_alone": count for name, count in self._policy.shown_alone.items()},
            "left_out": self._policy.pairs_left_out,
        }

    def status(self, frames: FrameHealth) -> Status:
        """The line of /diagnostics."""
        policy, now = self._policy, time.monotonic()
        faults = {name: policy.fault(name, now) for name in self._cameras}
        words = "; ".join(
            f"{name} camera {fault} for {lost:.1f} s"
            for name, (fault, lost) in faults.items()
            if fault
        )
        level, found = OK, None
        if policy.mode != PAIR or all(fault for fault, _ in faults.values()):
            came = any(camera.received for camera in self._cameras.values())
            if came:
                level, found = WARN, Fault.NO_CAMERA if policy.mode == NONE else Fault.CAMERA_DEAD
        values: dict[str, Any] = {
            "mode": policy.mode,
            "since_s": number(now - policy.since),
            "changes": policy.changes,
            "fallback_after_s": f"{policy.after_s:g}",
            **{f"published_{mode}": frames.by_mode[mode] for mode in (PAIR, RGB, THERMAL)},
        }
        for name, looks in self._looks.items():
            values[f"{name}_fault"] = faults[name][0] or "none"
            values[f"{name}_not_paired"] = self._withheld[name]
            values.update({f"{name}_{fault}": n for fault, n in sorted(looks.counts.items())})
        off = "" if policy.after_s else " alone (fallback_after_s is 0)"
        return Status(
            "mode", level, f"{policy.mode}{off}{': ' if words else ''}{words}", values, found
        )

    def _acquired(self, name: str, arrival: Arrival) -> float:
        """Seconds by which images of both cameras are in order, as the pairing has it."""
        taken = arrival.at if self._pairing.pair_by == "arrival" else seconds(arrival)
        return taken + (self._pairing.thermal_time_offset_s if name == THERMAL else 0.0)

    def _changed(self, change: Change) -> None:
        """One line a change: a warning, but for the first images and the way back."""
        text = f"mode {change.mode}: {self._in_words(change)}"
        if change.mode == PAIR and not self._policy.after_s:
            self._warnings.logger.info("mode pair: fallback_after_s is 0")
        elif change.mode == PAIR and self._policy.changes == 1:
            self._warnings.logger.info("mode pair: both cameras send")
        elif change.mode == PAIR:
            self._warnings.logger.info(text)
        else:
            fault = Fault.NO_CAMERA if change.mode == NONE else Fault.CAMERA_DEAD
            self._warnings.warn_once(fault, text)

    def _in_words(self, change: Change) -> str:
        if change.mode == NONE:
            return f"neither camera has sent an image for {change.seconds:.1f} s"
        if change.mode == PAIR and not change.camera:
            return f"both cameras send again after {change.seconds:.1f} s"
        topic = self._cameras[change.camera].topic
        if change.mode == PAIR:
            return f"the {change.camera} camera ({topic}) is back after {change.seconds:.1f} s"
        return (
            f"the {change.camera} camera ({topic}) has been {change.why} for "
            f"{change.seconds:.1f} s: "
            f"frames are of the {OTHER[change.camera]} camera alone"
        )
