"""The faults of a running node, for supervisors: which there were, and when last."""

import time

from mafs_ros.base.faults import Fault
from mafs_ros.node.diagnostics import OK, Status
from mafs_ros.node.health import WINDOW_S


class FaultRecord:
    """The newest of each fault of a node, of all its threads and pairs of cameras."""

    def __init__(self) -> None:
        self._newest: dict[Fault, tuple[float, str]] = {}

    def add(self, fault: Fault, text: str) -> None:
        """It was noticed now."""
        self._newest[fault] = time.monotonic(), text

    def __contains__(self, fault: Fault) -> bool:
        """Whether it was ever noticed."""
        return fault in self._newest

    def status(self, now: float) -> Status:
        """A line of /diagnostics whose keys are the codes; its level is that of the last WINDOW_S.

        now: monotonic seconds.
        """
        newest = dict(self._newest)
        recent = [fault for fault, (at, _) in newest.items() if now - at <= WINDOW_S]
        return Status(
            "faults",
            max((fault.value.level for fault in recent), default=OK),
            " ".join(sorted(fault.code for fault in recent)) or f"none in {WINDOW_S:.0f} s",
            {fault.code: f"{now - at:.0f} s ago: {text}" for fault, (at, text) in newest.items()},
        )
