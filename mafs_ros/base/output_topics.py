"""The topics on which the node publishes, without its name."""

IMAGES = {
    "fused": "fused/image",
    "labels": "segmentation/labels",
    "overlay": "segmentation/overlay",
}
CONFIDENCE = "segmentation/confidence"
LABEL_INFO = "segmentation/label_info"
MODE = "mode"


def absolute(topic: str) -> str:
    """The full name where the node runs under its own name, without a namespace."""
    return f"/mafs/{topic}"


def private(topic: str, pair: str = "") -> str:
    """The name that ROS puts the node's name before; pair: which of several pairs of cameras."""
    return f"~/{pair}/{topic}" if pair else f"~/{topic}"
