"""The cameras and the consumer of the node under test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import ChangeState, GetState
from node_messages import header, rgb_message, stamp_of, thermal_message
from node_process import DEADLINE_S
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

try:
    from vision_msgs.msg import LabelInfo
except ImportError:
    LabelInfo = None

# What becomes of a pair, as the status `perception` counts it.
OUTCOMES = (
    "waiting",
    "in_progress",
    "published",
    "failed",
    "bad_image",
    "not_subscribed",
    "not_registered",
    "replaced_while_busy",
    "discarded",
)
RELIABLE = QoSProfile(depth=500, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
TOPICS = {
    "fused": "/mafs/fused/image",
    "labels": "/mafs/segmentation/labels",
    "overlay": "/mafs/segmentation/overlay",
}


class Statuses(dict[str, DiagnosticStatus]):
    """Of /diagnostics; what it has not told yet is stale."""

    def __missing__(self, name: str) -> DiagnosticStatus:
        return DiagnosticStatus(level=DiagnosticStatus.STALE, name=name)


class Bench:
    """The cameras and the consumer of the node under test, in this process."""

    def __init__(self, camera_qos: QoSProfile = RELIABLE) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("bench", context=self.context)
        self.changed = threading.Condition()
        self.received: dict[str, list[Any]] = {name: [] for name in (*TOPICS, "label_info")}
        self.status = Statuses()
        self.publishers: dict[str, Any] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin)
        self.thread.start()
        self.camera_qos = camera_qos

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def subscribe(self, *names: str) -> None:
        for name in names:
            self.node.create_subscription(
                Image, TOPICS[name], lambda message, name=name: self._take(name, message), RELIABLE
            )

    def subscribe_label_info(self) -> None:
        self.node.create_subscription(
            LabelInfo or String,
            "/mafs/segmentation/label_info",
            lambda message: self._take("label_info", message),
            LATCHED,
        )

    def _take(self, name: str, message: Any) -> None:
        with self.changed:
            self.received[name].append(message)
            self.changed.notify_all()

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        with self.changed:
            self.status = Statuses(
                {status.name.partition(": ")[2]: status for status in array.status}
            )
            self.changed.notify_all()

    def wait(self, condition: Callable[[], Any], what: str, timeout_s: float = DEADLINE_S) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout_s), f"{what}; {self.values()}"

    def values(self, name: str = "perception") -> dict[str, str]:
        """The newest /diagnostics values of one status."""
        status = self.status.get(name)
        return {} if status is None else {item.key: item.value for item in status.values}

    def counts(self, name: str = "perception") -> dict[str, int]:
        return {key: int(value) for key, value in self.values(name).items() if value.isdigit()}

    def wait_for_counts(self, name: str = "perception", **expected: int) -> None:
        self.wait(lambda: expected.items() <= self.counts(name).items(), f"expected {expected}")

    def publish(self, camera: str, message: Any) -> None:
        compressed = isinstance(message, CompressedImage)
        topic = f"/{camera}/image" + "/compressed" * compressed
        if topic not in self.publishers:
            self.publishers[topic] = self.node.create_publisher(
                type(message), topic, self.camera_qos
            )
        self.publishers[topic].publish(message)

    def send_pair(self, stamp_ns: int, **messages: Any) -> int:
        """Send a pair, images of the test's own where no messages are given; returns the stamp."""
        pair = {"rgb": rgb_message(stamp_ns), "thermal": thermal_message(stamp_ns), **messages}
        for camera, message in pair.items():
            message.header = header(stamp_ns, f"{camera}_camera")
            self.publish(camera, message)
        return stamp_ns

    def connect(self, *outputs: str, make: Callable[[], dict[str, Any]] = dict) -> int:
        """Subscribe, then send pairs until one has come back on each output; the newest stamp."""
        self.subscribe(*outputs)
        deadline = time.monotonic() + DEADLINE_S
        stamp = time.time_ns()
        while not all(self.received[name] for name in outputs):
            assert time.monotonic() < deadline, f"nothing comes back; {self.values()}"
            stamp = self.send_pair(time.time_ns(), **make())
            with self.changed:
                self.changed.wait(0.2)
        self.wait_for_stamp(stamp)
        return stamp

    def wait_for_stamp(self, stamp_ns: int, name: str = "fused") -> Image:
        """The output with this stamp."""

        def matching() -> list[Image]:
            return [message for message in self.received[name] if stamp_of(message) == stamp_ns]

        self.wait(matching, f"no {name} with stamp {stamp_ns}")
        return matching()[0]

    def call(self, kind: Any, service: str, request: Any) -> Any:
        client = self.node.create_client(kind, service)
        assert client.wait_for_service(DEADLINE_S), service
        future = client.call_async(request)
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        assert done.wait(DEADLINE_S), f"no answer from {service}"
        self.node.destroy_client(client)
        return future.result()

    def transition(self, label: str) -> bool:
        request = ChangeState.Request()
        request.transition.label = label
        return self.call(ChangeState, "/mafs/change_state", request).success

    def state(self) -> str:
        return self.call(GetState, "/mafs/get_state", GetState.Request()).current_state.label

    def set_parameters(self, **values: Any) -> list[Any]:
        request = SetParameters.Request(
            parameters=[
                Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
            ]
        )
        return self.call(SetParameters, "/mafs/set_parameters", request).results
