"""Several mailboxes that one thread serves in turn."""

import threading
from typing import Any

from mafs_ros.perception.pairing.mailbox import Mailbox


class Turns:
    """A mailbox for each of `number` sources and one taker, who passes nobody over.

    Of the mailboxes that hold an item the one next in the circle after that served last has its
    turn, so that a source which puts often never keeps another one waiting for more than a round.
    """

    def __init__(self, number: int) -> None:
        self._changed = threading.Condition()
        self.mailboxes = [Mailbox(self._changed) for _ in range(number)]
        self._next = 0

    def take(self) -> tuple[int, Any] | None:
        """Wait for an item; (index of its mailbox, item), None once all are closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready() is not None or self._closed)
            index = self._ready()
            if index is None:
                return None
            self._next = (index + 1) % len(self.mailboxes)
            return index, self.mailboxes[index].take()

    def close(self) -> None:
        """Close every mailbox, which wakes the taker."""
        for mailbox in self.mailboxes:
            mailbox.close()

    @property
    def _closed(self) -> bool:
        return all(mailbox.closed for mailbox in self.mailboxes)

    def _ready(self) -> int | None:
        """The mailbox whose turn it is; None where none holds an item."""
        number = len(self.mailboxes)
        circle = ((self._next + step) % number for step in range(number))
        return next((i for i in circle if self.mailboxes[i].counters.waiting), None)
