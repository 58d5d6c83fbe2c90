"""The CameraInfo beside an image topic of a bag."""

from __future__ import annotations

import logging

from mafs_ros.bags.reader import CAMERA_INFO, Bag, BagError, ImageTopic
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.perception.registration.camera_info import lens_from
from mafs_ros.perception.registration.lens import Lens
from mafs_ros.perception.registration.numbers import Size
from mafs_ros.perception.registration.topics import camera_info_beside, is_rectified


def lens_of(bag: Bag, topic: ImageTopic, camera: str) -> Lens | None:
    """The lens of the camera that publishes a topic; None where the bag does not say it.

    camera: its name, for messages. A CameraInfo that is of no use or does not fit the images is
    left out with a warning.
    """
    name = camera_info_beside(topic.name)
    if f"{name} ({CAMERA_INFO})" not in bag.other_topics:
        return None
    size = _image_size(bag, topic)
    if size is None:
        return None
    try:
        message = next(bag.messages([name])).deserialize()
        return lens_from(message, camera, rectified=is_rectified(topic.name)).for_size(size)
    except StopIteration:
        return None
    except ValueError as error:
        logging.getLogger(__name__).warning("%s is left out: %s", name, error)
        return None


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
