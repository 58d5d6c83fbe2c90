"""What the node publishes of a pair: images, each made only while somebody subscribes, and what
goes beside them."""

from typing import Any, NamedTuple

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from mafs_ros.base.output_topics import CONFIDENCE, IMAGES, LABEL_INFO, MODE, private
from mafs_ros.images.messages.encode import serialised_compressed, serialised_image
from mafs_ros.node.camera_info_beside import CameraInfoBeside
from mafs_ros.node.label_info import LabelInfo, label_info_message
from mafs_ros.node.mode_topic import ModeTopic
from mafs_ros.node.offers import SUFFIX
from mafs_ros.perception.classes import ClassTable

OUTPUT_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE
)
LATCHED_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
# Colours become JPEG when compressed, ids and confidence PNG.
ENCODINGS = {"fused": "rgb8", "labels": "mono8", "confidence": "mono8", "overlay": "rgb8"}


class Wanted(NamedTuple):
    """Names of the images, keys of ENCODINGS, that have subscribers."""

    raw: frozenset[str]
    compressed: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        return self.raw | self.compressed

    @property
    def labels(self) -> bool:
        """Whether somebody sees them, by themselves or painted."""
        return not self.names.isdisjoint(("labels", "overlay"))

    def confidence(self, threshold: float) -> bool:
        """Whether it has to be computed; threshold: see the parameter confidence_threshold."""
        return "confidence" in self.names or (threshold > 0 and self.labels)


class Outputs:
    """The publishers of one pair: images, raw and compressed, LabelInfo, CameraInfo and the mode.

    gives_confidence: of the engine; jpeg_quality: 1..100, may be set between two frames;
    info_topic: of the RGB camera; pair: its name, where there are several.
    """

    def __init__(
        self,
        node: Node,
        table: ClassTable,
        gives_confidence: bool,
        jpeg_quality: int,
        info_topic: str,
        pair: str = "",
    ) -> None:
        self.jpeg_quality = jpeg_quality
        self._node, self._table = node, table
        self._threshold: float | None = None  # as LabelInfo says it
        topics = {**IMAGES, "confidence": CONFIDENCE} if gives_confidence else IMAGES
        self._raw = {
            image: node.create_publisher(Image, private(topic, pair), OUTPUT_QOS)
            for image, topic in topics.items()
        }
        # Beside the name that the raw topic was remapped to, as image_transport does.
        self._compressed = {
            image: node.create_publisher(
                CompressedImage, f"{publisher.topic_name}{SUFFIX}", OUTPUT_QOS
            )
            for image, publisher in self._raw.items()
        }
        self._label_info = node.create_publisher(
            LabelInfo or String, private(LABEL_INFO, pair), LATCHED_QOS
        )
        self.mode = ModeTopic(node.create_publisher(String, private(MODE, pair), LATCHED_QOS))
        self.camera_info = CameraInfoBeside(node, info_topic, self.topics)

    @property
    def topics(self) -> list[str]:
        """Full names of the raw images' topics."""
        return [publisher.topic_name for publisher in self._raw.values()]

    def wanted(self) -> Wanted:
        """What has subscribers now."""
        return Wanted(_subscribed(self._raw), _subscribed(self._compressed))

    def say_threshold(self, threshold: float) -> None:
        """Publish LabelInfo, where the labels to come have another threshold than it said last."""
        if threshold != self._threshold:
            self._threshold = threshold
            now = self._node.get_clock().now().to_msg()
            self._label_info.publish(label_info_message(self._table, threshold, now))

    def publish(self, image: str, pixels: np.ndarray, header: Any, wanted: Wanted) -> None:
        """Publish an image raw, if that is wanted; pixels: uint8, of its encoding."""
        if image in wanted.raw:
            self._raw[image].publish(serialised_image(pixels, ENCODINGS[image], header))

    def publish_compressed(
        self, image: str, pixels: np.ndarray, header: Any, wanted: Wanted
    ) -> None:
        """Publish an image compressed, if that is wanted; pixels: uint8, of its encoding."""
        if image in wanted.compressed:
            self._compressed[image].publish(
                serialised_compressed(pixels, ENCODINGS[image], header, self.jpeg_quality)
            )

    def close(self) -> None:
        """Destroy the publishers."""
        self.camera_info.close()
        images = (*self._raw.values(), *self._compressed.values())
        for publisher in (*images, self._label_info, self.mode.publisher):
            self._node.destroy_publisher(publisher)


def _subscribed(publishers: dict[str, Any]) -> frozenset[str]:
    return frozenset(
        image for image, publisher in publishers.items() if publisher.get_subscription_count() > 0
    )
