"""Publishes shots as two cameras would."""

from __future__ import annotations

import csv
import time
from collections import deque
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from mafs_ros.cameras.faults import Faults
from mafs_ros.cameras.shots import SECOND, Shot
from mafs_ros.cameras.waiting import Pacer, wait_until
from mafs_ros.images.messages.cdr import header_stamp, with_stamp
from mafs_ros.perception.registration.topics import camera_info_beside

LATE_MS = 500.0


def topics(values: dict[str, Any]) -> dict[str, str]:
    """What may be published -> its topic, empty where it is not."""
    found = {name: values[f"{name}_topic"] for name in ("rgb", "thermal", "labels", "depth")}
    if values["rig"] != "aligned":
        for camera in ("rgb", "thermal"):
            found[f"{camera}_info"] = camera_info_beside(found[camera])
    return found


class Cameras:
    """Publishes shots at their times and counts them."""

    def __init__(
        self, node: Node, values: dict[str, Any], types: dict[str, type] | None = None
    ) -> None:
        self._node = node
        self._values = values
        reliable = values["reliability"] == "reliable"
        qos = QoSProfile(
            depth=values["depth"],
            history=QoSHistoryPolicy.KEEP_LAST,
            durability=QoSDurabilityPolicy.VOLATILE,
            reliability=(
                QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT
            ),
        )
        self._reliable = reliable
        self._publishers = {}
        for camera, topic in topics(values).items():
            kind = (types or {}).get(camera, Image)
            if topic:
                name = f"{topic}/compressed" if kind is CompressedImage else topic
                self._publishers[camera] = node.create_publisher(kind, name, qos)
        self._faults = Faults(node, values, types or {})
        self.sent = dict.fromkeys(self._publishers, 0)
        self.lost = dict.fromkeys(self._publishers, 0)
        self.late_ms: deque[float] = deque(maxlen=10_000)
        self._warned = False

    def wait_for_subscribers(self, count: int, timeout_s: float) -> None:
        """Return once both topics have `count` matched subscriptions; else raise TimeoutError."""

        def missing() -> list[Any]:
            return [
                publisher
                for camera, publisher in self._publishers.items()
                if camera in ("rgb", "thermal") and publisher.get_subscription_count() < count
            ]

        if not wait_until(lambda: not missing(), timeout_s):
            raise TimeoutError(
                f"{missing()[0].topic_name} has {missing()[0].get_subscription_count()} "
                f"subscriptions after {timeout_s:g} s, expected {count}: is the receiver "
                "running, with the same ROS_DOMAIN_ID and a QoS that fits?"
            )

    def play(self, shots: Iterator[Shot], pacer: Pacer | None, sent_file: IO[str] | None) -> None:
        """Publish every shot at its time; waiting for the pacer moves what is late after it."""
        log = csv.writer(sent_file) if sent_file else None
        start: int | None = None
        waited = False
        for shot in shots:
            if start is None:
                start = time.monotonic_ns()
                epoch = self._node.get_clock().now().nanoseconds
            if shot.camera not in self._publishers:
                continue
            if shot.message is None:
                self.lost[shot.camera] += 1
                continue
            late = time.monotonic_ns() - start - shot.due
            if late < 0:
                time.sleep(-late / SECOND)
            elif waited:
                start, epoch = start + late, epoch + late
            if self._faults.is_silent(shot.camera):
                self.lost[shot.camera] += 1
                continue
            stamp = shot.stamp if shot.recorded else epoch + shot.stamp
            published = self._publish(shot, stamp)
            self._note_lateness((published - start - shot.due) / 1e6)
            if log:
                topic = self._publishers[shot.camera].topic_name
                log.writerow((topic, stamp, published))
            waited = pacer is not None and pacer.wait(shot.camera, stamp)

    def _publish(self, shot: Shot, stamp: int) -> int:
        """Publish and return the time of it on the monotonic clock, in nanoseconds."""
        assert shot.message is not None  # see `play`
        message = self._faults(shot.camera, shot.message)
        if header_stamp(message) != stamp:
            message = with_stamp(message, stamp)
        now = time.monotonic_ns()
        self._publishers[shot.camera].publish(message)
        self.sent[shot.camera] += 1
        return now

    def _note_lateness(self, late_ms: float) -> None:
        if late_ms > LATE_MS and not self._warned:
            self._warned = True
            self._node.get_logger().warning(
                f"an image is published {late_ms:.0f} ms late: reading or rendering does not keep "
                "up (for the simulation, see parameter cycle)"
            )
        self.late_ms.append(late_ms)

    def finish(self, timeout_s: float = 5.0) -> None:
        """Wait until reliable receivers have acknowledged all images."""
        if self._reliable:
            for publisher in self._publishers.values():
                publisher.wait_for_all_acked(Duration(seconds=timeout_s))

    def summary(self) -> dict[str, Any]:
        """What was sent and lost by camera, and how late the publications were, in ms."""
        late = np.array(self.late_ms) if self.late_ms else np.zeros(1)
        return {
            **{
                camera: {
                    "topic": publisher.topic_name,
                    "sent": self.sent[camera],
                    "dropped": self.lost[camera],
                }
                for camera, publisher in self._publishers.items()
            },
            "late_ms": {
                "median": round(float(np.median(late)), 3),
                "max": round(float(late.max()), 3),
            },
        }
