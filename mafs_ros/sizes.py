"""Image sizes on the command line."""

from __future__ import annotations

import argparse
import re


def image_size(text: str) -> tuple[int, int]:
    """Parse 'WIDTHxHEIGHT' into (height, width); raises argparse.ArgumentTypeError."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT such as 640x480, got {text!r}")
    return int(match[2]), int(match[1])
