"""The images of the tests and their messages."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from mafs_ros.images.messages.encode import serialised_image

HEIGHT, WIDTH = 128, 160
SECOND = 10**9
_number = itertools.count()


def header(stamp_ns: int, frame_id: str) -> Header:
    result = Header(frame_id=frame_id)
    result.stamp.sec, result.stamp.nanosec = divmod(stamp_ns, SECOND)
    return result


def stamp_of(message: Any) -> int:
    return message.header.stamp.sec * SECOND + message.header.stamp.nanosec


def rgb_image(seed: int = 0) -> np.ndarray:
    """A smooth coloured picture."""
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (8, 10, 3), np.uint8), (WIDTH, HEIGHT))


def thermal_image(level: int = 29500) -> np.ndarray:
    """A warm rectangle on a cool slope, in centikelvin."""
    image = np.tile(np.linspace(28000, 28500, WIDTH).astype(np.uint16), (HEIGHT, 1))
    image[40:90, 60:80] = level
    return image


def image_message(array: np.ndarray, encoding: str, stamp_ns: int = 0) -> Image:
    return deserialize_message(serialised_image(array, encoding, header(stamp_ns, "")), Image)


def rgb_message(stamp_ns: int) -> Image:
    """Each differs by a pixel from the one before: of a camera that is not frozen."""
    image = rgb_image()
    image[0, 0] = next(_number) % 256
    return image_message(image, "rgb8", stamp_ns)


def thermal_message(stamp_ns: int) -> Image:
    image = thermal_image()
    image[0, 0] += next(_number) % 256
    return image_message(image, "mono16", stamp_ns)


def pixels(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, -1)
