"""What the names of topics say: where CameraInfo is, and which images are rectified."""

from __future__ import annotations

COMPRESSED = "/compressed"


def camera_info_beside(image_topic: str) -> str:
    """The CameraInfo topic of an image topic, as image_transport names it: its neighbour."""
    namespace, _, _ = image_topic.removesuffix(COMPRESSED).rpartition("/")
    return f"{namespace}/camera_info"


def is_rectified(image_topic: str) -> bool:
    """Whether images are rectified: image_rect, image_rect_color, as image_proc names them.

    For these CameraInfo.p holds, for all others k, d and r.
    """
    name = image_topic.removesuffix(COMPRESSED).rpartition("/")[2]
    return "rect" in name.split("_") or "rectified" in name.split("_")
