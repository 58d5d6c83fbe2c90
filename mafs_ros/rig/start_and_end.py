"""Waits for the node to be ready, for the cameras, and for the end of a drive."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mafs_ros.base.errors import one_line
from mafs_ros.rig.account import integer
from mafs_ros.rig.processes import STALL_TIMEOUT_S, START_TIMEOUT_S, Process, RigError, progress
from mafs_ros.rig.receiver import Receiver
from mafs_ros.rig.source import Source

SETTLE_TIMEOUT_S = 5.0


def wait_for_start(source: Source, receiver: Receiver, processes: tuple[Process, ...]) -> None:
    """Return when the node is active and the cameras wait; raises RigError after a while."""
    cameras = processes[1]
    cycle = source.cameras.get("cycle", 0)
    deadline = time.monotonic() + START_TIMEOUT_S
    with progress(cycle or None, "starting" + ", rendering" * bool(cycle)) as bar:
        while True:
            for process in processes:
                process.check()
            rendered = cameras.said.get("rendered", 0)
            bar.update(rendered - bar.n)
            if receiver.all_are_ready() and rendered == cycle:
                return
            if time.monotonic() > deadline:
                raise RigError(
                    f"the node is not active after {START_TIMEOUT_S:.0f} s; see "
                    + ", ".join(str(process.log) for process in processes)
                )
            time.sleep(0.1)


def wait_for_cameras(
    processes: tuple[Process, ...],
    pairs: int,
    title: str,
    *,
    shown: Callable[[], int],
    arrived: Callable[[], int],
    error: Callable[[], BaseException | None],
    stall_s: float = STALL_TIMEOUT_S,
) -> None:
    """Return when the cameras, the second of the processes, have sent everything.

    shown: count for the bar of that title, which ends at `pairs`. arrived: count that must change
    within stall_s seconds. error: what went wrong in this process. Raises RigError for such an
    error, where a process fails, and for a stall.
    """
    cameras = processes[1]
    newest, since = 0, time.monotonic()
    with progress(pairs, title) as bar:
        while cameras.code is None:
            for process in processes:
                process.check()
            if found := error():
                raise RigError(one_line(found)) from found
            bar.update(shown() - bar.n)
            count = arrived()
            if count != newest:
                newest, since = count, time.monotonic()
            if time.monotonic() - since > stall_s:
                raise RigError(f"no image for {stall_s:.0f} s; see {cameras.log}")
            time.sleep(0.05)
        cameras.check()
        bar.update(shown() - bar.n)


def settle(receiver: Receiver, sent: dict[str, Any]) -> None:
    """Wait until the node's diagnostics account for every image sent.

    At most a few seconds, while it works on a pair more: an engine may be slow.
    """
    start = since = time.monotonic()
    while time.monotonic() < min(since + SETTLE_TIMEOUT_S, start + STALL_TIMEOUT_S):
        perception = receiver.diagnostics.get("perception", {})
        received = [
            integer(receiver.diagnostics.get(f"{camera} camera", {}).get("received"))
            for camera in ("rgb", "thermal")
        ]
        busy = integer(perception.get("waiting")) + integer(perception.get("in_progress"))
        if (
            received == [sent[camera]["sent"] for camera in ("rgb", "thermal")]
            and not busy
            and integer(perception.get("published")) == receiver.complete
        ):
            return
        if busy:
            since = time.monotonic()
        time.sleep(0.05)
