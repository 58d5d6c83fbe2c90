"""Pairs of an RGB and a thermal message, by their stamps.

`Pairing` is fed with every message that arrives and hands out pairs, newest last, counting what
becomes of each message. It runs with and without ROS: the matching itself is
message_filters.ApproximateTimeSynchronizer where that is installed, else our own, which chooses
the same pairs (`synchronizer`).
"""

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import median_low
from typing import Any, NamedTuple

from mafs_ros.base.stamps import NS_PER_MS, NS_PER_S, nanoseconds
from mafs_ros.perception.pairing.counters import CameraCounters, PairingCounters
from mafs_ros.perception.pairing.synchronizer import (
    ApproximateTimeSynchronizer,
    Matcher,
    point_in_time,
)

# A stamp this far behind the newest one of its camera means that time itself went back (a bag that
# loops, a clock that was set). Images that overtake each other are milliseconds apart.
RESTART_S = 1.0
# So does this many late messages in a row (a bag shorter than that second would be late for ever).
RESTART_LATE = 15
# rclpy's Time must not be negative; with this added no stamp is, whatever the thermal offset.
BIAS_NS = 1 << 62


class _Header(NamedTuple):
    stamp: Any


class _Waiting(NamedTuple):
    """A message as the synchroniser sees it: with the stamp to match by instead of its own."""

    msg: Any
    ns: int
    header: _Header


@dataclass
class _Camera:
    """What the pairing remembers of one camera. All times are stamps to match by, in ns."""

    shift_ns: int = BIAS_NS
    counters: CameraCounters = field(default_factory=CameraCounters)
    waiting: dict[int, _Waiting] = field(default_factory=dict)
    newest: int | None = None
    floor: int | None = None  # the newest stamp that was paired or given up
    gaps: deque[int] = field(default_factory=lambda: deque(maxlen=15))
    late_in_a_row: int = 0

    def saw(self, ns: int) -> None:
        """Remember the newest stamp and the gap before it."""
        if self.newest is None or ns > self.newest:
            if self.newest is not None:
                self.gaps.append(ns - self.newest)
            self.newest = ns

    def period(self) -> int | None:
        """Nanoseconds between images: the median, which a lost image now and then leaves alone."""
        return median_low(self.gaps) if len(self.gaps) >= 3 else None

    def raise_floor(self, ns: int) -> None:
        self.floor = ns if self.floor is None else max(self.floor, ns)


