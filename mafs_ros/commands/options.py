"""Options that several commands share."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from mafs_ros.base.backend_names import ALL_PRECISIONS, BACKENDS


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add --backend and --precision, the arguments of `mafs_ros.engine.create_engine`."""
    parser.add_argument(
        "--backend",
        choices=("auto", *BACKENDS),
        default="auto",
        help="engine that runs the network; default: auto, the fastest available",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", *ALL_PRECISIONS),
        default="auto",
        help="arithmetic of the engine; default: auto, its own choice",
    )


def image_size(text: str) -> tuple[int, int]:
    """Parse 'WIDTHxHEIGHT' into (height, width); raises argparse.ArgumentTypeError."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT such as 640x480, got {text!r}")
    return int(match[2]), int(match[1])


def positive(text: str) -> int:
    """Parse a whole number above 0; raises argparse.ArgumentTypeError."""
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got {text!r}")
    return int(text)


def add_size_option(parser: argparse.ArgumentParser) -> None:
    """Add --size, the image size as cameras give it."""
    parser.add_argument(
        "--size",
        metavar="WIDTHxHEIGHT",
        type=image_size,
        required=True,
        help="size of the RGB images, such as 640x480",
    )


def add_parameter_options(parser: argparse.ArgumentParser) -> None:
    """Add --params and -p, the parameters of the node; see `mafs_ros.parameters.file`."""
    parser.add_argument(
        "--params",
        metavar="FILE",
        type=Path,
        help="parameter file of the node (slop_s, thermal_scaling, ...)",
    )
    parser.add_argument(
        "-p",
        dest="assignments",
        metavar="NAME:=VALUE",
        action="append",
        default=[],
        help="one parameter of the node; may be repeated",
    )
