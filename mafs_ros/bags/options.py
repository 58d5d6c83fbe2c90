"""The options of all commands that read a bag."""

from __future__ import annotations

import argparse


def add_topic_options(parser: argparse.ArgumentParser) -> None:
    """Add --rgb-topic and --thermal-topic, the cameras of a bag."""
    for camera in ("rgb", "thermal"):
        parser.add_argument(
            f"--{camera}-topic",
            metavar="TOPIC",
            default="",
            help=f"{camera} topic of the bag; default: guessed",
        )
