"""What is wrong with the images of a camera, one after the other."""

from __future__ import annotations

import cv2
import numpy as np
from node_messages import image_message, rgb_image, thermal_image
from sensor_msgs.msg import CompressedImage, Image

from mafs_ros.node.camera_looks import LOOK_S, CameraLooks
from mafs_ros.perception.dead_images import BLACK, COVERED, FROZEN, UNREADABLE

RNG = np.random.default_rng(4)


def jpeg(image: np.ndarray) -> CompressedImage:
    data = cv2.imencode(".jpg", image)[1].tobytes()
    return CompressedImage(format="bgr8; jpeg compressed bgr8", data=data)


def test_one_after_the_other() -> None:
    looks = CameraLooks("rgb")
    picture, black = image_message(rgb_image(), "rgb8"), np.zeros((64, 80, 3), np.uint8)
    cut, empty = image_message(rgb_image(), "rgb8"), Image(encoding="rgb8")
    cut.data = cut.data[:100]
    for message, expected in (
        (picture, ""),
        (picture, FROZEN),
        (image_message(black, "rgb8"), BLACK),
        (image_message(black, "rgb8"), BLACK),  # the same bytes, but that is not what is wrong
        (cut, UNREADABLE),
        (empty, UNREADABLE),
        (picture, ""),
        (picture, FROZEN),
    ):
        assert looks(message, 0.0) == expected
    assert looks.counts == {FROZEN: 2, BLACK: 2, UNREADABLE: 2}


def test_thermal() -> None:
    looks = CameraLooks("thermal")
    assert looks(image_message(thermal_image(), "mono16"), 0.0) == ""
    covered = RNG.normal(29_000, 5, (128, 160)).astype(np.uint16)
    assert looks(image_message(covered, "mono16"), 0.1) == COVERED


def test_compressed_images_are_decoded_now_and_then() -> None:
    looks, dark = CameraLooks("rgb"), np.zeros((480, 640, 3), np.uint8)
    assert looks(jpeg(rgb_image()), 10.0) == ""
    assert looks(jpeg(dark), 10.0 + LOOK_S / 2) is None
    dark[:] = 3
    assert looks(jpeg(dark), 10.1 + LOOK_S) == BLACK
    assert looks(CompressedImage(format="jpeg", data=b"\xff\xd8 no"), 11.0) == UNREADABLE
    assert looks(CompressedImage(format="jpeg"), 12.0) == UNREADABLE
