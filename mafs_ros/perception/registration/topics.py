"""What the names of topics say: where CameraInfo is, and which images are rectified."""

from __future__ import annotations

TRANSPORTS = ("/compressed", "/compressedDepth")


def camera_info_beside(image_topic: str) -> str:
    """The CameraInfo topic of an image topic, as image_transport names it: its neighbour."""
    namespace, slash, _ = _raw(image_topic).rpartition("/")
    return f"{namespace}{slash}camera_info"


def is_rectified(image_topic: str) -> bool:
    """Whether images are rectified: image_rect, image_rect_color, as image_proc names them.

    For these CameraInfo.p holds, for all others k, d and r.
    """
    name = _raw(image_topic).rpartition("/")[2]
    return "rect" in name.split("_") or "rectified" in name.split("_")


def _raw(image_topic: str) -> str:
    """The name without that of a transport."""
    for transport in TRANSPORTS:
        image_topic = image_topic.removesuffix(transport)
    return image_topic
