"""Room for one pair between two threads: the newest wins."""

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Any


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
    """Room for one item between two threads: the newest wins.

    changed: what is notified of every change, for a taker of several mailboxes (`Turns`).
    """

    def __init__(self, changed: threading.Condition | None = None) -> None:
        self._changed = changed or threading.Condition()
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
