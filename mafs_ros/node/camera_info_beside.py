"""The RGB camera's CameraInfo, beside the images that the node makes of its images."""

import time
from collections.abc import Iterable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from mafs_ros.base.stamps import nanoseconds
from mafs_ros.images.messages.cdr import header_frame, header_stamp, with_stamp
from mafs_ros.perception.registration.topics import camera_info_beside

# Taken from drivers of either reliability.
INFO_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
OUTPUT_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
KEPT = 32  # messages, for images that wait for their partner
TOO_OLD_S = 5.0


class CameraInfoBeside:
    """Subscribes to the camera's own while somebody subscribes to a topic beside an output.

    topic: of the camera; images: full names of the outputs. What is published has the stamp of
    the frame and is else what the camera said: with the same stamp or, where it has none of that,
    last. Nothing is where the camera says nothing, or is another one by its frame_id: then the
    topic belongs to two cameras, or the frame is of the thermal camera alone.

    Messages stay in their serialised form. `watch` and the subscription run in the thread that
    spins, `publish` in the worker's.
    """

    def __init__(self, node: Node, topic: str, images: Iterable[str]) -> None:
        self._node, self._topic = node, topic
        names = dict.fromkeys(camera_info_beside(image) for image in images)
        self._publishers = [node.create_publisher(CameraInfo, name, OUTPUT_QOS) for name in names]
        self._subscription: Any = None
        self._recent: dict[int, bytes] = {}  # by stamp, the newest last
        self._newest: tuple[float, bytes] | None = None  # with the time of its arrival

    def watch(self) -> None:
        """Once a second: hear the camera while somebody hears this."""
        wanted = any(publisher.get_subscription_count() for publisher in self._publishers)
        if wanted and self._subscription is None:
            self._subscription = self._node.create_subscription(
                CameraInfo, self._topic, self._on_info, INFO_QOS, raw=True
            )
        elif not wanted:
            self.unsubscribe()

    def publish(self, header: Any) -> None:
        """Publish what belongs to a frame with this header."""
        newest, stamp = self._newest, nanoseconds(header.stamp)
        if newest is None or time.monotonic() - newest[0] > TOO_OLD_S:
            return
        info = self._recent.get(stamp, newest[1])
        if header_frame(info) != header.frame_id:
            return
        info = with_stamp(info, stamp)
        for publisher in self._publishers:
            publisher.publish(info)

    def unsubscribe(self) -> None:
        """Hear the camera no more, until the next `watch`."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        self._newest = None
        self._recent.clear()

    def close(self) -> None:
        """Unsubscribe and destroy the publishers."""
        self.unsubscribe()
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)

    def _on_info(self, raw: bytes) -> None:
        self._recent[header_stamp(raw)] = raw
        if len(self._recent) > KEPT:
            self._recent.pop(next(iter(self._recent)))
        self._newest = time.monotonic(), raw
