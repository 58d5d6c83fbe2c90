"""Waits until the cameras of the demo have sent everything."""

from __future__ import annotations

from mafs_ros.demo.picture_writer import PictureWriter
from mafs_ros.rig.processes import Process
from mafs_ros.rig.receiver import Receiver
from mafs_ros.rig.source import Source
from mafs_ros.rig.start_and_end import wait_for_cameras


def wait_for_frames(
    source: Source,
    receiver: Receiver,
    writer: PictureWriter | None,
    processes: tuple[Process, ...],
) -> None:
    """Return when the cameras have sent everything; shows the frames that came out."""

    def error() -> BaseException | None:
        return receiver.error or (writer.error if writer else None)

    wait_for_cameras(
        processes,
        source.pairs,
        "frames",
        shown=lambda: receiver.complete,
        arrived=lambda: len(receiver.received["rgb"]) or receiver.complete,
        error=error,
    )
