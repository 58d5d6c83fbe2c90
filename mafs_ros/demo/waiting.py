"""Waits until the cameras of the demo have sent everything."""

from __future__ import annotations

import time

from mafs_ros.base.errors import one_line
from mafs_ros.demo.picture_writer import PictureWriter
from mafs_ros.rig.processes import STALL_TIMEOUT_S, Process, RigError, progress
from mafs_ros.rig.receiver import Receiver
from mafs_ros.rig.source import Source


def wait_for_frames(
    source: Source,
    receiver: Receiver,
    writer: PictureWriter | None,
    processes: tuple[Process, ...],
) -> None:
    """Return when the cameras have sent everything; shows the frames that came out."""
    cameras = processes[1]
    newest, since = 0, time.monotonic()
    with progress(source.pairs, "frames") as bar:
        while cameras.code is None:
            for process in processes:
                process.check()
            for error in (receiver.error, writer and writer.error):
                if error:
                    raise RigError(one_line(error)) from error
            bar.update(receiver.complete - bar.n)
            arrived = len(receiver.received["rgb"]) or receiver.complete
            if arrived != newest:
                newest, since = arrived, time.monotonic()
            if time.monotonic() - since > STALL_TIMEOUT_S:
                raise RigError(f"no image for {STALL_TIMEOUT_S:.0f} s; see {cameras.log}")
            time.sleep(0.05)
        cameras.check()
        bar.update(receiver.complete - bar.n)
