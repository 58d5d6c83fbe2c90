"""What the command line of a replay asks for."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """The options of `mafs replay` but for the node's parameters.

    rgb_topic, thermal_topic: '' where they are guessed. labels: topic of the bag, or a folder.
    weights: None for those shipped. compare: weights or BACKEND[:PRECISION], '' for none.
    confidence: whether it is computed and written. rate: of the live node, as a multiple of the
    recorded speed. media: whether the video and output.mcap are written.
    """

    bag: Path
    out: Path
    rgb_topic: str
    thermal_topic: str
    labels: str | None
    label_classes: str | None
    weights: Path | None
    backend: str
    precision: str
    compare: str
    every: int
    live: bool
    confidence: bool
    rate: float
    media: bool


def options_from(args: argparse.Namespace) -> Options:
    """Those parsed."""
    return Options(**{field.name: getattr(args, field.name) for field in fields(Options)})
