"""Faults of simulated cameras, set while they run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from mafs_ros.cameras.faults import Faults
from mafs_ros.images.messages.cdr import read_image
from mafs_ros.images.messages.encode import serialised_image
from mafs_ros.perception.dead_images import BLACK, COVERED, SENSORS, without_picture

RNG = np.random.default_rng(0)


class Node:
    """Only what Faults uses of a node."""

    set: Any = None

    def add_on_set_parameters_callback(self, callback: Any) -> None:
        self.set = lambda **values: callback(
            [Parameter(name, value=value) for name, value in values.items()]
        )


def faults(node: Node, types: dict[str, type] | None = None, **values: str) -> Faults:
    return Faults(
        node, {"rgb_fault": "none", "thermal_fault": "none", "seed": 0, **values}, types or {}
    )


def rgb() -> bytes:
    image = RNG.integers(0, 256, (120, 160, 3), np.uint8)
    return serialised_image(image, "rgb8", Header(frame_id="left"))


def thermal() -> bytes:
    image = RNG.integers(28000, 30000, (96, 128)).astype(np.uint16)
    return serialised_image(image, "mono16", Header(frame_id="ir"))


def plane(raw: bytes) -> np.ndarray:
    image = read_image(raw)
    if image.encoding == "mono16":
        return np.frombuffer(image.data, np.uint16).reshape(image.height, image.width)
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)[..., 1]


def test_each_fault_and_back() -> None:
    node = Node()
    simulated = faults(node)
    first = rgb()
    assert simulated("rgb", first) == first
    assert node.set(rgb_fault="frozen").successful
    assert simulated("rgb", rgb()) == first == simulated("rgb", rgb())
    other = thermal()
    assert simulated("thermal", other) == other and not simulated.is_silent("thermal")
    for camera, make in (("rgb", rgb), ("thermal", thermal)):
        for fault, seen in (("black", BLACK), ("covered", COVERED)):
            assert node.set(**{f"{camera}_fault": fault}).successful
            one, two = (simulated(camera, make()) for _ in range(2))
            assert without_picture(plane(one), SENSORS[camera]) == seen
            assert (one == two) is (fault == "black")
            assert read_image(one).header.frame_id == ("left" if camera == "rgb" else "ir")
        assert node.set(**{f"{camera}_fault": "silent"}).successful
        assert simulated.is_silent(camera)
        assert node.set(**{f"{camera}_fault": "none"}).successful
        again = make()
        assert simulated(camera, again) == again and not simulated.is_silent(camera)


def test_what_cannot_be_is_refused() -> None:
    node = Node()
    simulated = faults(node, {"rgb": CompressedImage})
    refused = node.set(rgb_fault="covered")
    assert "got 'covered' for compressed images, expected one of none, silent" in refused.reason
    assert not refused.successful and not simulated.is_silent("rgb")
    assert not node.set(thermal_fault="dusty").successful
    assert node.set(rgb_fault="silent", speed=2.0).successful and simulated.is_silent("rgb")
    with pytest.raises(ValueError, match="parameter rgb_fault: got 'black'"):
        faults(node, {"rgb": CompressedImage}, rgb_fault="black")
