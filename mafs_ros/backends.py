"""Names of the backends and of the precisions each one has; imports no library, for everybody."""

from __future__ import annotations

import argparse

BACKENDS = ("openvino", "tensorrt", "torch")
PRECISIONS = {
    "openvino": ("fp32", "bf16", "fp16", "int8"),
    "tensorrt": ("fp32", "fp16"),
    "torch": ("fp32",),
}
ALL_PRECISIONS = ("fp32", "bf16", "fp16", "int8")


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
