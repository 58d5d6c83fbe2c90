"""What the node knows of a camera: its images, its errors, whether it is silent."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from mafs_ros.base.stamps import NS_PER_S
from mafs_ros.node.health import Events
from mafs_ros.perception.pairing.stamp_faults import Arrivals

# Stamps are judged by the images of this time, or by at least so many, over so long.
RECENT_S, RECENT_IMAGES, RECENT_LEAST_S = 5.0, 5, 1.0


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
    stamps: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=200))
    silent: bool = False
    best_effort: bool = False  # offered less than reliable, not yet subscribed so
    arrivals: Events = field(default_factory=Events)
    bad_arrivals: Events = field(default_factory=Events)

    def arrived(self, now: float, image: str, stamp_s: float) -> None:
        """A message came; image: its size and encoding in words; stamp_s: its stamp."""
        self.received += 1
        self.image = image
        self.stamp_s = stamp_s
        self.stamps.append((stamp_s, now))
        self.arrivals.add(now)

    def recent_arrivals(self, now: float) -> Arrivals:
        """Stamps and monotonic times of reception of the newest images; none while too few."""
        newest = list(self.stamps)
        recent = [pair for pair in newest if now - pair[1] <= RECENT_S]
        recent = recent if len(recent) >= RECENT_IMAGES else newest[-RECENT_IMAGES:]
        if len(recent) < RECENT_IMAGES or recent[-1][1] - recent[0][1] < RECENT_LEAST_S:
            recent = []
        stamps, received = np.array(recent, np.float64).reshape(-1, 2).T
        return Arrivals(*(np.round(s * NS_PER_S).astype(np.int64) for s in (stamps, received)))

    def refused(self, now: float, reason: str) -> None:
        """A message turned out to be of no use."""
        self.bad += 1
        self.bad_reason = reason
        self.bad_arrivals.add(now)

    def is_silent(self, now: float, stale_s: float) -> bool:
        """Whether it has sent nothing for that long (parameter stale_timeout_s)."""
        return self.silent_s(now) >= stale_s

    def silent_s(self, now: float) -> float:
        """Seconds without a message."""
        newest = self.arrivals.newest
        return now - (self.since if newest is None else newest)
