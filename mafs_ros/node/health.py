"""Samples and counters that the diagnostics are made of."""

import math
from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import median

WINDOW_S = 10.0


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
class FrameHealth:
    """What became of the pairs that the worker took: each is counted once, when it is done.

    remarks: the newest lines about the images. subscribed: whether somebody listened to an output
    when the newest pair came. by_mode: those published, by the mode of the node.
    """

    published: int = 0
    failed: int = 0
    bad_image: int = 0
    not_subscribed: int = 0
    not_registered: int = 0
    failure: str = ""
    by_mode: Counter[str] = field(default_factory=Counter)
    remarks: deque[str] = field(default_factory=lambda: deque(maxlen=8))
    subscribed: bool = True
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
            "not_registered": self.not_registered,
        }

    def publish(
        self,
        now: float,
        latency_ms: float,
        age_ms: float,
        steps_ms: dict[str, float],
        mode: str = "pair",
    ) -> None:
        """A frame went out. latency_ms: since the later of its images arrived; age_ms: since its
        stamp; steps_ms: time of each step by name; mode: of which images it is."""
        self.published += 1
        self.by_mode[mode] += 1
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
