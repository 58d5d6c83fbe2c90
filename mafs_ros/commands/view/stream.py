"""Hands the messages of topics to the viewer."""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Any

PERIOD_S = 0.2  # between two pictures of a panel: faster, browsers without a GPU fall behind


def topics_of(args: argparse.Namespace) -> dict[str, str]:
    """Panel -> topic name."""
    root = f"/{args.namespace.strip('/')}" if args.namespace.strip("/") else ""
    names = {
        "rgb": args.rgb_topic,
        "thermal": args.thermal_topic,
        "fused": "mafs/fused/image",
        "overlay": "mafs/segmentation/overlay",
    }
    if args.confidence:
        names["confidence"] = "mafs/segmentation/confidence"
    return {
        panel: name if name.startswith("/") else f"{root}/{name}" for panel, name in names.items()
    }


def show_topics(topics: dict[str, str], recording: Any) -> None:
    """Subscribe and hand on the newest image of each topic; returns at Ctrl-C."""
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.qos import QoSProfile, QoSReliabilityPolicy
    from sensor_msgs.msg import Image

    rclpy.init(args=[])
    node = rclpy.create_node("mafs_view")
    viewer = Viewer(recording, node.get_logger())
    for panel, topic in topics.items():
        # Some cameras offer best effort alone; the node's outputs are reliable.
        reliability = (
            QoSReliabilityPolicy.BEST_EFFORT
            if panel in ("rgb", "thermal")
            else QoSReliabilityPolicy.RELIABLE
        )
        node.create_subscription(
            Image, topic, partial(viewer.show, panel), QoSProfile(depth=1, reliability=reliability)
        )
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()


class Viewer:
    """Turns image messages into pictures of a recording, a few a second of each panel."""

    def __init__(self, recording: Any, logger: Any) -> None:
        from mafs_ros.perception.thermal import ThermalScaler

        self._recording, self._logger = recording, logger
        self._scaler = ThermalScaler()
        self._due: dict[str, float] = {}

    def show(self, panel: str, message: Any) -> None:
        """Send one image if the panel is due; a bad one is reported and left out."""
        from rerun import Image

        now = time.monotonic()
        if now < self._due.get(panel, 0.0):
            return
        self._due[panel] = now + PERIOD_S
        stamp_s = message.header.stamp.sec + message.header.stamp.nanosec / 1e9
        try:
            picture = self.picture(panel, message, stamp_s)
        except ValueError as error:
            self._logger.warning(f"{panel}: {error}", throttle_duration_sec=5.0)
            return
        self._recording.set_time("stamp", timestamp=stamp_s)
        self._recording.log(panel, Image(picture))

    def picture(self, panel: str, message: Any, stamp_s: float) -> Any:
        """uint8 [H,W,3] rgb, or [H,W] thermal; raises ValueError for no usable image."""
        from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message

        if panel == "thermal":
            return self._scaler(thermal_from_message(message), stamp_s)
        return rgb_from_message(message)
