"""What has failed is not tried again for every frame."""

from __future__ import annotations

import time
from collections.abc import Hashable

FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 3600.0
KEPT = 64  # failures that are remembered; the oldest are forgotten


class Attempts:
    """Remembers what failed: after a minute it may be tried again, then after twice that."""

    def __init__(self) -> None:
        self._failed: dict[Hashable, tuple[float, float, Exception]] = {}  # until, pause, error

    def fail(self, key: Hashable, error: Exception) -> None:
        """It was tried now, and failed."""
        _, pause, _ = self._failed.pop(key, (0.0, FIRST_PAUSE_S / 2, error))
        pause = min(2 * pause, LONGEST_PAUSE_S)
        self._failed[key] = time.monotonic() + pause, pause, error
        if len(self._failed) > KEPT:
            self._failed.pop(next(iter(self._failed)))

    def succeed(self, key: Hashable) -> None:
        self._failed.pop(key, None)

    def failure(self, key: Hashable) -> Exception | None:
        """Why it is not to be tried now; None where it may be."""
        until, _, error = self._failed.get(key, (0.0, 0.0, None))
        return error if time.monotonic() < until else None

    def __bool__(self) -> bool:
        """Whether something has failed, and not been mended since."""
        return bool(self._failed)
