"""Pairs of an RGB and a thermal message, by their stamps.

`Pairing` is fed with every message that arrives and hands out pairs, newest last, counting what
becomes of each message. It runs with and without ROS: the matching itself is
message_filters.ApproximateTimeSynchronizer where that is installed, else the one in this file,
which chooses the same pairs. `Mailbox` holds the newest pair for the one who works on it.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from statistics import median_low
from types import SimpleNamespace
from typing import Any

try:
    import message_filters
    from rclpy.duration import Duration
    from rclpy.time import Time
except ImportError:
    message_filters = None

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

# A stamp this far behind the newest one of its camera means that time itself went back (a bag that
# loops, a clock that was set). Images that overtake each other are milliseconds apart.
RESTART_S = 1.0
# So does this many late messages in a row (a bag shorter than that second would be late for ever).
RESTART_LATE = 15

# rclpy's Time must not be negative; with this added no stamp is, whatever the thermal offset.
BIAS_NS = 1 << 62


class Source:
    """Where a synchroniser gets its messages from: what message_filters calls a SimpleFilter."""

    def __init__(self) -> None:
        self.callbacks: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def registerCallback(self, callback: Callable[..., None], *args: Any) -> int:  # noqa: N802
        """Have `callback(*messages, *args)` called with every output; returns its number."""
        self.callbacks.append((callback, args))
        return len(self.callbacks) - 1

    def signalMessage(self, *messages: Any) -> None:  # noqa: N802
        """Call all callbacks with `messages`."""
        for callback, args in self.callbacks:
            callback(*messages, *args)


class OwnTimeSynchronizer(Source):
    """Stands in for message_filters.ApproximateTimeSynchronizer, for two inputs.

    An arriving message is paired at once with the waiting message of the other input whose stamp
    is nearest, if less than `slop` seconds away; else it waits. Of more than `queue_size` waiting
    messages the one with the oldest stamp is forgotten. Callbacks run inside `lock`; unlike the
    original, it outlives their exceptions.
    """

    def __init__(
        self,
        fs: Iterable[Any],
        queue_size: int,
        slop: float,
        allow_headerless: bool = False,
        sync_arrival_time: bool = False,
    ) -> None:
        super().__init__()
        sources = list(fs)
        if len(sources) != 2:
            raise ValueError(
                f"got {len(sources)} inputs, expected 2: install message_filters for more"
            )
        self.queue_size = queue_size
        self.slop = duration(round(slop * NS_PER_S))
        self.allow_headerless = allow_headerless
        self.sync_arrival_time = sync_arrival_time
        self.lock = threading.Lock()
        self.queues: list[dict[int, Any]] = [{}, {}]
        self.input_connections = [
            source.registerCallback(self.add, self.queues[index], index)
            for index, source in enumerate(sources)
        ]

    def add(self, msg: Any, my_queue: dict[int, Any], my_queue_index: int) -> None:
        """Pair `msg`, just arrived from input `my_queue_index`, or let it wait."""
        header = getattr(msg, "header", None)
        if self.sync_arrival_time or (header is None and self.allow_headerless):
            stamp = time.time_ns()
        elif header is None:
            logging.getLogger(__name__).warning(
                "got a message without header, expected one with a stamp: it is dropped; "
                "allow_headerless=True takes the time of arrival instead"
            )
            return
        else:
            stamp = nanoseconds(header.stamp)
        with self.lock:
            self._match(msg, stamp, my_queue, self.queues[1 - my_queue_index], my_queue_index)

    def _match(
        self, msg: Any, stamp: int, mine: dict[int, Any], others: dict[int, Any], index: int
    ) -> None:
        mine[stamp] = msg
        while len(mine) > self.queue_size:
            del mine[min(mine)]
        if not others or stamp not in mine:
            return
        nearest = min(others, key=lambda other: abs(other - stamp))
        if abs(nearest - stamp) >= self.slop.nanoseconds:
            return
        pair = (msg, others[nearest])
        try:
            self.signalMessage(*(pair if index == 0 else reversed(pair)))
        finally:
            del mine[stamp], others[nearest]


ApproximateTimeSynchronizer: Any = (
    OwnTimeSynchronizer if message_filters is None else message_filters.ApproximateTimeSynchronizer
)


def nanoseconds(stamp: Any) -> int:
    """A stamp of a message (sec, nanosec), or an rclpy Time, in nanoseconds."""
    if hasattr(stamp, "nanoseconds"):
        return stamp.nanoseconds
    return stamp.sec * NS_PER_S + stamp.nanosec


def duration(ns: int) -> Any:
    """An rclpy Duration where message_filters needs one, else its only field."""
    return SimpleNamespace(nanoseconds=ns) if message_filters is None else Duration(nanoseconds=ns)


def point_in_time(ns: int) -> Any:
    """An rclpy Time where message_filters needs one, else its only field."""
    return SimpleNamespace(nanoseconds=ns) if message_filters is None else Time(nanoseconds=ns)


@dataclass
class CameraCounters:
    """What became of the messages of one camera: `received` is the sum of all the others.

    paired: went out in a pair.
    unpaired_slop: no partner within the slop, or a neighbour was its nearer partner.
    unpaired_overflow: queue full before the other camera got this far (it is silent or slow).
    duplicate: a stamp that had been there already (all of them: the camera sets no stamps).
    late: older than what had been paired or given up before it came.
    cleared: waiting when time went back, the thermal offset changed, or on reset().
    pending: waiting now.
    """

    received: int = 0
    paired: int = 0
    unpaired_slop: int = 0
    unpaired_overflow: int = 0
    duplicate: int = 0
    late: int = 0
    cleared: int = 0
    pending: int = 0


@dataclass
class PairingCounters:
    """Counters of both cameras.

    paired: pairs handed out. resets: how often time went back (once for both cameras).
    newest_offset_ms: thermal minus RGB stamp of the newest pair, thermal offset included; None
    before the first pair.
    """

    rgb: CameraCounters
    thermal: CameraCounters
    paired: int
    resets: int
    newest_offset_ms: float | None


class _Waiting:
    """A message as the synchroniser sees it: with the stamp to match by instead of its own."""

    __slots__ = ("msg", "ns", "stamp")

    def __init__(self, msg: Any, ns: int) -> None:
        self.msg = msg
        self.ns = ns
        self.stamp = point_in_time(ns)

    @property
    def header(self) -> "_Waiting":
        """`header.stamp` is all that a synchroniser asks of a message."""
        return self


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
        synchronizer: Any = ApproximateTimeSynchronizer,
    ) -> None:
        if queue_size < 1:
            raise ValueError(f"got queue_size {queue_size}, expected at least 1")
        self._callback = callback
        self._lock = threading.RLock()
        self._cameras = (_Camera(), _Camera())
        self._sources = (Source(), Source())
        self._synchronizer = synchronizer(self._sources, queue_size, 0.0)
        self._synchronizer.registerCallback(self._matched)
        self._matches: list[tuple[_Waiting, _Waiting]] = []  # of this message: at most one
        self._resets = 0
        self._last_restarted: int | None = None
        self._newest_offset_ms: float | None = None
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
            # The synchroniser compares with <, so that a slop of 0 would never pair.
            self._synchronizer.slop = duration(self._slop_ns + 1)

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
    def counters(self) -> PairingCounters:
        """A snapshot of all counters, which add up at any time."""
        with self._lock:
            rgb, thermal = (
                replace(camera.counters, pending=len(camera.waiting)) for camera in self._cameras
            )
            return PairingCounters(rgb, thermal, rgb.paired, self._resets, self._newest_offset_ms)

    def add_rgb(self, msg: Any) -> None:
        """Take a message of the RGB camera; of it only header.stamp is read."""
        self._add(0, msg)

    def add_thermal(self, msg: Any) -> None:
        """Take a message of the thermal camera; of it only header.stamp is read."""
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
            ns = nanoseconds(msg.header.stamp) + camera.shift_ns
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
        camera.waiting[ns] = _Waiting(msg, ns)
        match = self._synchronize(index, camera.waiting[ns])
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

    def _synchronize(self, index: int, message: _Waiting) -> tuple[_Waiting, _Waiting] | None:
        """Hand a message to the synchroniser; what it pairs, (rgb, thermal), waits no longer."""
        self._sources[index].signalMessage(message)
        if not self._matches:
            return None
        rgb, thermal = self._matches.pop()
        del self._cameras[0].waiting[rgb.ns], self._cameras[1].waiting[thermal.ns]
        return rgb, thermal

    def _matched(self, rgb: _Waiting, thermal: _Waiting) -> None:
        """The synchroniser's callback, inside its lock: must neither raise nor take time."""
        self._matches.append((rgb, thermal))

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
        camera, queue = self._cameras[index], self._synchronizer.queues[index]
        for ns in stamps:
            del camera.waiting[ns], queue[ns]
            camera.counters.unpaired_slop += 1
            camera.raise_floor(ns)

    def _count_overflow(self, index: int) -> None:
        """Count what the synchroniser dropped silently from a full queue."""
        camera, other = self._cameras[index], self._cameras[1 - index]
        queue = self._synchronizer.queues[index]
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
        self._synchronizer.queues[index].clear()


