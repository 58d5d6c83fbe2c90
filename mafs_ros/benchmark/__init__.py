"""`mafs benchmark`: engines, precisions, presets, sizes against plain PyTorch; the node."""

from mafs_ros.benchmark.command import add_parser, run

__all__ = ["add_parser", "run"]
