"""Images on their way in and out: as ROS messages, as files, as mosaics and videos."""
