"""The stamps of the images in a bag, as they were taken and as they were recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.bags.reader import Bag, BagError, ImageTopic
from mafs_ros.base.errors import one_line
from mafs_ros.perception.pairing.stamp_faults import Arrivals

Stamps = NDArray[np.int64]


@dataclass(frozen=True)
class Times:
    """Stamps and times of reception of one topic in ns, in the order of recording."""

    stamps: Stamps
    received: Stamps

    @property
    def arrivals(self) -> Arrivals:
        """The same for `find_fault`, which knows no bags."""
        return Arrivals(self.stamps, self.received)

    @property
    def rate_hz(self) -> float:
        """1 / median step between stamps; 0 for fewer than two images."""
        steps = np.diff(np.sort(self.stamps))
        steps = steps[steps > 0]
        return 1e9 / float(np.median(steps)) if steps.size else 0.0

    @property
    def jitter_ms(self) -> float:
        """95th percentile of how far a step between stamps is from the median step."""
        steps = np.diff(self.stamps)
        if not steps.size:
            return 0.0
        return float(np.percentile(np.abs(steps - np.median(steps)), 95)) / 1e6

    @property
    def longest_gap_s(self) -> float:
        steps = np.diff(np.sort(self.stamps))
        return float(steps.max()) / 1e9 if steps.size else 0.0

    @property
    def backward(self) -> int:
        """How often a stamp is smaller than the one before it."""
        return int(np.count_nonzero(np.diff(self.stamps) < 0))

    @property
    def delay_ms(self) -> float:
        """Median time from stamp to reception; large or negative where clocks differ."""
        return float(np.median(self.received - self.stamps)) / 1e6 if self.stamps.size else 0.0


class Stamped:
    """What Pairing is fed with: stamp, time of reception in ns, and the message itself."""

    __slots__ = ("header", "message", "number", "received_ns")

    def __init__(self, message: Any, stamp: int, number: int, received_ns: int = 0) -> None:
        self.header = SimpleNamespace(stamp=SimpleNamespace(nanoseconds=stamp))
        self.message = message
        self.number = number
        self.received_ns = received_ns


def read_times(bag: Bag, topics: Iterable[ImageTopic]) -> tuple[dict[str, Times], str]:
    """Topic name -> times, and what ended the reading early ('' if nothing did)."""
    times: dict[str, tuple[list[int], list[int]]] = {topic.name: ([], []) for topic in topics}
    trouble = ""
    try:
        for message in bag.messages(times):
            stamps, received = times[message.topic]
            stamps.append(message.stamp)
            received.append(message.received)
    except BagError as error:
        trouble = one_line(error)
    return {
        name: Times(np.array(stamps, np.int64), np.array(received, np.int64))
        for name, (stamps, received) in times.items()
    }, trouble