class Pairing:
    """Nearest-stamp pairs of RGB and thermal messages, each message at most once.

    callback(rgb_msg, thermal_msg): called in the thread that added the later of the two. Stamps of
    successive pairs increase, for both cameras, until time goes back. Keep it short (Mailbox.put):
    the other camera waits meanwhile. What it raises comes out of the add_ call, and the pairing
    goes on.
    slop_s: largest difference of the stamps in a pair, itself included.
    queue_size: messages of each camera that may wait.
    thermal_time_offset_s: added to thermal stamps for matching; messages are never changed.
    pair_by: 'stamp', or 'arrival' for cameras without usable stamps: everything said of stamps
    then holds for the times of arrival, the `received_ns` of what is added.

    What this adds to the synchroniser, which takes the nearest of those that are there:
    - A message is passed over where the next one of its camera is about to be much nearer. Else,
      with a slop near the period of the cameras, one lost image leaves all later pairs one image
      apart.
    - What waits is given up as soon as no partner can come any more.
    - Where the stamps of a camera jump back by more than a second, or 15 in a row are late, what
      it had waiting is cleared and it starts anew.

    Thread-safe. Raises ValueError for an impossible slop, queue size or offset.
    """

    def __init__(
        self,
        callback: Callable[[Any, Any], None],
        *,
        slop_s: float,
        queue_size: int = 10,
        thermal_time_offset_s: float = 0.0,
        pair_by: str = "stamp",
        synchronizer: Any = ApproximateTimeSynchronizer,
    ) -> None:
        if queue_size < 1:
            raise ValueError(f"got queue_size {queue_size}, expected at least 1")
        self._callback = callback
        self._lock = threading.RLock()
        self._cameras = (_Camera(), _Camera())
        self._matcher = Matcher(queue_size, synchronizer)
        self._resets = 0
        self._last_restarted: int | None = None
        self._newest_offset_ms: float | None = None
        self._pair_by = pair_by
        self.slop_s = slop_s
        self.thermal_time_offset_s = thermal_time_offset_s

    @property
    def slop_s(self) -> float:
        """Largest difference in seconds between the stamps of a pair; may be changed any time."""
        return self._slop_s

    @slop_s.setter
    def slop_s(self, slop_s: float) -> None:
        if not 0 <= slop_s < math.inf:
            raise ValueError(f"got slop_s {slop_s}, expected a number of seconds from 0 up")
        with self._lock:
            self._slop_s = slop_s
            self._slop_ns = round(slop_s * NS_PER_S)
            self._matcher.set_slop(self._slop_ns)

    @property
    def thermal_time_offset_s(self) -> float:
        """Seconds added to thermal stamps for matching; a change clears waiting thermal images."""
        return self._thermal_time_offset_s

    @thermal_time_offset_s.setter
    def thermal_time_offset_s(self, offset_s: float) -> None:
        if not abs(offset_s) < 1e6:
            raise ValueError(
                f"got thermal_time_offset_s {offset_s}, expected seconds within "
                "-1000000 to 1000000"
            )
        with self._lock:
            self._thermal_time_offset_s = offset_s
            thermal = self._cameras[1]
            change = BIAS_NS + round(offset_s * NS_PER_S) - thermal.shift_ns
            if change:
                self._clear_waiting(1)
                thermal.shift_ns += change
                thermal.newest = None if thermal.newest is None else thermal.newest + change
                thermal.floor = None if thermal.floor is None else thermal.floor + change

    @property
    def pair_by(self) -> str:
        """'stamp' or 'arrival'; a change clears what waits."""
        return self._pair_by

    @pair_by.setter
    def pair_by(self, pair_by: str) -> None:
        with self._lock:
            if pair_by != self._pair_by:
                self._pair_by = pair_by
                self.reset()
                for camera in self._cameras:
                    camera.gaps.clear()

    @property
    def counters(self) -> PairingCounters:
        """A snapshot of all counters, which add up at any time."""
        with self._lock:
            rgb, thermal = (
                replace(camera.counters, pending=len(camera.waiting)) for camera in self._cameras
            )
            return PairingCounters(rgb, thermal, rgb.paired, self._resets, self._newest_offset_ms)

    def add_rgb(self, msg: Any) -> None:
        """Take a message of the RGB camera; only header.stamp (or received_ns) is read."""
        self._add(0, msg)

    def add_thermal(self, msg: Any) -> None:
        """Take a message of the thermal camera; only header.stamp (or received_ns) is read."""
        self._add(1, msg)

    def reset(self) -> None:
        """Forget all waiting messages and the time (on deactivation); the counters stay."""
        with self._lock:
            for index in range(2):
                self._restart(index)

    def _add(self, index: int, msg: Any) -> None:
        with self._lock:
            camera = self._cameras[index]
            camera.counters.received += 1
            by_arrival = self._pair_by == "arrival"
            own = msg.received_ns if by_arrival else nanoseconds(msg.header.stamp)
            ns = own + camera.shift_ns
            if self._went_back(camera, ns):
                self._count_restart(index)
                self._restart(index)
            if ns in camera.waiting or ns == camera.floor:
                camera.counters.duplicate += 1
            elif camera.floor is not None and ns < camera.floor:
                camera.counters.late += 1
                camera.late_in_a_row += 1
            else:
                camera.late_in_a_row = 0
                pair = self._accept(index, msg, ns)
                if pair is not None:
                    self._callback(*pair)

    @staticmethod
    def _went_back(camera: _Camera, ns: int) -> bool:
        if camera.newest is None or ns >= camera.newest:
            return False
        return camera.newest - ns > RESTART_S * NS_PER_S or camera.late_in_a_row >= RESTART_LATE

    def _accept(self, index: int, msg: Any, ns: int) -> tuple[Any, Any] | None:
        """Match a message with a new stamp; returns the messages of the pair, if there is one."""
        camera, other = self._cameras[index], self._cameras[1 - index]
        camera.saw(ns)
        self._give_up(1 - index, [old for old in other.waiting if ns - old > self._slop_ns])
        nearest = min(other.waiting, key=lambda old: abs(old - ns), default=ns)
        if nearest < ns and self._next_is_nearer(other, nearest, ns):
            self._give_up(1 - index, [old for old in other.waiting if old <= nearest])
        elif 0 < nearest - ns <= self._slop_ns and self._next_is_nearer(camera, ns, nearest):
            camera.counters.unpaired_slop += 1
            camera.raise_floor(ns)
            return None
        camera.waiting[ns] = _Waiting(msg, ns, _Header(point_in_time(ns)))
        match = self._matcher.add(index, camera.waiting[ns])
        for waiting_of, matched in zip(self._cameras, match or (), strict=False):
            del waiting_of.waiting[matched.ns]
        self._count_overflow(index)
        return None if match is None else self._take_pair(*match)

    @staticmethod
    def _next_is_nearer(camera: _Camera, older: int, newer: int) -> bool:
        """Whether the image after `older`, the newest of its camera, will be the one for `newer`.

        Nearer means less than half as far: where two are about as near, the one that is here wins.
        """
        period = camera.period()
        if period is None or camera.newest != older:
            return False
        return 2 * abs(older + period - newer) < newer - older

    def _take_pair(self, rgb: _Waiting, thermal: _Waiting) -> tuple[Any, Any]:
        for index, message in enumerate((rgb, thermal)):
            camera = self._cameras[index]
            camera.counters.paired += 1
            camera.raise_floor(message.ns)
            # What is older can only come out of order now.
            self._give_up(index, [old for old in camera.waiting if old < message.ns])
        self._newest_offset_ms = (thermal.ns - rgb.ns) / NS_PER_MS
        self._last_restarted = None
        return rgb.msg, thermal.msg

    def _give_up(self, index: int, stamps: list[int]) -> None:
        camera, queue = self._cameras[index], self._matcher.queue(index)
        for ns in stamps:
            del camera.waiting[ns], queue[ns]
            camera.counters.unpaired_slop += 1
            camera.raise_floor(ns)

    def _count_overflow(self, index: int) -> None:
        """Count what the synchroniser dropped silently from a full queue."""
        camera, other = self._cameras[index], self._cameras[1 - index]
        queue = self._matcher.queue(index)
        if len(queue) == len(camera.waiting):
            return
        for ns in [ns for ns in camera.waiting if ns not in queue]:
            del camera.waiting[ns]
            camera.raise_floor(ns)
            if other.newest is not None and other.newest - ns > self._slop_ns:
                camera.counters.unpaired_slop += 1  # the other camera was past it anyway
            else:
                camera.counters.unpaired_overflow += 1

    def _count_restart(self, index: int) -> None:
        # Both cameras of a bag that loops jump back: that is one reset.
        if self._last_restarted in (None, index):
            self._resets += 1
            self._last_restarted = index
        else:
            self._last_restarted = None

    def _restart(self, index: int) -> None:
        camera = self._cameras[index]
        self._clear_waiting(index)
        camera.newest = camera.floor = None
        camera.late_in_a_row = 0

    def _clear_waiting(self, index: int) -> None:
        camera = self._cameras[index]
        camera.counters.cleared += len(camera.waiting)
        camera.waiting.clear()
        self._matcher.queue(index).clear()
