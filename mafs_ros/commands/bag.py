"""`mafs bag`: make a bag from folders of images, and say what is in one. Without ROS."""

from __future__ import annotations

import argparse
import shutil
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mafs_ros.bags.make import (
    DEPTH_TOPIC,
    LABELS_TOPIC,
    RGB_TOPIC,
    THERMAL_TOPIC,
    even_stamps,
    find_labels,
    write_shots,
)
from mafs_ros.bags.options import add_topic_options

if TYPE_CHECKING:
    from mafs_ros.bags.reader import Bag

HINT_STEP_NS = 10**9  # between the pairs that are looked at for a registration
LIGHTS = {"seeded": None, "day": False, "night": True}
EXAMPLE = """\
examples:
  mafs bag make --rgb vi --thermal ir --labels label --fps 10 drive
  mafs bag make --rgb vi --thermal ir --stamps stamps.csv drive
  mafs bag simulate --seconds 60 --fps 5 drive
  mafs bag info drive"""
MAKE_EXAMPLE = f"""\
example:
  mafs bag make --rgb vi --thermal ir --labels label --fps 10 drive

Images pair by their names without suffix (0001_rgb and 0001_th too). They become {RGB_TOPIC},
{THERMAL_TOPIC} and, with --labels, {LABELS_TOPIC} (mono8 class ids with the RGB stamps;
images may lack one).
A stamps file is CSV with the first line name,rgb,thermal and stamps in seconds."""
SIMULATE_EXAMPLE = f"""\
example:
  mafs bag simulate --seconds 60 --fps 5 --light day drive

The street of `make demo` as a rig sees it whose cameras stand apart, with other lenses and sizes:
{RGB_TOPIC} (640x480), {THERMAL_TOPIC} (320x256), both camera_info, /tf_static, {LABELS_TOPIC} and
{DEPTH_TOPIC} (exact depth of the RGB pixels, 16UC1 in mm, 0 for the sky and beyond 65 m)."""
INFO_EXAMPLE = """\
example:
  mafs bag info drive

Exit code 1 where the bag is damaged, holds no pairs or images that cannot be read, or where stamps
are wrong or may be: wrong ones and images that come late look the same in a bag (docs/robot.md).
What can be read is still shown."""


