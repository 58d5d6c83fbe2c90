"""The ROS 2 lifecycle node."""
