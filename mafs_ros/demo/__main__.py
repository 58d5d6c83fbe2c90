"""`make demo`: two cameras and the real node as processes over DDS; pictures, a video and a table.

    python3 -m mafs_ros.demo
    python3 -m mafs_ros.demo --rgb DIR --thermal DIR
    python3 -m mafs_ros.demo --bag PATH --out out/drive

Every pair comes out: the cameras wait for each one. With --rate they run at that rate whatever the
node does, as real ones would, and what it drops is counted. With --no-pictures nothing but the
node's own outputs is received, and nothing written: for its pace and latency alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mafs_ros.bags.options import add_topic_options
from mafs_ros.base.write import prepare_output_folder, write_bytes
from mafs_ros.demo.picture_writer import (
    PictureWriter,
    describe_files,
    finish_writer,
    write_pictures,
)
from mafs_ros.demo.sources import SIMULATED_FRAMES, make_source
from mafs_ros.demo.summary import summarise, table_text
from mafs_ros.demo.waiting import wait_for_frames
from mafs_ros.rig.account import SLOP_S, no_frame_reason, read_sent
from mafs_ros.rig.processes import (
    SPOOL,
    STALL_TIMEOUT_S,
    START_TIMEOUT_S,
    Process,
    RigError,
    set_environment,
)
from mafs_ros.rig.receiver import OUTPUTS, PACE_TOPIC, Receiver
from mafs_ros.rig.source import Source
from mafs_ros.rig.start_and_end import settle, wait_for_start


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="mafs_demo",
        description="Runs two cameras and the node over DDS; leaves pictures, "
        "a video and a summary. Without input: a simulated street.",
    )
    parser.add_argument("--rgb", metavar="DIR", type=Path, help="folder of RGB images")
    parser.add_argument(
        "--thermal", metavar="DIR", type=Path, help="folder of thermal images with the same names"
    )
    parser.add_argument("--bag", metavar="PATH", type=Path, help="rosbag2, sqlite3 or mcap")
    add_topic_options(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("out/demo"),
        help="output folder; default: out/demo",
    )
    parser.add_argument(
        "--frames",
        metavar="N",
        type=int,
        default=0,
        help=f"frames to show; default: all, {SIMULATED_FRAMES} simulated",
    )
    parser.add_argument(
        "--rate",
        metavar="HZ",
        type=float,
        default=0.0,
        help="run the cameras at this rate and count what the node drops; "
        "default: wait for each pair",
    )
    parser.add_argument(
        "--no-pictures",
        action="store_true",
        help="receive fused images and labels alone, and leave only summary.json",
    )
    parser.add_argument(
        "--rig",
        choices=("aligned", "unaligned"),
        default="aligned",
        help="of the simulated street: whether both cameras see the same rectangle; "
        "default: aligned",
    )
    parser.add_argument(
        "-p",
        dest="node_parameters",
        metavar="NAME:=VALUE",
        action="append",
        default=[],
        help="parameter of the node; may be repeated",
    )
    args = parser.parse_args(argv)
    check_arguments(parser, args)
    return args


def check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End the program, saying why, where the arguments do not go together."""
    if (args.rgb is None) != (args.thermal is None):
        parser.error("--rgb and --thermal go together")
    if args.bag is not None and args.rgb is not None:
        parser.error("give either --bag or --rgb and --thermal")
    if args.rig != "aligned" and (args.bag is not None or args.rgb is not None):
        parser.error("--rig goes with the simulated street, not with recorded images")
    if wrong := [text for text in args.node_parameters if ":=" not in text]:
        parser.error(f"-p: got {wrong[0]!r}, expected NAME:=VALUE")
    if args.frames < 0:
        parser.error(f"--frames: got {args.frames}, expected 1 or more")
    if args.rate and not 0.01 <= args.rate <= 1000:
        parser.error(f"--rate: got {args.rate:g}, expected 0.01 to 1000 Hz")


def prepare_outputs(out: Path, *, pictures: bool) -> None:
    """Make the folders; remove the pictures of an earlier demo, and of nothing else."""
    prepare_output_folder(out)
    earlier = (out / "summary.json").exists()
    for name in OUTPUTS if pictures else ():
        folder = prepare_output_folder(out / name)
        for picture in folder.glob("*.png") if earlier else ():
            picture.unlink()
    for spool in out.glob(f"{SPOOL}*"):  # of a demo that was killed
        shutil.rmtree(spool)
    prepare_output_folder(out / "log")


def start_node(source: Source, out: Path, parameters: list[str]) -> Process:
    """The node as a process; parameters: NAME:=VALUE of the command line, which come last."""
    own: dict[str, Any] = {
        "input_reliability": "reliable",
        "image_height": source.height,
        "image_width": source.width,
        "slop_s": SLOP_S,
    }
    if source.paced:
        own["fallback_after_s"] = 0.0  # cameras that wait for the node are not dead
    return Process("mafs_ros.node", {**own, **source.node}, out / "log/node.log", parameters)


def start_cameras(source: Source, out: Path, scratch: Path, subscribers: int) -> Process:
    """The cameras as a process; they begin once each has so many subscribers."""
    own: dict[str, Any] = {
        "wait_for_subscribers": subscribers,
        "wait_timeout_s": START_TIMEOUT_S,
        "sent_file": str(scratch / "sent.csv"),
    }
    if source.paced:
        own |= {
            "pace_topic": PACE_TOPIC,
            "pace_slop_s": SLOP_S,
            "pace_timeout_s": STALL_TIMEOUT_S / 2,
        }
    return Process("mafs_ros.cameras", {**own, **source.cameras}, out / "log/cameras.log")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """The whole demo; returns the summary. Raises RigError, OSError or ValueError."""
    out, pictures = args.out, not args.no_pictures
    prepare_outputs(out, pictures=pictures)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=out, prefix=SPOOL)))
        source = make_source(args, scratch)
        print(f"{source.description}: starting cameras and node ...", flush=True)
        set_environment()
        receiver = Receiver(source, scratch, pictures=pictures)
        stack.callback(receiver.close)
        node = start_node(source, out, args.node_parameters)
        stack.callback(node.stop)
        cameras = start_cameras(source, out, scratch, subscribers=2 if pictures else 1)
        stack.callback(cameras.stop)
        processes = (node, cameras)
        wait_for_start(source, receiver, processes)
        writer = PictureWriter(receiver, source, scratch, out) if pictures else None
        if writer:
            stack.callback(finish_writer, writer, receiver)
        stack.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)  # no second one while ending
        if writer:
            writer.start()
        receiver.subscribe_inputs()
        wait_for_frames(source, receiver, writer, processes)
        settle(receiver, cameras.said)
        node.stop()
        if writer:
            write_pictures(writer, receiver)
        published = read_sent(scratch / "sent.csv")
        if not receiver.complete:
            raise RigError(
                "no frame came out of the node: " + no_frame_reason(receiver, published)
            )
        summary = summarise(args, source, receiver, cameras.said, published)
        summary["files"] = describe_files(out, writer) if writer else f"{out}/summary.json"
        write_bytes(out / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    return summary


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 done, 1 failed (one line on stderr says why), 2 wrong usage, 130 interrupted."""
    args = parse_arguments(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        summary = run(args)
    except KeyboardInterrupt:
        print(f"demo: interrupted; what was done lies in {args.out}", file=sys.stderr)
        return 130
    except (RigError, OSError, ValueError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(table_text(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
