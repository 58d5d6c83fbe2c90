"""What is published instead of the images that a silent camera's topic should bring."""

from rclpy.node import Node

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
SUFFIX = "/compressed"


def why_silent(node: Node, camera: str, topic: str, transport: str) -> str:
    """Why nothing comes on a topic, and what to set where the images are published otherwise.

    camera: 'rgb' or 'thermal'; topic: as subscribed; transport: of the parameter.
    """
    wanted = IMAGE if transport == "raw" else COMPRESSED
    types = dict(node.get_topic_names_and_types())
    publishers = node.get_publishers_info_by_topic(topic)
    offered = {publisher.topic_type for publisher in publishers}
    if wanted in offered:
        return f"publishers there: {len(publishers)}"
    if other := offered & {IMAGE, COMPRESSED}:
        kind = other.pop()
        return (
            f"{topic} is published as {_short(kind)} while this node wants {_short(wanted)}: set "
            f"{_parameters(camera, topic, kind)}"
        )
    if offered:
        return f"{topic} is published as {', '.join(sorted(offered))}, which is no image"
    base = topic.removesuffix(SUFFIX)
    for name in (base, base + SUFFIX):
        if name != topic and node.count_publishers(name):
            for kind in {IMAGE, COMPRESSED} & set(types.get(name, ())):
                return (
                    f"{topic} itself is not published, {name} is, as {_short(kind)}: set "
                    f"{_parameters(camera, name, kind)}"
                )
    return "nobody publishes it: is the camera running, and is this its topic?"


def _parameters(camera: str, topic: str, kind: str) -> str:
    """The parameters that subscribe a topic of a kind."""
    name, transport = topic, "raw"
    if kind == COMPRESSED:
        name = topic.removesuffix(SUFFIX)
        transport = "compressed" if name != topic else "compressed_as_named"
    return f"{camera}_transport: {transport} ({camera}_topic: {name})"


def _short(kind: str) -> str:
    return kind.replace("/msg/", "/")
