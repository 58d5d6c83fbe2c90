"""The subscription to the depth images of the RGB camera's view."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.base.stamps import nanoseconds
from mafs_ros.images.messages.cdr import CdrError, read_image
from mafs_ros.images.messages.decode import depth_from_message
from mafs_ros.images.messages.pixels import ImageError
from mafs_ros.node.inputs import full_topic
from mafs_ros.node.state import Arrival
from mafs_ros.node.warnings import Warnings
from mafs_ros.perception.pairing.recent import Recent

DEPTH_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.BEST_EFFORT
)


@dataclass
class DepthCounts:
    """received: messages; used, missing: RGB images with and without depth; bad: unreadable."""

    received: int = 0
    used: int = 0
    missing: int = 0
    bad: int = 0
    newest: float | None = None  # monotonic time of the newest message


class DepthInput:
    """Keeps the newest depth images; the worker takes the one nearest to an RGB image.

    Messages are put in by the thread that spins and taken by the worker. slop_s may be changed.
    """

    def __init__(self, node: Node, topic: str, slop_s: float, warnings: Warnings) -> None:
        self.topic = full_topic(node, "depth_topic", topic)
        self.slop_s = slop_s
        self.counts = DepthCounts()
        self.since = time.monotonic()
        self._node, self._warnings = node, warnings
        self._recent = Recent()
        self._subscription: Any = None

    def open(self) -> None:
        """Subscribe."""
        self._subscription = self._node.create_subscription(
            Image, self.topic, self._on_raw, DEPTH_QOS, raw=True
        )

    def close(self) -> None:
        """Unsubscribe."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def nearest(self, rgb: Arrival, pair_by: str) -> np.ndarray | None:
        """Depth in metres, float32 [h,w], for an RGB image; None where none is near enough.

        By stamps; with pair_by `arrival` by the time of arrival.
        """
        message = self._recent.nearest(
            nanoseconds(rgb.header.stamp), rgb.received_ns, pair_by, self.slop_s
        )
        if message is None:
            self.counts.missing += 1
            return None
        try:
            depth = depth_from_message(message)
        except ImageError as error:
            self._refuse(error)
            return None
        self.counts.used += 1
        return depth

    def _on_raw(self, raw: bytes) -> None:
        arrival_s = time.monotonic()
        self.counts.received += 1
        self.counts.newest = arrival_s
        try:
            arrival = Arrival(read_image(raw), arrival_s)
        except CdrError as error:
            self._refuse(error)
            return
        stamp_ns = nanoseconds(arrival.header.stamp)
        self._recent.add(stamp_ns, arrival.received_ns, arrival.message)

    def _refuse(self, error: Exception) -> None:
        self.counts.bad += 1
        self._warnings.warn(
            Fault.DEPTH_IMAGE,
            f"depth image on {self.topic} not used ({self.counts.bad} so far), plane_depth_m is: "
            f"{one_line(error)}",
        )
