"""What the watch on the registration costs the frames: ages with and without it, in one node.

    PYTHONPATH=.:test:test/images:test/node python test/node/watch_cost.py

Blocks of frames with registration_warn_px 0 and 4 alternate, so that both meet the same load of
the machine. Run it with nothing else on it; the default takes 12 minutes.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import threading
import time
from typing import Any

import node_bench
import numpy as np
from node_bench import RELIABLE, TOPICS, Bench
from node_messages import image_message, stamp_of
from node_process import Process
from sensor_msgs.msg import Image

from mafs_ros.simulation import StreetSimulation

WARN_PX = (0.0, 4.0, 4.0, 0.0)
SETTLING = 5  # frames of a block that do not count
SCENES = 12
node_bench.DEADLINE_S = 300.0  # of the first frame, on a busy machine


def main() -> None:
    args = _arguments()
    street = StreetSimulation(seed=3, height=args.height, width=args.width)
    frames = [street.frame(0.5 * number) for number in range(SCENES)]
    scenes = itertools.cycle(
        (image_message(frame.rgb, "rgb8"), image_message(frame.thermal, "mono16"))
        for frame in frames
    )
    process = Process("mafs_ros.node", {"image_height": args.height, "image_width": args.width})
    bench, arrivals = Bench(), Arrivals()
    try:
        bench.node.create_subscription(Image, TOPICS["fused"], arrivals.take, RELIABLE)
        bench.connect(
            "fused", make=lambda: dict(zip(("rgb", "thermal"), next(scenes), strict=True))
        )
        ages: dict[float, list[np.ndarray]] = {0.0: [], 4.0: []}
        for _, warn_px in zip(range(2 * args.blocks), itertools.cycle(WARN_PX)):
            (result,) = bench.set_parameters(registration_warn_px=warn_px)
            assert result.successful, result.reason
            ages[warn_px].append(_block(bench, arrivals, scenes, args))
        print(_summary(ages))
    finally:
        process.send(signal.SIGINT)
        process.wait()
        bench.close()


class Arrivals:
    """When the fused image of each stamp has come: nanoseconds."""

    def __init__(self) -> None:
        self.at: dict[int, int] = {}
        self.changed = threading.Condition()

    def take(self, message: Image) -> None:
        with self.changed:
            self.at[stamp_of(message)] = time.time_ns()
            self.changed.notify_all()


def _block(bench: Bench, arrivals: Arrivals, scenes: Any, args: argparse.Namespace) -> np.ndarray:
    """Ages in milliseconds of the frames of a block that came back."""
    stamps, due = [], time.monotonic()
    for _ in range(args.frames + SETTLING):
        due += 1 / args.rate
        time.sleep(max(0.0, due - time.monotonic()))
        rgb, thermal = next(scenes)
        stamps.append(bench.send_pair(time.time_ns(), rgb=rgb, thermal=thermal))
        bench.received["fused"].clear()
    with arrivals.changed:
        arrivals.changed.wait_for(lambda: stamps[-1] in arrivals.at, timeout=5.0)
        came = [s for s in stamps[SETTLING:] if s in arrivals.at]
        return np.array([arrivals.at[stamp] - stamp for stamp in came]) / 1e6


def _summary(ages: dict[float, list[np.ndarray]]) -> str:
    """Medians over the blocks of their median and p95, and the ratio with the watch to without."""
    lines, p95 = [], {}
    for warn_px, blocks in ages.items():
        p95[warn_px] = float(np.median([np.percentile(block, 95) for block in blocks]))
        middle = np.median([np.median(block) for block in blocks])
        count = sum(block.size for block in blocks)
        lines.append(
            f"registration_warn_px {warn_px:g}: {count} frames in {len(blocks)} blocks, age: "
            f"median {middle:.2f} ms, p95 {p95[warn_px]:.2f} ms"
        )
    return "\n".join([*lines, f"p95 with the watch by p95 without: {p95[4.0] / p95[0.0]:.3f}"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rate", type=float, default=15.0, help="pairs a second")
    parser.add_argument(
        "--blocks", type=int, default=12, help="with the watch, and as many without"
    )
    parser.add_argument("--frames", type=int, default=450, help="of a block")
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=640)
    return parser.parse_args()


if __name__ == "__main__":
    main()
