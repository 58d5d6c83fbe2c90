"""The subscriptions to the two cameras, from activate to deactivate."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.validate_topic_name import validate_topic_name
from sensor_msgs.msg import CompressedImage, Image

from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.images.messages.cdr import CdrError, read_image
from mafs_ros.node.camera_health import CameraHealth
from mafs_ros.node.diagnostics import silence
from mafs_ros.node.offers import SUFFIX, why_silent
from mafs_ros.node.state import Arrival, describe, seconds
from mafs_ros.node.warnings import Warnings
from mafs_ros.parameters.table import ParameterError

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError


def input_topic(node: Node, values: Mapping[str, Any], camera: str) -> str:
    """The full name of the topic subscribed for 'rgb' or 'thermal', remappings included.

    Raises ParameterError for what is no name of a topic.
    """
    topic = full_topic(node, f"{camera}_topic", values[f"{camera}_topic"])
    if values[f"{camera}_transport"] == "compressed":  # whose own name may be remapped too
        return node.resolve_topic_name(f"{topic.removesuffix(SUFFIX)}{SUFFIX}")
    return topic


def full_topic(node: Node, parameter: str, name: str) -> str:
    """The full name of a topic, remappings included; ParameterError for what is no name."""
    try:
        validate_topic_name(name)
    except InvalidTopicNameException as error:
        reason = str(error).splitlines()[0].rstrip(":")
        raise ParameterError(
            f"parameter {parameter}: got {name!r}, expected the name of a topic ({reason})"
        ) from None
    return node.resolve_topic_name(name)


class Inputs:
    """Hands every image of two cameras, with the camera's name, to `take`.

    values: the node's parameters when it was activated. With input_reliability `auto` a camera
    that offers no more than best effort is subscribed anew by `accept_best_effort`.
    """

    def __init__(
        self,
        node: Node,
        values: dict[str, Any],
        cameras: tuple[CameraHealth, CameraHealth],
        take: Callable[[str, Arrival], None],
        warnings: Warnings,
    ) -> None:
        self._node = node
        self._values = values
        self._cameras = cameras
        self._take = take
        self._warnings = warnings
        self._subscriptions: dict[str, Any] = {}  # by camera

    def open(self) -> None:
        """Subscribe to both."""
        for camera in self._cameras:
            self._subscribe(camera, self._values["input_reliability"] != "best_effort")

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)

    def accept_best_effort(self) -> None:
        """Subscribe anew, with best effort, to a camera that turned out to offer no more."""
        for camera in self._cameras:
            if camera.best_effort:
                camera.best_effort = False
                self._subscribe(camera, reliable=False)
                self._warnings.logger.info(
                    f"{camera.topic} is offered with best_effort alone: "
                    "subscribed anew with best_effort"
                )

    def watch(self, now: float, stale_s: float) -> None:
        """Warn of a camera that has become silent, and say when it is back."""
        for camera in self._cameras:
            if camera.is_silent(now, stale_s):
                why = why_silent(
                    self._node,
                    camera.name,
                    camera.topic,
                    self._values[f"{camera.name}_transport"],
                )
                self._warnings.warn(
                    Fault.CAMERA_SILENT, f"{silence(camera, now)} ({why})", camera.name
                )
                camera.silent = True
            elif camera.silent:
                self._warnings.logger.info(f"{camera.name} messages on {camera.topic} come again")
                camera.silent = False

    def _subscribe(self, camera: CameraHealth, reliable: bool) -> None:
        """Subscribe to a camera, in place of an earlier subscription if there is one."""
        if camera.name in self._subscriptions:
            self._node.destroy_subscription(self._subscriptions[camera.name])
        compressed = self._values[f"{camera.name}_transport"] != "raw"
        callback: Callable[[Any], None] = partial(
            self._on_image if compressed else self._on_raw_image, camera
        )
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._values["input_depth"],
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        )
        subscribe = partial(
            self._node.create_subscription,
            CompressedImage if compressed else Image,
            camera.topic,
            callback,
            qos,
            raw=not compressed,
        )
        events = SubscriptionEventCallbacks(
            incompatible_qos=partial(self._on_incompatible_qos, camera),
            message_lost=partial(self._on_lost, camera),
        )
        try:
            self._subscriptions[camera.name] = subscribe(event_callbacks=events)
        except UnsupportedEventTypeError:  # a middleware that does not know them
            none = SubscriptionEventCallbacks()
            self._subscriptions[camera.name] = subscribe(event_callbacks=none)

    def _on_raw_image(self, camera: CameraHealth, raw: bytes) -> None:
        try:
            message = read_image(raw)
        except CdrError as error:
            self._warnings.refuse(camera, one_line(error))
            return
        self._on_image(camera, message)

    def _on_image(self, camera: CameraHealth, message: Any) -> None:
        arrival = Arrival(message, time.monotonic())
        camera.arrived(arrival.at, describe(message), seconds(arrival))
        self._take(camera.name, arrival)

    def _on_incompatible_qos(self, camera: CameraHealth, event: Any) -> None:
        """The camera offers less than reliable: say who, or be content with it (`auto`)."""
        if self._values["input_reliability"] == "auto":
            camera.best_effort = True  # not here: this subscription is being served
            return
        offers = [
            f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
            for publisher in self._node.get_publishers_info_by_topic(camera.topic)
            if publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
        ]
        self._warnings.warn(
            Fault.CAMERA_QOS,
            f"incompatible QoS on {camera.topic}: {', '.join(offers) or 'its publisher'} offers "
            "best_effort, this node requests reliable: no image comes from there; set "
            "input_reliability to auto or best_effort",
            camera.name,
        )

    def _on_lost(self, camera: CameraHealth, event: Any) -> None:
        camera.lost += event.total_count_change
        self._warnings.warn(
            Fault.CAMERA_LOST,
            f"{camera.lost} {camera.name} messages on {camera.topic} were lost on the way: give "
            "the camera and this node the Fast DDS profile of mafs_ros (config/fastdds_shm.xml), "
            "or set input_reliability to reliable",
            camera.name,
        )
