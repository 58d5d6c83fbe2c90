"""The CameraInfo beside an image topic of a bag."""

from __future__ import annotations

import logging

from mafs_ros.bags.reader import Bag, BagError, ImageTopic
from mafs_ros.calibration.geometry import Size
from mafs_ros.calibration.lens import Lens, lens_from_message
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message

CAMERA_INFO = "sensor_msgs/msg/CameraInfo"


def lens_of(bag: Bag, topic: ImageTopic) -> Lens | None:
    """The lens of the camera that publishes a topic; None where the bag does not say it.

    A CameraInfo that does not fit the images is left out with a warning.
    """
    name = info_topic(topic)
    if f"{name} ({CAMERA_INFO})" not in bag.other_topics:
        return None
    size = _image_size(bag, topic)
    if size is None:
        return None
    try:
        message = next(bag.messages([name])).deserialize()
        return lens_from_message(message, size, "rect" in _without_transport(topic).split("/")[-1])
    except StopIteration:
        return None
    except ValueError as error:
        logging.getLogger(__name__).warning("%s is left out: %s", name, error)
        return None


def info_topic(topic: ImageTopic) -> str:
    """The name of the CameraInfo that belongs to an image topic, as image_transport has it."""
    return f"{_without_transport(topic).rsplit('/', 1)[0]}/camera_info"


def _without_transport(topic: ImageTopic) -> str:
    return topic.name.removesuffix("/compressed").removesuffix("/compressedDepth")


def _image_size(bag: Bag, topic: ImageTopic) -> Size | None:
    if topic.height:
        return topic.height, topic.width
    for decode in (rgb_from_message, thermal_from_message):
        try:
            image = decode(next(bag.messages([topic])).deserialize())
            return image.shape[0], image.shape[1]
        except (BagError, ValueError, StopIteration):
            continue
    return None
