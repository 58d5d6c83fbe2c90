"""Small simulated bags, and `mafs replay` on them."""

from __future__ import annotations

import csv
import json

from mafs_ros.bags.writer import BagWriter
from mafs_ros.cli import main

HEIGHT, WIDTH = 64, 96
START = 1_700_000_000_000_000_000
STEP = 100_000_000
MS = 1_000_000


def write_bag(
    path,
    frames,
    *,
    lag=3 * MS,
    stamps=None,
    labelled=range(99),
    storage="mcap",
    compress=False,
    label_delay=0,
):
    """rgb, thermal (16 bit) and labels of simulated frames."""
    stamps = stamps or [START + index * STEP for index in range(len(frames))]
    with BagWriter(path, storage, compress) as writer:
        for index, (frame, stamp) in enumerate(zip(frames, stamps, strict=True)):
            received = START + index * STEP
            writer.write_image("/rgb/image", frame.rgb, stamp, "rgb_optical", received)
            writer.write_image(
                "/thermal/image",
                frame.thermal,
                stamp + lag,
                "thermal_optical",
                received + max(lag, 0),
            )
            if index in labelled:
                writer.write_image(
                    "/labels/image", frame.labels, stamp, "rgb_optical", received + label_delay
                )
    return path


def replay(bag, out, *options):
    """Evaluate with torch, which starts at once; returns exit code and report."""
    code = main(["replay", str(bag), "--out", str(out), "--backend", "torch", *map(str, options)])
    return code, json.loads((out / "report.json").read_text())


def rows(out):
    with open(out / "frames.csv", newline="") as file:
        return list(csv.DictReader(file))
