"""`mafs fuse`: fuse and segment image files, without ROS."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mafs_ros.base.errors import one_line
from mafs_ros.commands.options import add_engine_options

if TYPE_CHECKING:
    from mafs_ros.perception.classes import ClassTable
    from mafs_ros.perception.perception import Perception

Pair = tuple[str, Path, Path]  # name, RGB file, thermal file
OUTPUTS = ("fused", "labels", "overlay")
EXAMPLE = """\
examples:
  mafs fuse street.png street_thermal.png --out fused_street
  mafs fuse rgb/ thermal/ --out out --thermal-scaling fixed --thermal-range 27000 32000
  mafs fuse rgb/ thermal/ --out out --thermal-scaling fixed --thermal-range 270 320 \\
      --thermal-unit kelvin

writes, for each pair, under DIR:
  fused/NAME.png     the fused image, RGB, 8 bit
  labels/NAME.png    class ids, 8 bit grey (looks black: the ids are small numbers)
  overlay/NAME.png   the fused image with the classes in colour

Every image is scaled by itself, as unrelated stills. For the frames of one 16-bit video choose
--thermal-scaling fixed, so that one temperature has one grey level in all of them. What is odd
about an image is said once, with the name of the first."""


def add_parser(commands) -> None:
    """Add `mafs fuse` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "fuse",
        help="fuse and segment image files",
        epilog=EXAMPLE,
        description="Fuse and segment one RGB + thermal pair, or two folders of them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rgb", metavar="RGB", type=Path, help="image file, or folder of images")
    parser.add_argument(
        "thermal",
        metavar="THERMAL",
        type=Path,
        help="image file, or folder of images with the same names",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="output folder")
    parser.add_argument(
        "--weights",
        metavar="FILE",
        type=Path,
        help="model file (.safetensors); default: the one shipped",
    )
    add_engine_options(parser)
    parser.add_argument(
        "--thermal-scaling",
        choices=("auto", "as_is", "percentile", "fixed"),
        default="auto",
        help="how thermal values become 8 bit; default: auto, "
        "as_is for 8-bit images, percentile (1 to 99.8) for others",
    )
    parser.add_argument(
        "--thermal-range",
        metavar=("LOW", "HIGH"),
        nargs=2,
        type=float,
        help="for fixed: the thermal values that become 0 and 255, in --thermal-unit",
    )
    parser.add_argument(
        "--thermal-unit",
        choices=("counts", "kelvin"),
        default="counts",
        help="of the range. counts (default): the numbers in the images, whatever they are; "
        "kelvin: for 16-bit images in hundredths of a kelvin, and float images in kelvin",
    )
    parser.add_argument(
        "--thermal-invalid-values",
        metavar="VALUES",
        default="auto",
        help="values that are no measurement, as '0 -10000', besides those found; none: every "
        "pixel counts; default: auto, those found",
    )
    parser.add_argument(
        "--registration-file",
        metavar="FILE",
        default="",
        help="YAML file with the homography from thermal to RGB pixels; default: both cameras "
        "see the same rectangle",
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Fuse all pairs; returns 1 where one was skipped, raises OSError or ValueError for all."""
    if (args.thermal_scaling == "fixed") != (args.thermal_range is not None):
        args.usage_error("--thermal-scaling fixed and --thermal-range LOW HIGH go together")
    if args.thermal_unit != "counts" and args.thermal_range is None:
        args.usage_error("--thermal-unit is that of --thermal-range, which is not given")
    if args.thermal_range is not None:
        low, high = args.thermal_range
        if not low < high:
            args.usage_error(f"--thermal-range: got {low:g} {high:g}, expected LOW below HIGH")
    pairs = find_pairs(args.rgb, args.thermal)
    folders = prepare_outputs(args.out, pairs)

    from mafs_ros.base.resources import default_weights
    from mafs_ros.engine.cache_folder import default_cache_dir
    from mafs_ros.perception.build import build_perception

    weights = args.weights or default_weights()
    perception, table = build_perception(parameter_values(args), weights, default_cache_dir())
    engine = perception.engine
    if engine.name == "openvino" and args.precision == "auto":
        from mafs_ros.engine.openvino.engine import OpenVinoEngine
        from mafs_ros.engine.openvino.rare_sizes import RareSizes

        perception.engine = engine = RareSizes(cast(OpenVinoEngine, engine), weights)
    try:
        skipped = fuse_pairs(pairs, perception, table, folders)
    finally:
        engine.close()
    print(f"fused {len(pairs) - skipped} of {len(pairs)} pairs into {args.out} ({engine.name})")
    return 1 if skipped else 0


def find_pairs(rgb: Path, thermal: Path) -> list[Pair]:
    """The pairs that two files or two folders make; raises OSError or ValueError if none."""
    from mafs_ros.images.files.folders import pair_folders

    for path in (rgb, thermal):
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file or folder")
    if rgb.is_dir() != thermal.is_dir():
        folder, file = (rgb, thermal) if rgb.is_dir() else (thermal, rgb)
        raise ValueError(
            f"{folder} is a folder and {file} is a file: expected two files or two folders"
        )
    return pair_folders(rgb, thermal) if rgb.is_dir() else [(rgb.stem, rgb, thermal)]


def prepare_outputs(out: Path, pairs: list[Pair]) -> dict[str, Path]:
    """Make `out` with its folders; raises OSError, or ValueError where an input lies in one."""
    from mafs_ros.base.write import prepare_output_folder

    inputs = {path.resolve().parent for _, *paths in pairs for path in paths}
    folders = {name: out / name for name in OUTPUTS}
    for folder in folders.values():
        if folder.resolve() in inputs:
            raise ValueError(
                f"{folder}: inputs lie in this output folder and could be "
                "overwritten; choose another --out"
            )
    return {name: prepare_output_folder(folder) for name, folder in folders.items()}


def parameter_values(args: argparse.Namespace) -> dict[str, Any]:
    """The node's parameters for stills: a range of each image, or --thermal-range."""
    from mafs_ros.parameters.checks import complete

    values: dict[str, Any] = complete(
        {
            "backend": args.backend,
            "precision": args.precision,
            "thermal_scaling": args.thermal_scaling,
            "thermal_time_constant_s": 0.0,
            "thermal_unit": args.thermal_unit,
            "thermal_invalid_values": args.thermal_invalid_values,
            "registration_file": args.registration_file,
        }
    )
    if args.thermal_range is not None:
        values["thermal_low"], values["thermal_high"] = args.thermal_range
    return values


def fuse_pairs(
    pairs: list[Pair], perception: Perception, table: ClassTable, folders: dict[str, Path]
) -> int:
    """Write the outputs of all pairs; returns how many were skipped, each with its reason.

    A pair that cannot be read or perceived is skipped; an output that cannot be written (OSError)
    ends the work.
    """
    from tqdm import tqdm

    from mafs_ros.images.files.read import read_pair
    from mafs_ros.images.files.write import write_png
    from mafs_ros.perception.alignment.hint import RegistrationHint
    from mafs_ros.perception.overlay import overlay

    registered = getattr(perception.registration, "homography", None) is not None
    skipped = 0
    hint = RegistrationHint()
    for name, rgb_file, thermal_file in tqdm(pairs, unit="pair", disable=None):
        try:
            rgb, thermal = read_pair(rgb_file, thermal_file)
            result = perception(rgb, thermal, 0.0)
        except (OSError, ValueError, RuntimeError) as error:
            tqdm.write(f"mafs fuse: skipped {name}: {one_line(error)}", file=sys.stderr)
            skipped += 1
            continue
        for remark in result.remarks:
            tqdm.write(f"mafs fuse: {name}: {remark}", file=sys.stderr)
        if not registered and not hint.complete:
            hint.add(rgb, result.thermal)
            if hint.complete and (text := hint.text()):
                tqdm.write(f"mafs fuse: {text}", file=sys.stderr)
        images = {
            "fused": result.fused,
            "labels": result.labels,
            "overlay": overlay(result.fused, result.labels, table),
        }
        for output, image in images.items():
            write_png(folders[output] / f"{name}.png", image)
    return skipped
