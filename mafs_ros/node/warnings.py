"""What the node says of faults: on its log, and not too often, and for /diagnostics."""

import time

from rclpy.node import Node

from mafs_ros.base.faults import Fault
from mafs_ros.node.camera_health import CameraHealth
from mafs_ros.node.fault_record import FaultRecord
from mafs_ros.node.health import Throttle


class Warnings:
    """The one place where a WARN or ERROR gets onto the log: with its code.

    faults: the record of the node, which keeps them for /diagnostics. `errors` counts ERRORs.
    """

    def __init__(self, node: Node, faults: FaultRecord) -> None:
        self._logger = node.get_logger()
        self.faults = faults
        self.errors = 0
        self._throttle = Throttle()

    def warn(self, fault: Fault, text: str, kind: str = "") -> None:
        """Warn, unless this fault of this kind (which camera, which cause) was just said."""
        self.faults.add(fault, text)
        if self._throttle.take(f"{fault.code} {kind}", time.monotonic()):
            self._logger.warning(f"{fault.code}: {text}")

    def warn_once(self, fault: Fault, text: str) -> None:
        """Warn of what the caller says once alone."""
        self.faults.add(fault, text)
        self._logger.warning(f"{fault.code}: {text}")

    def error(self, fault: Fault, text: str) -> None:
        """Say what has failed."""
        self.errors += 1
        self.faults.add(fault, text)
        self._logger.error(f"{fault.code}: {text}")

    def debug(self, text: str) -> None:
        """Where a fault came from."""
        self._logger.debug(text)

    def refuse(self, camera: CameraHealth, reason: str) -> None:
        """Count a message that holds no usable image, and warn of it."""
        camera.refused(time.monotonic(), reason)
        self.warn(
            Fault.CAMERA_IMAGE,
            f"{camera.name} image on {camera.topic} skipped ({camera.bad} so far): {reason}",
            camera.name,
        )
