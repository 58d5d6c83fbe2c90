"""Cameras whose images are published under another name or type than the node subscribes."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import pytest
from node_bench import RELIABLE, Bench
from node_messages import header, rgb_image, thermal_message
from node_process import Process
from sensor_msgs.msg import CompressedImage, Image

from mafs_ros.node.inputs import input_topic
from mafs_ros.node.offers import COMPRESSED, IMAGE, why_silent


def jpeg() -> CompressedImage:
    data = cv2.imencode(".jpg", rgb_image())[1].tobytes()
    return CompressedImage(header=header(time.time_ns(), "rgb"), format="jpeg", data=data)


def test_the_node_says_how_silent_cameras_are_published(
    start: Callable[..., Process], bench: Bench
) -> None:
    process = start(stale_timeout_s=1.0, thermal_transport="compressed")
    rgb = bench.node.create_publisher(CompressedImage, "/rgb/image", RELIABLE)
    thermal = bench.node.create_publisher(Image, "/thermal/image", RELIABLE)
    process.wait_for_line(
        r"\[WARN\].*no rgb message on /rgb/image for \d+ s \(/rgb/image is published as "
        "sensor_msgs/CompressedImage while this node wants sensor_msgs/Image: set rgb_transport: "
        r"compressed_as_named \(rgb_topic: /rgb/image\)"
    )
    process.wait_for_line(
        r"\[WARN\].*/thermal/image/compressed itself is not published, /thermal/image is, as "
        r"sensor_msgs/Image: set thermal_transport: raw \(thermal_topic: /thermal/image\)"
    )
    bench.wait(lambda: bench.status["perception"].level == b"\x01", "perception is OK")
    assert "no pair comes" in bench.status["perception"].message
    for label in ("deactivate", "cleanup"):
        assert bench.transition(label)
    advice = {"rgb_transport": "compressed_as_named", "thermal_transport": "raw"}
    assert all(result.successful for result in bench.set_parameters(**advice))
    for label in ("configure", "activate"):
        assert bench.transition(label)
    bench.subscribe("fused")
    while not bench.received["fused"]:
        now = jpeg()
        rgb.publish(now)
        message = thermal_message(0)
        message.header = now.header
        thermal.publish(message)
        bench.wait(lambda: bench.status, "no diagnostics")
        with bench.changed:
            bench.changed.wait(0.2)
        assert process.child.poll() is None
    bench.wait(lambda: bench.status["perception"].level == b"\x00", "perception is not OK")


def graph(**topics: str) -> Any:
    """A stand-in for the node: what is published, by topic with __ for its slashes."""
    types = {"/" + name.replace("__", "/"): kind for name, kind in topics.items()}
    return SimpleNamespace(
        get_topic_names_and_types=lambda: [(name, [kind]) for name, kind in types.items()],
        get_publishers_info_by_topic=lambda topic: [
            SimpleNamespace(topic_type=types[topic]) for _ in range(topic in types)
        ],
        count_publishers=lambda topic: int(topic in types),
    )


@pytest.mark.parametrize(
    ("published", "topic", "transport", "said"),
    [
        (
            {"cam__compressed": COMPRESSED},
            "/cam/compressed",
            "raw",
            "set rgb_transport: compressed (",
        ),
        ({"cam__compressed": COMPRESSED}, "/cam", "raw", "set rgb_transport: compressed ("),
        ({"cam": IMAGE}, "/cam/compressed", "compressed", "set rgb_transport: raw ("),
        ({"cam": IMAGE}, "/cam", "compressed_as_named", "set rgb_transport: raw ("),
        (
            {"cam": COMPRESSED},
            "/cam/compressed",
            "compressed",
            "compressed_as_named (rgb_topic: /cam)",
        ),
        ({"cam": "std_msgs/msg/String"}, "/cam", "raw", "which is no image"),
        ({"cam": IMAGE}, "/cam", "raw", "publishers there: 1"),
        ({}, "/cam", "raw", "nobody publishes it"),
    ],
)
def test_why_silent(published: dict[str, str], topic: str, transport: str, said: str) -> None:
    assert said in why_silent(graph(**published), "rgb", topic, transport)


@pytest.mark.parametrize(
    ("transport", "remapped", "topic"),
    [
        ("raw", {}, "/cam/image"),
        ("compressed", {}, "/cam/image/compressed"),
        ("compressed_as_named", {}, "/cam/image"),
        ("compressed", {"/cam/image": "/flir"}, "/flir/compressed"),
        ("compressed", {"/cam/image/compressed": "/cam/jpeg"}, "/cam/jpeg"),
    ],
)
def test_topic_subscribed(transport: str, remapped: dict[str, str], topic: str) -> None:
    node: Any = SimpleNamespace(resolve_topic_name=lambda name: remapped.get(name, name))
    values = {"rgb_topic": "/cam/image", "rgb_transport": transport}
    assert input_topic(node, values, "rgb") == topic
