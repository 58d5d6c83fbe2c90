"""The few things that were used last, such as what is compiled for the image sizes that come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Up to `most` things by their keys; the one used longest ago gives way. Threads may share it.

    drop: called with each thing that gives way, is replaced or cleared.
    """

    def __init__(self, most: int, drop: Callable[[Value], Any] = lambda value: None) -> None:
        self._most, self._drop = most, drop
        self._kept: dict[Key, Value] = {}  # the one used last at the end
        self._lock = threading.Lock()

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Key]:
        """The keys, the one used last at the end."""
        return iter(tuple(self._kept))

    def get(self, key: Key, make: Callable[[Key], Value]) -> Value:
        """Return what is kept for a key, made by `make(key)` where there is nothing.

        Room is made before that, so that never more than `most` are held; whatever `make` raises
        is raised.
        """
        with self._lock:
            if key in self._kept:
                self._kept[key] = self._kept.pop(key)
                return self._kept[key]
            self._shrink(self._most - 1)
        self.put(key, value := make(key))
        return value

    def put(self, key: Key, value: Value) -> None:
        """Keep a thing as the one used last."""
        with self._lock:
            if key in self._kept:
                self._drop(self._kept.pop(key))
            self._shrink(self._most - 1)
            self._kept[key] = value

    def clear(self) -> None:
        with self._lock:
            self._shrink(0)

    def _shrink(self, most: int) -> None:
        while len(self._kept) > most:
            self._drop(self._kept.pop(next(iter(self._kept))))
