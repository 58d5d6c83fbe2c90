"""What the node knows about itself: counters, rates, latencies, and the /diagnostics message.

Counting and judging run without ROS; only `diagnostic_array` makes a message. All memory is
bounded. Times are seconds of `time.monotonic()` unless said.
"""

import math
from collections import deque
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from mafs_ros.pairing import Mailbox, PairingCounters

OK, WARN, ERROR = 0, 1, 2
WINDOW_S = 10.0
# Stamps further than this from the node's clock are of another clock (boot time, a bag).
FOREIGN_CLOCK_S = 60.0


class Samples:
    """The newest `size` values: median and 95th percentile; None while there are none."""

    def __init__(self, size: int = 300) -> None:
        self._values: deque[float] = deque(maxlen=size)

    def add(self, value: float) -> None:
        self._values.append(value)

    @property
    def newest(self) -> float | None:
        return self._values[-1] if self._values else None

    @property
    def median(self) -> float | None:
        values = list(self._values)
        return median(values) if values else None

    @property
    def p95(self) -> float | None:
        """Nearest rank: the smallest value that at least 95 % of the values do not exceed."""
        values = sorted(self._values)
        return values[-(-95 * len(values) // 100) - 1] if values else None


class Events:
    """Times of the newest events: how many in the last WINDOW_S seconds, and how often."""

    def __init__(self, size: int = 2000) -> None:
        self._times: deque[float] = deque(maxlen=size)

    def add(self, now: float) -> None:
        self._times.append(now)

    @property
    def newest(self) -> float | None:
        return self._times[-1] if self._times else None

    def _recent(self, now: float) -> list[float]:
        return [time for time in list(self._times) if now - time <= WINDOW_S]

    def count(self, now: float) -> int:
        return len(self._recent(now))

    def rate_hz(self, now: float) -> float:
        """Mean rate over the window; falls towards 0 once the events stop."""
        recent = self._recent(now)
        if len(recent) < 2:
            return 0.0
        period = (recent[-1] - recent[0]) / (len(recent) - 1)
        silent = now - recent[-1]
        span = recent[-1] - recent[0] + (silent if silent > 2 * period else 0.0)
        return (len(recent) - 1) / span if span > 0 else 0.0


class Throttle:
    """Lets a message of one kind through every `period_s` seconds."""

    def __init__(self, period_s: float = 5.0) -> None:
        self._period_s = period_s
        self._last: dict[str, float] = {}

    def take(self, kind: str, now: float) -> bool:
        """Whether it is time again for a message of this kind; then it counts as given."""
        if now - self._last.get(kind, -math.inf) < self._period_s:
            return False
        self._last[kind] = now
        return True


@dataclass
class CameraHealth:
    """One camera's input. `topic` is the name subscribed; `since` when it was subscribed."""

    name: str
    topic: str
    since: float
    received: int = 0
    bad: int = 0
    lost: int = 0
    bad_reason: str = ""
    image: str = "none yet"
    stamp_s: float | None = None
    silent: bool = False
    best_effort: bool = False  # offered less than reliable, not yet subscribed so
    arrivals: Events = field(default_factory=Events)
    bad_arrivals: Events = field(default_factory=Events)

    def arrived(self, now: float, image: str, stamp_s: float) -> None:
        """A message came; image: its size and encoding in words; stamp_s: its stamp."""
        self.received += 1
        self.image = image
        self.stamp_s = stamp_s
        self.arrivals.add(now)

    def refused(self, now: float, reason: str) -> None:
        """A message turned out to be of no use."""
        self.bad += 1
        self.bad_reason = reason
        self.bad_arrivals.add(now)

    def silent_s(self, now: float) -> float:
        """Seconds without a message."""
        newest = self.arrivals.newest
        return now - (self.since if newest is None else newest)


@dataclass
class FrameHealth:
    """What became of the pairs that the worker took: each is counted once, when it is done."""

    published: int = 0
    failed: int = 0
    bad_image: int = 0
    not_subscribed: int = 0
    failure: str = ""
    publications: Events = field(default_factory=Events)
    failures: Events = field(default_factory=Events)
    latency_ms: Samples = field(default_factory=Samples)
    age_ms: Samples = field(default_factory=Samples)
    steps_ms: dict[str, Samples] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """What became of the pairs, by cause."""
        return {
            "published": self.published,
            "failed": self.failed,
            "bad_image": self.bad_image,
            "not_subscribed": self.not_subscribed,
        }

    def publish(
        self, now: float, latency_ms: float, age_ms: float, steps_ms: dict[str, float]
    ) -> None:
        """A frame went out. latency_ms: since the later of its two images arrived; age_ms: since
        its RGB stamp; steps_ms: time of each step by name."""
        self.published += 1
        self.publications.add(now)
        self.latency_ms.add(latency_ms)
        self.age_ms.add(age_ms)
        for name, milliseconds in steps_ms.items():
            self.steps_ms.setdefault(name, Samples()).add(milliseconds)

    def fail(self, now: float, reason: str) -> None:
        """A frame was skipped because of an error."""
        self.failed += 1
        self.failure = reason
        self.failures.add(now)


@dataclass
class Status:
    """One line of /diagnostics."""

    name: str
    level: int
    message: str
    values: dict[str, Any]


def camera_status(camera: CameraHealth, now: float, stale_s: float) -> Status:
    """ERROR for a silent camera, WARN for bad images in the last WINDOW_S seconds."""
    rate = camera.arrivals.rate_hz(now)
    level, message = OK, f"{rate:.1f} Hz"
    if (bad := camera.bad_arrivals.count(now)) > 0:
        level, message = WARN, f"{bad} bad images in {WINDOW_S:.0f} s: {camera.bad_reason}"
    if camera.silent_s(now) >= stale_s:
        level, message = ERROR, silence(camera, now)
    newest = camera.arrivals.newest
    return Status(
        f"{camera.name} camera",
        level,
        message,
        {
            "topic": camera.topic,
            "image": camera.image,
            "rate_hz": number(rate),
            "received": camera.received,
            "bad": camera.bad,
            "lost_by_middleware": camera.lost,
            "last_message_s_ago": "none yet" if newest is None else number(now - newest),
        },
    )


def silence(camera: CameraHealth, now: float) -> str:
    """'no thermal message on /thermal/image for 5 s'."""
    return f"no {camera.name} message on {camera.topic} for {int(camera.silent_s(now))} s"


def pairing_status(
    counters: PairingCounters,
    pairs: Events,
    now: float,
    stale_s: float,
    rgb: CameraHealth,
    thermal: CameraHealth,
    slop_s: float,
) -> Status:
    """WARN where both cameras send but nothing pairs.

    counters: those of the pairing; pairs: the times of its pairs; slop_s: its slop.
    """
    level, message = OK, f"{pairs.rate_hz(now):.1f} pairs/s"
    unpaired_s = now - (rgb.since if pairs.newest is None else pairs.newest)
    both_send = max(rgb.silent_s(now), thermal.silent_s(now)) < stale_s
    if unpaired_s >= stale_s and both_send and rgb.stamp_s and thermal.stamp_s:
        level = WARN
        message = (
            f"no pair for {unpaired_s:.0f} s: the newest thermal stamp is "
            f"{thermal.stamp_s - rgb.stamp_s:+.3f} s from the newest RGB stamp, slop_s "
            f"allows {slop_s:g} s (see slop_s and thermal_time_offset_s)"
        )
    values: dict[str, Any] = {
        "rate_hz": number(pairs.rate_hz(now)),
        "offset_ms": number(counters.newest_offset_ms),
        "slop_s": f"{slop_s:g}",
        "paired": counters.paired,
        "time_resets": counters.resets,
    }
    for camera, of_camera in (("rgb", counters.rgb), ("thermal", counters.thermal)):
        values.update({f"{camera}_{cause}": count for cause, count in asdict(of_camera).items()})
    return Status("pairing", level, message, values)


def perception_status(
    frames: FrameHealth, mailbox: Mailbox, now: float, facts: dict[str, Any]
) -> Status:
    """ERROR while every frame fails, WARN where some of the last WINDOW_S seconds failed.

    facts: what else is to be shown (engine, weights, thermal range, ...). The counters add up:
    pairs = waiting + in_progress + published + failed + bad_image + not_subscribed
    + replaced_while_busy + discarded.
    """
    rate = frames.publications.rate_hz(now)
    level, message = OK, f"{rate:.1f} frames/s"
    if (failed := frames.failures.count(now)) > 0:
        level = WARN if frames.publications.count(now) else ERROR
        message = f"{failed} frames failed in {WINDOW_S:.0f} s: {frames.failure}"
    # In this order: what the worker does meanwhile only adds to what is in progress.
    done, pairs = frames.counts(), mailbox.counters
    values = {
        "rate_hz": number(rate),
        "pairs": pairs.put,
        **done,
        "replaced_while_busy": pairs.replaced,
        "waiting": pairs.waiting,
        "in_progress": pairs.taken - sum(done.values()),
        "discarded": pairs.discarded,
        "latency_ms_median": number(frames.latency_ms.median),
        "latency_ms_p95": number(frames.latency_ms.p95),
        "age_ms_median": age_text(frames.age_ms.median),
        "age_ms_p95": age_text(frames.age_ms.p95),
    }
    for name, samples in list(frames.steps_ms.items()):
        values[f"{name}_ms_median"] = number(samples.median)
        values[f"{name}_ms_p95"] = number(samples.p95)
    return Status("perception", level, message, {**values, **facts})


def age_text(age_ms: float | None) -> str:
    """Age against the RGB stamp; says so where the stamps are not of the node's clock."""
    if age_ms is not None and abs(age_ms) > 1000 * FOREIGN_CLOCK_S:
        return "unknown: the RGB stamps are not of this clock (see use_sim_time)"
    return number(age_ms)


def number(value: float | None) -> str:
    return "none yet" if value is None else f"{value:.2f}"


def diagnostic_array(node: str, statuses: list[Status], stamp: Any) -> DiagnosticArray:
    """The statuses as 'NODE: NAME', the form that diagnostic_aggregator groups by.

    node: the node's full name; stamp: builtin_interfaces/Time of the node's clock.
    """
    array = DiagnosticArray()
    array.header.stamp = stamp
    for status in statuses:
        array.status.append(
            DiagnosticStatus(
                level=bytes([status.level]),
                name=f"{node.lstrip('/')}: {status.name}",
                message=status.message,
                hardware_id="mafs_ros",
                values=[
                    KeyValue(key=key, value=str(value)) for key, value in status.values.items()
                ],
            )
        )
    return array
