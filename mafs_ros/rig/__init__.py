"""Cameras, node and receiver as processes of one drive."""
