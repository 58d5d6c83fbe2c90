"""Scores of networks, teachers and folders of images."""
