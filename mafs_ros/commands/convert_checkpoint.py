"""`mafs convert-checkpoint`: turn a checkpoint of the authors' release into our model file."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLE = """\
example:
  mafs convert-checkpoint OFFICIAL.pth mafs_mfnet.safetensors --classes mfnet
  mafs fuse RGB THERMAL --out DIR --weights mafs_mfnet.safetensors

The checkpoint is the authors' torch file: a state_dict, plain or under the key MTAN. It is read
without running anything that a file could carry."""
LICENCE = "Converted from a checkpoint of the MAFS authors' release; their terms apply."


def add_parser(commands) -> None:
    """Add `mafs convert-checkpoint` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "convert-checkpoint",
        help="convert a checkpoint of the authors' release",
        epilog=EXAMPLE,
        description="Convert a stage-2 checkpoint of the authors' release into a model file.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("official", metavar="OFFICIAL.pth", type=Path)
    parser.add_argument("out", metavar="OUT.safetensors", type=Path)
    parser.add_argument(
        "--classes",
        required=True,
        help="class table: mfnet, pst900, fmb, or a YAML file like config/labels/mfnet.yaml",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert and report what was dropped; raises OSError or ValueError with one clear line."""
    from mafs_ros.model import build_model
    from mafs_ros.model.official import convert_official_state_dict
    from mafs_ros.model.weights import ModelInfo, save_weights
    from mafs_ros.perception.classes import load_class_table

    table = load_class_table(args.classes)
    checkpoint = convert_official_state_dict(read_checkpoint(args.official))
    found = checkpoint.overrides["num_classes"]
    if found != table.num_classes:
        raise ValueError(
            f"{args.official} has {found} classes, the table {table.name!r} has "
            f"{table.num_classes}: choose the table that it was trained with (--classes)"
        )
    network = build_model("mafs", **checkpoint.overrides)
    network.load_state_dict(checkpoint.state_dict)
    info = ModelInfo(
        preset="mafs",
        config={"released_dem_gate": True},
        class_table=table.to_dict(),
        training={"source": f"authors' release, {args.official.name}"},
        licence=LICENCE,
    )
    save_weights(args.out, network, info)
    print(
        f"wrote {args.out}: {found} classes; {len(checkpoint.state_dict)} entries taken, "
        f"{len(checkpoint.dead)} dropped that influence no output"
    )
    return 0


def read_checkpoint(path: Path) -> dict:
    """Read the state_dict of a torch file; raises ValueError or OSError as `read_torch_file`."""
    from mafs_ros.model.weights import read_torch_file

    content = read_torch_file(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a state_dict, got {type(content).__name__}")
    return content
