"""What the node says on its log, and not too often."""

import time
from typing import Any

from rclpy.node import Node

from mafs_ros.node.camera_health import CameraHealth
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


class Warnings:
    """Warnings of a node, at most one of a kind in a few seconds.

    pair: of which of several pairs of cameras they are; logger: for what else is said of it.
    """

    def __init__(self, node: Node, pair: str = "") -> None:
        self.logger = PairLogger(node.get_logger(), pair) if pair else node.get_logger()
        self._throttle = Throttle()

    def warn(self, kind: str, text: str) -> None:
        """Warn, unless something of this kind was said just before."""
        if self._throttle.take(kind, time.monotonic()):
            self.logger.warning(text)

    def refuse(self, camera: CameraHealth, reason: str) -> None:
        """Count a message that holds no usable image, and warn of it."""
        camera.refused(time.monotonic(), reason)
        self.warn(
            f"{camera.name} image",
            f"{camera.name} image on {camera.topic} skipped ({camera.bad} so far): {reason}",
        )
