"""What the node says of faults: on its log, and not too often, and for /diagnostics."""

import time
from typing import Any

from rclpy.node import Node

from mafs_ros.base.faults import Fault
from mafs_ros.node.camera_health import CameraHealth
from mafs_ros.node.fault_record import FaultRecord
from mafs_ros.node.health import Throttle
from mafs_ros.parameters.pairs import in_words_of


class PairLogger:
    """A node's log for what is said of one of several pairs of cameras: NAME: ..."""

    def __init__(self, logger: Any, pair: str) -> None:
        self._logger, self._pair = logger, pair

    def _named(self, text: str) -> str:
        return f"{self._pair}: {in_words_of(self._pair, text)}"

    # Each in a line of its own: to rclpy a line of a program has one severity.
    def debug(self, text: str) -> None:
        self._logger.debug(self._named(text))

    def info(self, text: str) -> None:
        self._logger.info(self._named(text))

    def warning(self, text: str) -> None:
        self._logger.warning(self._named(text))

    def error(self, text: str) -> None:
        self._logger.error(self._named(text))


class Warnings:
    """The one place where a WARN or ERROR gets onto the log: with its code.

    faults: the record of the node, which keeps them for /diagnostics; pair: of which of several
    pairs of cameras they are. `logger` is for what else is said of it, `errors` counts ERRORs.
    """

    def __init__(self, node: Node, faults: FaultRecord, pair: str = "") -> None:
        self.logger = PairLogger(node.get_logger(), pair) if pair else node.get_logger()
        self.faults = faults
        self.errors = 0
        self._pair, self._throttle = pair, Throttle()

    def note(self, fault: Fault, text: str) -> None:
        """Keep for /diagnostics what needs no line of its own on the log."""
        self.faults.add(
            fault, f"{self._pair}: {in_words_of(self._pair, text)}" if self._pair else text
        )

    def warn(self, fault: Fault, text: str, kind: str = "") -> None:
        """Warn, unless this fault of this kind (which camera, which cause) was just said."""
        self.note(fault, text)
        if self._throttle.take(f"{fault.code} {kind}", time.monotonic()):
            self.logger.warning(f"{fault.code}: {text}")

    def warn_once(self, fault: Fault, text: str) -> None:
        """Warn of what the caller says once alone."""
        self.note(fault, text)
        self.logger.warning(f"{fault.code}: {text}")

    def error(self, fault: Fault, text: str) -> None:
        """Say what has failed."""
        self.errors += 1
        self.note(fault, text)
        self.logger.error(f"{fault.code}: {text}")

    def refuse(self, camera: CameraHealth, reason: str) -> None:
        """Count a message that holds no usable image, and warn of it."""
        camera.refused(time.monotonic(), reason)
        self.warn(
            Fault.CAMERA_IMAGE,
            f"{camera.name} image on {camera.topic} skipped ({camera.bad} so far): {reason}",
            camera.name,
        )
