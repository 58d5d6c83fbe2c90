"""`mafs export`: the deployed graph as a file for other tools."""

from __future__ import annotations

import argparse
from pathlib import Path

from mafs_ros.commands.options import add_size_option

EXAMPLE = """\
example:
  mafs export --format onnx --size 640x480 --precision fp16 mafs.onnx
  trtexec --onnx=mafs.onnx --stronglyTyped --saveEngine=mafs.plan

int8 rounds as the int8 model of `mafs quantize` does, which has to be there for that size and to
have passed its check; the rest is fp16.

Inputs: rgb uint8 [1, H, W, 3] and thermal uint8 [1, H, W], scaled and registered as the node does.
Outputs: fused uint8 [1, H, W, 3] and labels uint8 [1, H, W], class ids."""


def add_parser(commands) -> None:
    """Add `mafs export` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "export",
        help="write the network with its ends as ONNX",
        epilog=EXAMPLE,
        description="Write the deployed graph, from camera bytes to picture and class ids, for "
        "one image size.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="file to write")
    parser.add_argument("--format", choices=("onnx",), default="onnx")
    add_size_option(parser)
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp32")
    parser.add_argument(
        "--weights",
        metavar="FILE",
        type=Path,
        help="model file (.safetensors); default: the one shipped",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export; raises ImportError, OSError or ValueError."""
    from mafs_ros.base.resources import default_weights
    from mafs_ros.engine.onnx.export import export_onnx

    if not args.out.absolute().parent.is_dir():
        raise FileNotFoundError(f"{args.out.parent}: there is no such folder")
    export_onnx(args.weights or default_weights(), args.out, args.size, args.precision)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, {args.precision}")
    return 0
