"""Offline training of MAFS networks; nothing in `mafs_ros` imports it."""
