"""Which CameraInfo is published beside a frame."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from node_messages import SECOND, header
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo

from mafs_ros.node import camera_info_beside
from mafs_ros.node.camera_info_beside import KEPT, CameraInfoBeside
from mafs_ros.node.confidence import check_confidence, confidence_in_words
from mafs_ros.parameters.table import ParameterError


class Publisher:
    """Keeps what is published on a topic that has subscribers."""

    subscribers = 1

    def __init__(self, topic: str) -> None:
        self.topic, self.sent = topic, []

    def get_subscription_count(self) -> int:
        return self.subscribers

    def publish(self, raw: bytes) -> None:
        self.sent.append(deserialize_message(raw, CameraInfo))


class StandIn:
    """A node without DDS. take: the callback of the subscription, None without one."""

    take: Callable[[bytes], None] | None = None

    def __init__(self) -> None:
        self.publishers: list[Publisher] = []

    def create_publisher(self, kind: Any, topic: str, qos: Any) -> Publisher:
        self.publishers.append(Publisher(topic))
        return self.publishers[-1]

    def create_subscription(self, kind: Any, topic: str, take: Any, qos: Any, raw: bool) -> str:
        assert raw and topic == "/rgb/camera_info"
        self.take = take
        return topic

    def destroy_subscription(self, subscription: str) -> None:
        self.take = None

    def tell(self, stamp: int, focal: float, frame: str = "rgb") -> None:
        assert self.take is not None
        info = CameraInfo(header=header(stamp, frame), k=[focal] * 9)
        self.take(serialize_message(info))


@pytest.fixture
def node() -> StandIn:
    return StandIn()


@pytest.fixture
def beside(node: StandIn) -> CameraInfoBeside:
    topics = ("/mafs/fused/image", "/mafs/segmentation/labels", "/mafs/segmentation/overlay")
    return CameraInfoBeside(node, "/rgb/camera_info", topics)  # type: ignore[arg-type]


def test_it_has_the_stamp_of_the_frame(node: StandIn, beside: CameraInfoBeside) -> None:
    beside.watch()
    beside.publish(header(SECOND, "rgb"))  # nothing is known yet
    for stamp in (1, 2, 3):
        node.tell(stamp * SECOND, float(stamp))
    for stamp in (2 * SECOND, 5 * SECOND):  # its own, and one that has none
        beside.publish(header(stamp, "rgb"))
    topics = ["/mafs/fused/camera_info", "/mafs/segmentation/camera_info"]
    assert [publisher.topic for publisher in node.publishers] == topics
    for publisher in node.publishers:
        own, newest = publisher.sent
        assert (own.header, own.k[0]) == (header(2 * SECOND, "rgb"), 2.0)
        assert (newest.header, newest.k[0]) == (header(5 * SECOND, "rgb"), 3.0)


def test_that_of_another_camera_is_left_out(node: StandIn, beside: CameraInfoBeside) -> None:
    beside.watch()
    node.tell(SECOND, 1.0, "thermal")
    beside.publish(header(SECOND, "rgb"))
    assert not node.publishers[0].sent


def test_an_old_one_is_left_out(
    node: StandIn, beside: CameraInfoBeside, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(camera_info_beside, "time", clock)
    beside.watch()
    node.tell(SECOND, 1.0)
    now[0] += camera_info_beside.TOO_OLD_S + 1
    beside.publish(header(9 * SECOND, "rgb"))
    assert not node.publishers[0].sent


def test_the_camera_is_heard_while_somebody_listens(
    node: StandIn, beside: CameraInfoBeside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Publisher, "subscribers", 0)
    beside.watch()
    assert node.take is None
    monkeypatch.setattr(Publisher, "subscribers", 1)
    beside.watch()
    for stamp in range(2 * KEPT):  # the oldest are forgotten
        node.tell(stamp, float(stamp))
    beside.publish(header(0, "rgb"))
    assert node.publishers[0].sent[0].k[0] == 2 * KEPT - 1
    monkeypatch.setattr(Publisher, "subscribers", 0)
    beside.watch()
    assert node.take is None
    beside.publish(header(5, "rgb"))
    assert len(node.publishers[0].sent) == 1


def test_a_threshold_needs_an_engine_that_gives_confidence() -> None:
    engine: Any = SimpleNamespace(name="tensorrt", gives_confidence=False)
    check_confidence(engine, {"confidence_threshold": 0.0})
    with pytest.raises(ParameterError, match="got 0.5, expected 0 with backend tensorrt"):
        check_confidence(engine, {"confidence_threshold": 0.5})
    assert confidence_in_words(engine) == "none: backend tensorrt gives none"
    engine.gives_confidence = True
    check_confidence(engine, {"confidence_threshold": 0.5})
