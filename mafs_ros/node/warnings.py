"""What the node says on its log, and not too often."""

import time

from rclpy.node import Node

from mafs_ros.node.camera_health import CameraHealth
from mafs_ros.node.health import Throttle


class Warnings:
    """Warnings of a node, at most one of a kind in a few seconds."""

    def __init__(self, node: Node) -> None:
        self._logger = node.get_logger()
        self._throttle = Throttle()

    def warn(self, kind: str, text: str) -> None:
        """Warn, unless something of this kind was said just before."""
        if self._throttle.take(kind, time.monotonic()):
            self._logger.warning(text)

    def refuse(self, camera: CameraHealth, reason: str) -> None:
        """Count a message that holds no usable image, and warn of it."""
        camera.refused(time.monotonic(), reason)
        self.warn(
            f"{camera.name} image",
            f"{camera.name} image on {camera.topic} skipped ({camera.bad} so far): {reason}",
        )
