"""How the cameras wait: for the node, for its answer to a pair, for the time of the next shot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from mafs_ros.cameras.shots import SECOND
from mafs_ros.perception.pairing.policy import Pairing


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Whether a condition of the ROS graph comes true in time; Humble has no events for them."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


class Pacer:
    """Waits after each pair for word from its receiver.

    Pairs are formed here from the stamps sent, with the rules of the receiver's node. Counted is
    how many are done: near a lost image the node may pair otherwise than here, but no more often.
    """

    def __init__(self, node: Node, values: dict[str, Any]) -> None:
        self._pairing = Pairing(self._paired, slop_s=values["pace_slop_s"])
        self._timeout_s = values["pace_timeout_s"]
        self._open = 0  # pairs sent and not done
        self._changed = threading.Condition()
        self.pairs = 0
        self.timeouts = 0
        self._node = node
        self._topic = node.create_subscription(
            Header, values["pace_topic"], self._receive, QoSProfile(depth=10)
        ).topic_name

    def _paired(self, rgb: Any, thermal: Any) -> None:
        self.pairs += 1
        with self._changed:
            self._open += 1

    def _receive(self, header: Header) -> None:
        with self._changed:
            self._open -= 1
            self._changed.notify()

    def wait_for_receiver(self, timeout_s: float) -> None:
        """Return once somebody publishes the topic; else raise TimeoutError."""

        def heard() -> bool:
            return self._node.count_publishers(self._topic) > 0

        if not wait_until(heard, timeout_s):
            raise TimeoutError(
                f"nobody publishes pace_topic {self._topic} after {timeout_s:g} s: "
                "is the receiver running, with the same ROS_DOMAIN_ID?"
            )

    def wait(self, camera: str, stamp: int) -> bool:
        """Take note of an image just sent; if it makes a pair, wait for that and return True."""
        before = self.pairs
        time_message = Time(sec=stamp // SECOND, nanosec=stamp % SECOND)
        message = SimpleNamespace(header=Header(stamp=time_message))
        if camera == "rgb":
            self._pairing.add_rgb(message)
        elif camera == "thermal":
            self._pairing.add_thermal(message)
        if self.pairs == before:
            return False
        with self._changed:
            if not self._changed.wait_for(lambda: self._open <= 0, self._timeout_s):
                self.timeouts += 1
            self._open = 0
        return True
