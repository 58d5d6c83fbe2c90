"""The static transform between the two cameras, without tf2_ros."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSProfile

from mafs_ros.bags.rig_messages import TF_STATIC, static_transform
from mafs_ros.simulation.rig import SimulatedRig


def publish_transform(
    node: Node, rig: SimulatedRig, rgb_frame_id: str, thermal_frame_id: str
) -> bool:
    """Publish /tf_static once, latched; False, with a warning, where tf2_msgs is not installed."""
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        node.get_logger().warning(
            f"{TF_STATIC} is not published: tf2_msgs is not installed (apt: "
            f"ros-$ROS_DISTRO-tf2-msgs); the thermal camera stands at "
            f"{rig.translation.tolist()} m of {rgb_frame_id}, its axes are the columns of "
            f"{rig.rotation.round(6).tolist()}"
        )
        return False
    qos = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    publisher = node.create_publisher(TFMessage, TF_STATIC, qos)
    stamp = node.get_clock().now().nanoseconds
    publisher.publish(static_transform(rig, rgb_frame_id, thermal_frame_id, stamp))
    return True
