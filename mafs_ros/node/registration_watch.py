"""The thread that watches the registration beside the frames: it never makes one wait."""

import threading
import time
import traceback

import numpy as np

from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.node.diagnostics import OK, WARN, Status, number
from mafs_ros.node.warnings import Warnings
from mafs_ros.perception.alignment.watch import FRAMES, OffsetWatch, advice, direction
from mafs_ros.perception.pairing.mailbox import Mailbox

WATCH = "mafs registration watch"  # name of the thread


class RegistrationWatch(threading.Thread):
    """Measures one frame a second, some 10 ms each; see `OffsetWatch`.

    warn_px: the offset from which on `status` warns; 0 measures nothing.
    """

    def __init__(self, warnings: Warnings, warn_px: float) -> None:
        super().__init__(name=WATCH, daemon=True)
        self.warn_px = warn_px
        self._watch, self._frames, self._warnings = OffsetWatch(), Mailbox(), warnings
        self._failure_said = False

    def offer(self, rgb: np.ndarray, thermal: np.ndarray) -> None:
        """Leave a frame, if one is due: rgb [H, W, 3], thermal [H, W] as the network saw it."""
        if self.warn_px and self._watch.due(time.monotonic()):
            self._frames.put((rgb, thermal))

    def run(self) -> None:
        while (frame := self._frames.take()) is not None:
            try:
                rgb, thermal = frame
                self._watch.add(rgb, thermal, time.monotonic())
            except Exception as error:  # must not end the watch
                self._warnings.logger.debug(traceback.format_exc())
                if not self._failure_said:
                    self._failure_said = True
                    self._warnings.warn_once(
                        Fault.ALIGNMENT_UNCHECKED, f"registration not checked: {one_line(error)}"
                    )

    def close(self) -> None:
        """End the thread and wait for it."""
        self._frames.close()
        self.join()

    def status(self) -> Status:
        """The line of /diagnostics."""
        offset = self._watch.offset
        if not self.warn_px:
            return Status("alignment", OK, "not watched (registration_warn_px is 0)", {})
        if offset is None:
            return Status("alignment", OK, f"not known before {FRAMES} frames", {})
        text = advice(offset, self.warn_px)
        measured = f"{offset.length:.1f} px {direction(offset)}".strip()
        values = {
            "offset_px": number(offset.length),
            "offset_x_px": number(offset.dx),
            "offset_y_px": number(offset.dy),
            "certainty": number(offset.certainty),
        }
        if text:
            return Status("alignment", WARN, text, values, Fault.ALIGNMENT)
        return Status("alignment", OK, measured, values)