@dataclass
class MailboxCounters:
    """What became of the items put: `put` is the sum of all the others.

    replaced: a newer one came before it was taken. discarded: put or still waiting at the close.
    """

    put: int = 0
    taken: int = 0
    replaced: int = 0
    discarded: int = 0
    waiting: int = 0


class Mailbox:
    """Room for one item between two threads: the newest wins."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[Any] = deque()
        self._counters = MailboxCounters()
        self._closed = False

    @property
    def counters(self) -> MailboxCounters:
        """A snapshot of the counters."""
        with self._changed:
            return replace(self._counters, waiting=len(self._items))

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, item: Any) -> None:
        """Leave an item and go; one that still waits is thrown away. Never blocks on the taker."""
        with self._changed:
            self._counters.put += 1
            if self._closed:
                self._counters.discarded += 1
                return
            self._counters.replaced += len(self._items)
            self._items.clear()
            self._items.append(item)
            self._changed.notify()

    def take(self, timeout: float | None = None) -> Any:
        """Wait for an item, at most `timeout` seconds; None: there is none, or closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            if not self._items:
                return None
            self._counters.taken += 1
            return self._items.popleft()

    def close(self) -> None:
        """Wake all who wait in take; from now on every take returns None at once."""
        with self._changed:
            self._closed = True
            self._counters.discarded += len(self._items)
            self._items.clear()
            self._changed.notify_all()
