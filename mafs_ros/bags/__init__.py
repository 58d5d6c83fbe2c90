"""Bags of ROS 2: reading, describing, salvaging, writing."""