def add_parser(commands) -> None:
    """Add `mafs bag` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "bag",
        help="make or inspect a rosbag2 of the camera pair",
        epilog=EXAMPLE,
        description="Make a rosbag2 from image folders, or say what one holds and which node "
        "parameters fit it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(
        title="commands", dest="bag_command", metavar="COMMAND", required=True
    )
    make = kinds.add_parser(
        "make",
        help="a bag from folders of images",
        epilog=MAKE_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    make.add_argument("--rgb", metavar="DIR", type=Path, required=True)
    make.add_argument("--thermal", metavar="DIR", type=Path, required=True)
    make.add_argument("--labels", metavar="DIR", type=Path, help="PNGs of class ids")
    times = make.add_mutually_exclusive_group(required=True)
    times.add_argument(
        "--fps",
        metavar="N",
        type=frames_per_second,
        help="frames per second, both cameras at once",
    )
    times.add_argument("--stamps", metavar="CSV", type=Path, help="recorded stamps")
    make.add_argument(
        "--storage", choices=("mcap", "sqlite3"), default="mcap", help="default: mcap"
    )
    make.add_argument("--compress", action="store_true", help="zstd for each message")
    make.add_argument("out", metavar="OUT", type=Path, help="folder of the new bag")
    make.set_defaults(run=run_make)
    add_simulate(kinds)
    info = kinds.add_parser(
        "info",
        help="topics, rates, offsets, parameters that fit",
        epilog=INFO_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    info.add_argument("bag", metavar="BAG", type=Path, help="folder, .mcap or .db3 file")
    add_topic_options(info)
    info.set_defaults(run=run_info)


def add_simulate(kinds) -> None:
    """Add `mafs bag simulate`."""
    simulate = kinds.add_parser(
        "simulate",
        help="a bag of a simulated drive with unaligned cameras",
        epilog=SIMULATE_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    simulate.add_argument("--seconds", metavar="S", type=seconds, default=60.0, help="default: 60")
    simulate.add_argument(
        "--fps", metavar="N", type=frames_per_second, default=5.0, help="default: 5"
    )
    simulate.add_argument("--seed", metavar="N", type=int, default=0, help="of the street")
    simulate.add_argument(
        "--light", choices=tuple(LIGHTS), default="seeded", help="default: the seed decides"
    )
    simulate.add_argument(
        "--storage", choices=("mcap", "sqlite3"), default="mcap", help="default: mcap"
    )
    simulate.add_argument("--compress", action="store_true", help="zstd for each message")
    simulate.add_argument("out", metavar="OUT", type=Path, help="folder of the new bag")
    simulate.set_defaults(run=run_simulate)


def seconds(text: str) -> float:
    """Parse a duration; raises argparse.ArgumentTypeError."""
    return _number(text, 86400, " seconds")


def frames_per_second(text: str) -> float:
    """Parse a rate; raises argparse.ArgumentTypeError."""
    return _number(text, 1000)


def _number(text: str, most: int, unit: str = "") -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= most:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected 0.001 to {most}{unit}")
    return value


def run_info(args: argparse.Namespace) -> int:
    """Print what the bag holds; returns 1 where it is damaged or holds no pairs."""
    from mafs_ros.bags.describe import describe_bag
    from mafs_ros.bags.reader import Bag

    with Bag(args.bag, salvage=True) as bag:
        text, sound = describe_bag(bag, args.rgb_topic, args.thermal_topic)
        print(text)
        if sound and (hint := registration_hint(bag, args.rgb_topic, args.thermal_topic)):
            print(f"warning: {hint}")
    return 0 if sound else 1


def registration_hint(bag: Bag, rgb: str, thermal: str) -> str:
    """A line where pairs at the start of a sound bag say that the cameras need a registration."""
    from mafs_ros.bags.topics import choose_topics
    from mafs_ros.evaluation.bag_pairs import Frame, PairReader
    from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
    from mafs_ros.parameters.file import read_settings
    from mafs_ros.perception.alignment.hint import RegistrationHint
    from mafs_ros.perception.registration import Registration
    from mafs_ros.perception.thermal import ThermalScaler

    hint, resize, scaler = RegistrationHint(), Registration(None), ThermalScaler()
    last = [-HINT_STEP_NS]

    def wanted(pair: Frame) -> bool:
        if pair.rgb.received - last[0] < HINT_STEP_NS:
            return False
        last[0] = pair.rgb.received
        return True

    topics = choose_topics(bag, rgb, thermal)
    reader = PairReader(topics, read_settings(None, ()), None, wanted)
    with closing(reader.frames(bag)) as pairs:
        for pair in pairs:
            with suppress(ValueError):  # an image that cannot be read tells nothing
                colour = rgb_from_message(pair.rgb.deserialize())
                counts = thermal_from_message(pair.thermal.deserialize())
                heat = scaler(counts, pair.thermal_time_s)
                hint.add(colour, resize(heat, colour.shape[:2]))
            if hint.complete:
                break
    return hint.text()


def run_make(args: argparse.Namespace) -> int:
    """Write the bag; raises OSError or ValueError, and then leaves no half bag."""
    from mafs_ros.bags.writer import BagWriter
    from mafs_ros.images.files.folders import pair_folders
    from mafs_ros.images.files.stamps import read_stamps

    pairs = pair_folders(args.rgb, args.thermal)
    names = [name for name, _, _ in pairs]
    labels = find_labels(args.labels, names)
    stamps = read_stamps(args.stamps, names) if args.stamps else even_stamps(args.fps, len(names))
    shots = []
    for (name, rgb, thermal), (rgb_stamp, thermal_stamp) in zip(pairs, stamps, strict=True):
        shots += [
            (rgb_stamp, "rgb", rgb),
            (thermal_stamp, "fourth channel" if rgb == thermal else "thermal", thermal),
        ]
        if name in labels:
            shots.append((rgb_stamp, "labels", labels[name]))
    shots.sort(key=lambda shot: shot[0])  # stable: rgb, thermal, labels of one stamp
    with BagWriter(args.out, args.storage, args.compress) as writer:
        try:
            write_shots(writer, shots)
        except BaseException:
            writer.close()
            shutil.rmtree(args.out, ignore_errors=True)
            raise
    print(f"wrote {args.out}: {len(pairs)} pairs" + f", {len(labels)} labelled" * bool(labels))
    return 0


def run_simulate(args: argparse.Namespace) -> int:
    """Write the bag; raises OSError or ValueError, and then leaves no half bag."""
    from mafs_ros.bags.simulate import write_simulated_drive

    frames = max(round(args.seconds * args.fps), 1)
    write_simulated_drive(
        args.out,
        frames=frames,
        fps=args.fps,
        seed=args.seed,
        night=LIGHTS[args.light],
        storage=args.storage,
        compress=args.compress,
    )
    print(f"wrote {args.out}: {frames} pairs of unaligned cameras")
    return 0
