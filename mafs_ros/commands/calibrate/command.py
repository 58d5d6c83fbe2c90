"""`mafs calibrate`: find where the thermal image lies in the RGB image: by a drive or a board."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mafs_ros.bags.options import add_topic_options
from mafs_ros.commands.options import add_parameter_options

if TYPE_CHECKING:
    from mafs_ros.commands.calibrate.drive import Drive
    from mafs_ros.commands.calibrate.method.calibrate import Calibration
    from mafs_ros.commands.calibrate.method.depth import DepthRange

EXAMPLE = """\
examples:
  mafs calibrate drive --out registration.yaml --report report.html
  mafs calibrate --rgb vi --thermal ir --out registration.yaml
  mafs calibrate drive --out registration.yaml --baseline-m 0.1 --distance-m 15
  mafs calibrate board_bag --board checkerboard:9x6:0.025 --out cameras --distance-m 15

No board is needed: a minute of driving with things to see in the whole image, at the distance that
matters most. With a board that both cameras see (warmed, or of two materials), held still and
tilted at 20 places and more, both lenses and how the cameras sit are measured too: --out is a
folder then, for rgb_camera_info.yaml, thermal_camera_info.yaml and registration.yaml.
Exit code 1 and no file where the evidence is too weak; the line says why.
docs/registration.md tells the rest."""


def add_parser(commands) -> None:
    """Add `mafs calibrate` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "calibrate",
        help="find the registration of the two cameras, from a drive or by a board",
        epilog=EXAMPLE,
        description="Measure the homography from the thermal to the RGB image by recorded pairs; "
        "with --board the lenses of both cameras and how they sit too.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "bag", metavar="BAG", type=Path, nargs="?", help="folder, .mcap or .db3 file"
    )
    parser.add_argument("--rgb", metavar="DIR", type=Path, help="instead of a bag: RGB images")
    parser.add_argument("--thermal", metavar="DIR", type=Path, help="and thermal ones, same names")
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        required=True,
        help="registration file to write (YAML); with --board a folder for three files",
    )
    parser.add_argument(
        "--board",
        metavar="KIND:COLUMNSxROWS:METRES",
        help="checkerboard:9x6:0.025 (inner corners, side of a square), circles:7x5:0.05, "
        "asymmetric_circles:4x9:0.04",
    )
    parser.add_argument("--report", metavar="FILE", type=Path, help="page to look at (HTML)")
    add_topic_options(parser)
    add_parameter_options(parser)
    depth = parser.add_argument_group(
        "for which distances it holds",
        "without a board: written into the file where the first two are given",
    )
    depth.add_argument("--baseline-m", metavar="M", type=float, help="distance of the cameras")
    depth.add_argument(
        "--distance-m",
        metavar="M",
        type=float,
        help="of most of what the drive shows; with --board: at which the homography is to be "
        "right, default 10",
    )
    depth.add_argument(
        "--focal-px",
        metavar="PX",
        type=float,
        help="focal length of the RGB camera; default: of its CameraInfo",
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Measure and write; raises OSError or ValueError, and then writes nothing."""
    _check_usage(args)
    _check_outputs(args)
    if args.board is not None:
        from mafs_ros.commands.calibrate.board import PAIRS, run_board
        from mafs_ros.commands.calibrate.pairs import pairs_named
        from mafs_ros.parameters.file import read_settings

        settings = read_settings(args.params, args.assignments)
        opened = pairs_named(args, settings, PAIRS)
        return run_board(opened, args.board, args.out, args.distance_m)
    return run_drive(args)


def run_drive(args: argparse.Namespace) -> int:
    """Without a board."""
    from tqdm import tqdm

    from mafs_ros.base.write import write_bytes
    from mafs_ros.commands.calibrate.method.calibrate import calibrate, steps
    from mafs_ros.commands.calibrate.method.file import registration_text, write_registration
    from mafs_ros.commands.calibrate.method.report.page import page

    drive = read_drive(args)
    ratio = known_ratio(drive)
    depth = depth_of(args, drive)
    with tqdm(desc="searching", total=steps(ratio), disable=None) as bar:
        found = calibrate(drive.frames, ratio, step=bar.update)
    source = str(args.bag or f"{args.rgb} {args.thermal}")
    text = registration_text(found, source, drive.lenses, depth)
    if args.report is not None:
        write_bytes(args.report, page(found, source, text, depth).encode())
    write_registration(args.out, text)
    print(summary_line(found, args.out))
    if found.uncertain:
        print(
            f"mafs calibrate: uncertain: the halves of the drive lie {found.disagreement_px:.1f} "
            "pixels apart; a longer drive with more to see in the whole image gives a better one",
            file=sys.stderr,
        )
    return 0


def read_drive(args: argparse.Namespace) -> Drive:
    """The frames that the options name; raises OSError or ValueError."""
    from mafs_ros.commands.calibrate.drive import drive_of
    from mafs_ros.commands.calibrate.method.choice import CANDIDATES
    from mafs_ros.commands.calibrate.pairs import pairs_named
    from mafs_ros.parameters.file import read_settings

    settings = read_settings(args.params, args.assignments)
    with pairs_named(args, settings, CANDIDATES) as pairs:
        return drive_of(pairs, settings)


def known_ratio(drive: Drive) -> float | None:
    """Of the views, where both cameras are calibrated."""
    from mafs_ros.commands.calibrate.method.lens import view_ratio

    thermal, rgb = drive.lenses
    return None if thermal is None or rgb is None else view_ratio(thermal, rgb)


def depth_of(args: argparse.Namespace, drive: Drive) -> DepthRange | None:
    """The range of distances, where baseline and distance are given; raises ValueError."""
    from mafs_ros.commands.calibrate.method.depth import depth_range

    if args.baseline_m is None:
        return None
    focal = args.focal_px
    if focal is None and drive.lenses[1] is not None:
        focal = float(drive.lenses[1].k[0, 0])
    if focal is None:
        raise ValueError(
            "--baseline-m needs the focal length of the RGB camera, and there is no CameraInfo: "
            "give --focal-px (width / 2 / tan(half the angle of view))"
        )
    return depth_range(focal, args.baseline_m, args.distance_m)


def summary_line(found: Calibration, out: Path) -> str:
    return (
        f"wrote {out}: {len(found.frames)} pairs, the halves of the drive lie "
        f"{found.disagreement_px:.1f} pixels apart, the cameras share {found.overlap:.0%} of the "
        "smaller view"
    )


def _check_usage(args: argparse.Namespace) -> None:
    folders = (args.rgb is not None) + (args.thermal is not None)
    if (args.bag is not None) == (folders > 0) or folders == 1:
        args.usage_error("give a BAG, or --rgb DIR and --thermal DIR")
    if folders and (args.rgb_topic or args.thermal_topic):
        args.usage_error("--rgb-topic and --thermal-topic are of a BAG")
    if args.board is not None:
        _check_board_usage(args)
    elif (args.baseline_m is None) != (args.distance_m is None):
        args.usage_error("--baseline-m and --distance-m go together")


def _check_board_usage(args: argparse.Namespace) -> None:
    from mafs_ros.commands.calibrate.method.board import board_from

    try:
        board_from(args.board)
    except ValueError as error:
        args.usage_error(str(error))
    for option in ("report", "baseline_m", "focal_px"):
        if getattr(args, option) is not None:
            name = option.replace("_", "-")
            args.usage_error(f"--{name} and --board do not go together: the board gives all of it")
    if args.distance_m is not None and not 0 < args.distance_m < math.inf:
        args.usage_error(f"--distance-m must be above 0, got {args.distance_m:g}")


def _check_outputs(args: argparse.Namespace) -> None:
    """What cannot be written is said before the work; raises OSError."""
    for path in (args.out, args.report):
        if path is not None and not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"{path.absolute().parent}: there is no such folder")
    if args.board is None and args.out.is_dir():
        raise IsADirectoryError(f"{args.out}: is a folder, expected a file (--board: a folder)")
    if args.board is not None and args.out.is_file():
        raise NotADirectoryError(f"{args.out}: is a file, expected a folder for three files")
