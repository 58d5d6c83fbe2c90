"""ROS time stamps as nanoseconds."""

from typing import Any

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


def nanoseconds(stamp: Any) -> int:
    """A stamp of a message (sec, nanosec), or an rclpy Time, in nanoseconds."""
    if hasattr(stamp, "nanoseconds"):
        return stamp.nanoseconds
    return stamp.sec * NS_PER_S + stamp.nanosec


# Stamps further than this from the node's clock are of another clock (boot time, a bag).
FOREIGN_CLOCK_S = 60.0
# The most that the parameters thermal_time_offset_s and queue_size may be.
LARGEST_OFFSET_S = 86_400.0
LARGEST_QUEUE = 1000
