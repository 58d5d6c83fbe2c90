"""What the node knows of a camera: its images, its errors, whether it is silent."""

from dataclasses import dataclass, field

from mafs_ros.node.health import Events


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

    def is_silent(self, now: float, stale_s: float) -> bool:
        """Whether it has sent nothing for that long (parameter stale_timeout_s)."""
        return self.silent_s(now) >= stale_s

    def silent_s(self, now: float) -> float:
        """Seconds without a message."""
        newest = self.arrivals.newest
        return now - (self.since if newest is None else newest)
