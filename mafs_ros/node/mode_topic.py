"""The latched topic that says of which cameras the frames are made."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from std_msgs.msg import String


class ModeTopic:
    """Tells the mode before the first frame of it, never while one of another mode goes out.

    Frames are published by one thread, inside `frame_of`; `idle` is called by another one.
    """

    def __init__(self, publisher: Any) -> None:
        self.publisher = publisher
        self._told = ""
        self._lock = threading.Lock()

    @contextmanager
    def frame_of(self, mode: str) -> Iterator[None]:
        """Publish the outputs of one frame within."""
        with self._lock:
            self._tell(mode)
            yield

    def idle(self, mode: str) -> None:
        """No frame is in work or waits; skipped where one is just being published."""
        if self._lock.acquire(blocking=False):
            try:
                self._tell(mode)
            finally:
                self._lock.release()

    def _tell(self, mode: str) -> None:
        if mode != self._told:
            self.publisher.publish(String(data=mode))
            self._told = mode
