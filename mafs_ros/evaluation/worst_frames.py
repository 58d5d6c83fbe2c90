"""The worst frames of a replay, with their pictures, for the report."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

WORST = 6  # frames kept


@dataclass(order=True)
class Worst:
    """A frame shown in the report. badness: larger is worse; of equals the earlier is worse."""

    badness: float
    minus_pair: int
    stamp: int = field(compare=False)
    reason: str = field(compare=False)
    jpeg: bytes = field(compare=False)

    @property
    def pair(self) -> int:
        return -self.minus_pair


class WorstFrames:
    """Keeps the WORST ones of all frames that it is shown."""

    def __init__(self) -> None:
        self._heap: list[Worst] = []

    def __bool__(self) -> bool:
        return bool(self._heap)

    def in_order(self) -> list[Worst]:
        """The worst first."""
        return sorted(self._heap, reverse=True)

    def consider(
        self, pair: int, stamp: int, badness: float, reason: str, picture: Callable[[], bytes]
    ) -> None:
        """Keep the frame if it is worse than another; only then its picture is made."""
        if len(self._heap) == WORST:
            best = self._heap[0]
            if (badness, -pair) <= (best.badness, best.minus_pair):
                return
            heapq.heappop(self._heap)
        heapq.heappush(self._heap, Worst(badness, -pair, stamp, reason, picture()))


def badness(row: dict[str, Any], labelled: bool) -> tuple[float, str] | None:
    """How bad a frame is, and in which sense: by mIoU where there are labels, else by Qabf.

    row: columns of frames.csv. None where the frame has no such score.
    """
    if labelled:
        miou = row.get("miou_percent")
        return None if miou is None else (-miou, f"mIoU {miou:.1f} %")
    quality = row.get("Qabf")
    if quality is None or math.isnan(quality):
        return None
    return -quality, f"Qabf {quality:.3f}"
