"""The newest messages of a topic, to find the one that belongs to another camera's image."""

from __future__ import annotations

from collections import deque
from typing import Any

from mafs_ros.base.stamps import NS_PER_S

KEPT = 10  # a third of a second at 30 Hz


class Recent:
    """Keeps the newest messages with their stamps and times of arrival; all times in ns.

    One thread may add while another one looks.
    """

    def __init__(self) -> None:
        self._kept: deque[tuple[int, int, Any]] = deque(maxlen=KEPT)

    def add(self, stamp_ns: int, received_ns: int, message: Any) -> None:
        """Keep a message, in place of the oldest."""
        self._kept.append((stamp_ns, received_ns, message))

    def nearest(self, stamp_ns: int, received_ns: int, pair_by: str, slop_s: float) -> Any:
        """The message nearest to these times, None where none is within slop_s seconds.

        pair_by: 'stamp' or 'arrival', the one of the two times that counts.
        """

        def apart_ns(kept: tuple[int, int, Any]) -> int:
            return abs(kept[1] - received_ns if pair_by == "arrival" else kept[0] - stamp_ns)

        nearest = min(list(self._kept), key=apart_ns, default=None)
        if nearest is None or apart_ns(nearest) > slop_s * NS_PER_S:
            return None
        return nearest[2]
