"""mafs_ros: thermal + RGB fusion and segmentation for ROS 2."""

__version__ = "0.1.0"
