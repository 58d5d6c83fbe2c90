"""What was noticed about images and is worth a line, but once and not at every frame."""

from __future__ import annotations

from mafs_ros.base.faults import Fault


class Remark(str):
    """A line about the images. fault: what the node calls it."""

    fault: Fault

    def __new__(cls, text: str, fault: Fault) -> Remark:
        remark = super().__new__(cls, text)
        remark.fault = fault
        return remark


class Remarks:
    """Lines that are added where something is noticed and taken where somebody reads them."""

    def __init__(self) -> None:
        self._kinds: set[tuple[Fault, str]] = set()
        self._new: list[Remark] = []

    def add(self, fault: Fault, text: str, kind: str = "") -> None:
        """Keep a line for the reader, unless one of this fault and kind was kept before."""
        if (fault, kind) not in self._kinds:
            self._kinds.add((fault, kind))
            self._new.append(Remark(text, fault))

    def knows(self, fault: Fault) -> bool:
        """Whether a line of this fault, of no kind, was added before."""
        return (fault, "") in self._kinds

    def take(self) -> tuple[Remark, ...]:
        """The lines since the last call."""
        if not self._new:
            return ()
        new, self._new = tuple(self._new), []
        return new
