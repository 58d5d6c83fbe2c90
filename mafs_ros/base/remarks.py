"""What was noticed about images and is worth a line, but once and not at every frame."""

from __future__ import annotations


class Remarks:
    """Lines that are added where something is noticed and taken where somebody reads them."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._new: list[str] = []

    def add(self, kind: str, text: str) -> None:
        """Keep a line for the reader, unless one of this kind was kept before."""
        if kind not in self._kinds:
            self._kinds.add(kind)
            self._new.append(text)

    def knows(self, kind: str) -> bool:
        """Whether a line of this kind was added before."""
        return kind in self._kinds

    def take(self) -> tuple[str, ...]:
        """The lines since the last call."""
        if not self._new:
            return ()
        new, self._new = tuple(self._new), []
        return new
