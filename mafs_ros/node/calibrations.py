"""The subscriptions to what tells how the cameras see: CameraInfo and TF."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from mafs_ros.base.faults import Fault
from mafs_ros.node.inputs import full_topic, input_topic
from mafs_ros.node.state import Session
from mafs_ros.node.warnings import Warnings
from mafs_ros.parameters.table import ParameterError
from mafs_ros.perception.build import known_cameras
from mafs_ros.perception.registration.known import KnownCameras
from mafs_ros.perception.registration.topics import camera_info_beside

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # no part of a minimal ROS
    TFMessage = None

CAMERAS = ("rgb", "thermal")
# Taken from drivers of either reliability; the next one comes with the next image.
INFO_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
TF_QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
TF_STATIC_QOS = QoSProfile(
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


def info_topics(node: Node, values: Mapping[str, Any]) -> dict[str, str]:
    """The full names of the CameraInfo topics by camera; raises ParameterError."""
    topics = {camera: info_topic(node, values, camera) for camera in CAMERAS}
    if topics["rgb"] == topics["thermal"]:
        raise ParameterError(
            f"parameters rgb_camera_info_topic and thermal_camera_info_topic: both are "
            f"{topics['rgb']}, expected the topics of two cameras"
        )
    return topics


def info_topic(node: Node, values: Mapping[str, Any], camera: str) -> str:
    """The full name of a camera's CameraInfo topic; raises ParameterError."""
    parameter = f"{camera}_camera_info_topic"
    given = values[parameter] or camera_info_beside(input_topic(node, values, camera))
    return full_topic(node, parameter, given)


def known_to(node: Node, values: Mapping[str, Any]) -> KnownCameras | None:
    """What will register by CameraInfo; None where the parameters name another way.

    Raises ParameterError for impossible topics, and where only TF could tell how the cameras sit
    and its messages are not installed.
    """
    if values["registration"] != "camera_info":
        return None
    images = {camera: input_topic(node, values, camera) for camera in CAMERAS}
    known = known_cameras(values, images, info_topics(node, values))
    if known is not None and known.needs_transform and TFMessage is None:
        raise ParameterError(
            "parameter thermal_to_rgb_translation_m: got zeros, which leaves it to TF, but "
            "tf2_msgs is not installed: install it (ros-DISTRO-tf2-msgs), or give the transform "
            "here and in thermal_to_rgb_rotation"
        )
    return known


class Calibrations:
    """Hands CameraInfo and TF to `session.known`, and what follows to the perception.

    Everything runs in the thread that spins, so tables are built beside the worker, which takes
    the new registration at its next frame.
    """

    def __init__(
        self, node: Node, values: Mapping[str, Any], session: Session, warnings: Warnings
    ) -> None:
        self._node, self._session, self._warnings = node, session, warnings
        self._values = values
        self._since = time.monotonic()
        self._subscriptions: list[Any] = []
        self._tf: Any = None

    def open(self) -> None:
        """Subscribe, where the parameters ask for it."""
        known = self._session.known
        if known is None:
            return
        for camera, topic in info_topics(self._node, self._values).items():
            callback = partial(self._on_info, camera)
            self._subscriptions.append(
                self._node.create_subscription(CameraInfo, topic, callback, INFO_QOS)
            )
        if not known.is_fixed:
            self._subscriptions.append(
                self._node.create_subscription(
                    TFMessage, "/tf_static", self._on_transforms, TF_STATIC_QOS
                )
            )

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        self._listen_to_tf(False)

    def watch(self, now: float, stale_s: float) -> None:
        """Once a second: warn of what is wrong, or missing for long; hear /tf while needed."""
        known = self._session.known
        if known is None:
            return
        self._listen_to_tf(known.needs_transform)
        if known.trouble and (known.is_refused or now - self._since >= stale_s):
            self._warn_of(known)

    def _listen_to_tf(self, needed: bool) -> None:
        """/tf brings hundreds of messages a second, and a rig is rigid: once found is enough."""
        if needed and self._tf is None:
            self._tf = self._node.create_subscription(
                TFMessage, "/tf", self._on_transforms, TF_QOS
            )
        elif not needed and self._tf is not None:
            self._node.destroy_subscription(self._tf)
            self._tf = None

    def _warn_of(self, known: KnownCameras) -> None:
        fault = Fault.NOT_REGISTERED if known.registration is None else Fault.CAMERA_INFO
        self._warnings.warn(fault, f"registration: {known.trouble}")

    def _on_info(self, camera: str, info: Any) -> None:
        known = self._session.known
        if known is not None and known.take_info(camera, info):
            self._take_over(known)

    def _on_transforms(self, message: Any) -> None:
        known = self._session.known
        if known is not None and known.take_transforms(message.transforms):
            self._take_over(known)

    def _take_over(self, known: KnownCameras) -> None:
        if known.trouble and known.is_refused:
            self._warn_of(known)
        perception = self._session.perception
        if known.registration is not perception.registration:
            perception.registration = known.registration
            self._warnings.logger.info(f"registration by camera_info: {known.description}")
