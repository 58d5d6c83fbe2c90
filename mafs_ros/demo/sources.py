"""Where the images of the demo come from."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

from mafs_ros.bags.fit import DEFAULT_SLOP_S, Fit, fit
from mafs_ros.bags.reader import Bag, ImageTopic
from mafs_ros.bags.times import read_times
from mafs_ros.bags.topics import choose_topics
from mafs_ros.images.files.folders import pair_folders
from mafs_ros.images.files.read import read_rgb
from mafs_ros.images.messages.decode import rgb_from_message
from mafs_ros.rig.source import Source

SIMULATED_FRAMES = 100
SIMULATED_RATE_HZ = 10.0
SIMULATED_SIZE = (480, 640)
SIMULATED_SEED = 4  # a night street whose people the RGB camera hardly sees
PAIRING_PARAMETERS = {"slop_s", "queue_size", "thermal_time_offset_s", "pair_by"}
FASTEST_HZ = 50.0  # of recordings; faster, images of neighbouring pairs would overtake each other


def simulated_source(args: argparse.Namespace) -> Source:
    frames, rate = args.frames or SIMULATED_FRAMES, args.rate or SIMULATED_RATE_HZ
    height, width = SIMULATED_SIZE
    return Source(
        f"simulated street, {width}x{height}" + ", unaligned cameras" * (args.rig != "aligned"),
        frames,
        height,
        width,
        paced=not args.rate,
        cameras={
            "rate_hz": rate,
            "frames": frames,
            "cycle": min(frames, SIMULATED_FRAMES),
            "height": height,
            "width": width,
            "seed": SIMULATED_SEED,
            "rig": args.rig,
        },
        node={},
    )


def folder_source(args: argparse.Namespace, scratch: Path) -> Source:
    """Two folders; they get stamps from here, so that every output has the name of its files."""
    pairs = pair_folders(args.rgb, args.thermal)
    frames = min(len(pairs), args.frames or len(pairs))
    height, width = read_rgb(pairs[0][1]).shape[:2]
    start = time.time_ns()
    period = round(1e9 / (args.rate or FASTEST_HZ))
    stamps = {start + index * period: name for index, (name, _, _) in enumerate(pairs)}
    with open(scratch / "stamps.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("name", "rgb", "thermal"))
        for stamp, name in stamps.items():
            seconds = f"{stamp // 10**9}.{stamp % 10**9:09d}"
            rows.writerow((name, seconds, seconds))
    return Source(
        f"folders {args.rgb} and {args.thermal}, {width}x{height}",
        frames,
        height,
        width,
        paced=not args.rate,
        names=stamps,
        node={},
        cameras={
            "rgb_dir": str(args.rgb),
            "thermal_dir": str(args.thermal),
            "stamps_file": str(scratch / "stamps.csv"),
            "frames": frames,
        },
    )


def bag_source(args: argparse.Namespace) -> Source:
    with Bag(args.bag) as bag:
        rgb, thermal = choose_topics(bag, args.rgb_topic, args.thermal_topic)
        first_rgb = rgb_from_message(next(bag.messages([rgb])).deserialize())
        check_stamps(bag, (rgb, thermal), args.node_parameters)
        recorded_hz = rgb.count / max(bag.duration_s, 1e-3)
    height, width = first_rgb.shape[:2]
    frames = min(rgb.count, args.frames or rgb.count)
    return Source(
        f"bag {args.bag}, {rgb} and {thermal}",
        min(frames, thermal.count),
        height,
        width,
        paced=not args.rate,
        cameras={
            "bag": str(args.bag),
            "bag_rgb_topic": rgb.name,
            "bag_thermal_topic": thermal.name,
            "frames": frames,
            "speed": min(max((args.rate or FASTEST_HZ) / recorded_hz, 1e-3), 1e3),
        },
        node={
            "rgb_transport": "compressed" if rgb.compressed else "raw",
            "thermal_transport": "compressed" if thermal.compressed else "raw",
        },
        compressed={"rgb": rgb.compressed, "thermal": thermal.compressed},
    )


def check_stamps(
    bag: Bag, topics: tuple[ImageTopic, ImageTopic], node_parameters: list[str]
) -> None:
    """Raises ValueError, with what pairs the bag, where the node would not; warns of doubts.

    node_parameters: NAME:=VALUE; with one about pairing the user knows better.
    """
    rgb, thermal = topics
    times, _ = read_times(bag, topics)
    fitted = fit(times[rgb.name], times[thermal.name], (rgb.name, thermal.name))
    fault, told = fitted.fault, {text.partition(":=")[0] for text in node_parameters}
    stops = fault is not None and (not fault.in_doubt or fault.queue_short)
    if not told & PAIRING_PARAMETERS and (stops or not fitted.default_pairs):
        raise ValueError(f"bag {bag.path}: {stamps_in_words(fitted, rgb.count, bag)}")
    if fault is not None:
        print(f"demo: warning: {fault}", file=sys.stderr)


def stamps_in_words(fitted: Fit, images: int, bag: Bag) -> str:
    """Why the demo would show nothing, and the command that pairs the bag."""
    if not fitted.counters.paired:
        return "no two images make a pair: the cameras were not recorded together"
    text = (
        fitted.fault.text
        if fitted.fault
        else (
            f"the nearest RGB and thermal stamps are {abs(fitted.nearest_ms).min() / 1e3:.3f} s "
            f"apart, the node pairs up to {DEFAULT_SLOP_S} s"
        )
    )
    return (
        f"{text}; the demo takes stamps as they are: `mafs replay {bag.path} --out DIR "
        f"{fitted.options}` pairs {fitted.counters.paired} of {images}"
    )


def make_source(args: argparse.Namespace, scratch: Path) -> Source:
    """Look at the input; raises OSError or ValueError where it cannot be read."""
    if args.bag:
        return bag_source(args)
    if args.rgb:
        return folder_source(args, scratch)
    return simulated_source(args)
