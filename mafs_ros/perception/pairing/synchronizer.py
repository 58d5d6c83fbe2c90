"""The matching itself: message_filters, or the same without it."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from mafs_ros.base.stamps import NS_PER_S, nanoseconds

try:
    import message_filters
    from rclpy.duration import Duration
    from rclpy.time import Time
except ImportError:
    message_filters = None


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


def duration(ns: int) -> Any:
    """An rclpy Duration where message_filters needs one, else its only field."""
    return SimpleNamespace(nanoseconds=ns) if message_filters is None else Duration(nanoseconds=ns)


def point_in_time(ns: int) -> Any:
    """An rclpy Time where message_filters needs one, else its only field."""
    return SimpleNamespace(nanoseconds=ns) if message_filters is None else Time(nanoseconds=ns)


class Matcher:
    """Two inputs of a synchroniser as one call that returns the pair it makes, if any.

    synchronizer: called as message_filters.ApproximateTimeSynchronizer is.
    """

    def __init__(self, queue_size: int, synchronizer: Any) -> None:
        self._sources = (Source(), Source())
        self._synchronizer = synchronizer(self._sources, queue_size, 0.0)
        self._synchronizer.registerCallback(self._keep)
        self._pair: tuple[Any, Any] | None = None

    def set_slop(self, ns: int) -> None:
        """Largest difference of stamps in a pair, itself included; nanoseconds."""
        # The synchroniser compares with <, so that a slop of 0 would never pair.
        self._synchronizer.slop = duration(ns + 1)

    def queue(self, index: int) -> dict[int, Any]:
        """What waits of an input, by stamp; entries may be deleted."""
        return self._synchronizer.queues[index]

    def add(self, index: int, message: Any) -> tuple[Any, Any] | None:
        """Hand over a message of input 0 or 1; returns the pair of both inputs that it made."""
        self._pair = None
        self._sources[index].signalMessage(message)
        return self._pair

    def _keep(self, first: Any, second: Any) -> None:
        """The synchroniser's callback, inside its lock: must neither raise nor take time."""
        self._pair = (first, second)
