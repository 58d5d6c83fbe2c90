"""How the cameras of a bag see: CameraInfo, TF and depth of the bag, as the node takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mafs_ros.bags.reader import (
    CAMERA_INFO,
    TF_MESSAGE,
    Bag,
    BagError,
    BagMessage,
    ImageTopic,
)
from mafs_ros.images.messages.decode import depth_from_message
from mafs_ros.images.messages.pixels import ImageError
from mafs_ros.perception.build import known_cameras
from mafs_ros.perception.pairing.recent import Recent
from mafs_ros.perception.registration import CameraRegistration
from mafs_ros.perception.registration.topics import camera_info_beside

TF_TOPICS = ("/tf_static", "/tf")


class BagCameras:
    """Takes CameraInfo, TF and depth in the order of recording.

    settings: parameters of the node with registration: camera_info; topics: RGB and thermal.
    `names`: of the topics to read. Raises BagError where the bag lacks one that is needed.
    """

    def __init__(
        self, bag: Bag, settings: dict[str, Any], topics: tuple[ImageTopic, ImageTopic]
    ) -> None:
        images = dict(zip(("rgb", "thermal"), (topic.name for topic in topics), strict=True))
        self._infos = {
            camera: _full(settings[f"{camera}_camera_info_topic"]) or camera_info_beside(name)
            for camera, name in images.items()
        }
        known = known_cameras(settings, images, self._infos)
        assert known is not None
        self._known = known
        self._depth_topic = _full(settings["depth_topic"])
        self._depth, self._slop_s = Recent(), settings["depth_slop_s"]
        self._pair_by = settings["pair_by"]
        self.names = {*self._infos.values(), *TF_TOPICS}
        self.names |= {self._depth_topic} if self._depth_topic else set()
        for name in (*self._infos.values(), *([self._depth_topic] if self._depth_topic else [])):
            _check_there(bag, name)

    @property
    def registration(self) -> CameraRegistration | None:
        """By what was read so far."""
        return self._known.registration

    @property
    def trouble(self) -> str:
        """Why there is no registration."""
        return self._known.trouble

    def take(self, message: BagMessage) -> None:
        """Take a message of one of `names`; raises BagError where it is damaged."""
        if message.topic == self._depth_topic:
            self._depth.add(message.stamp, message.received, message)
        elif message.message_type == TF_MESSAGE:
            if message.topic == TF_TOPICS[0] or self._known.needs_transform:
                self._known.take_transforms(message.deserialize().transforms)
        elif message.message_type == CAMERA_INFO:
            for camera, topic in self._infos.items():
                if topic == message.topic:
                    self._known.take_info(camera, message.deserialize())

    def depth_for(self, rgb: BagMessage) -> BagMessage | None:
        """The depth image that belongs to an RGB image, of those read so far."""
        return self._depth.nearest(rgb.stamp, rgb.received, self._pair_by, self._slop_s)


def depth_of(message: BagMessage | None) -> np.ndarray | None:
    """Depth in metres, float32 [h,w]; None, as in the node, where there is none to be read."""
    if message is None:
        return None
    try:
        return depth_from_message(message.deserialize())
    except (BagError, ImageError):
        return None


def _full(name: str) -> str:
    return f"/{name.lstrip('/')}" if name else ""


def _check_there(bag: Bag, name: str) -> None:
    there = [topic.name for topic in bag.image_topics]
    infos = [topic for topic in bag.other_topics if topic.endswith(f"({CAMERA_INFO})")]
    if name not in there and not any(topic.startswith(f"{name} ") for topic in infos):
        listed = ", ".join(topic.partition(" ")[0] for topic in infos) or "none"
        raise BagError(
            f"{bag.path}: registration: camera_info needs {name}, which the bag lacks; its "
            f"CameraInfo topics are: {listed} (parameters rgb_camera_info_topic, "
            "thermal_camera_info_topic, depth_topic)"
        )
