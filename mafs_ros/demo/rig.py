"""`make demo-rig`: two unaligned cameras, calibrated from a recorded minute, before and after.

    python3 -m mafs_ros.demo.rig

Records a drive of the simulated rig by day, runs `mafs calibrate` on it, and then the demo twice
by night: without and with the registration. The same frame of both lies in before_after.png.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from mafs_ros.base.write import prepare_output_folder
from mafs_ros.demo.sources import SIMULATED_SEED
from mafs_ros.images.files.read import read_labels, read_rgb
from mafs_ros.images.files.write import write_png
from mafs_ros.images.mosaic import write_text

SECONDS, FPS = 60, 2
FRAMES = 30


def steps(out: Path, frames: int) -> list[tuple[str, list[str]]]:
    """(what it does, module and arguments) of every step."""
    drive, file, report = (out / name for name in ("drive", "registration.yaml", "report.html"))
    show = ["mafs_ros.demo", "--rig", "unaligned", "--frames", str(frames), "--out"]
    record = ["--seconds", f"{SECONDS}", "--fps", f"{FPS}", "--seed", f"{SIMULATED_SEED}"]
    calibrate = ["calibrate", f"{drive}", "--out", f"{file}", "--report", f"{report}"]
    return [
        (
            f"recording {SECONDS} s of unaligned cameras",
            ["mafs_ros.cli", "bag", "simulate", *record, "--light", "day", f"{drive}"],
        ),
        ("calibrating from the recording", ["mafs_ros.cli", *calibrate]),
        ("the node without the registration", [*show, f"{out / 'before'}"]),
        (
            "the node with it",
            [*show, f"{out / 'after'}", "-p", f"registration_file:={file.absolute()}"],
        ),
    ]


def write_before_after(out: Path) -> Path:
    """Fused images without and with registration beside each other, where most is labelled."""
    labels = {path.name: read_labels(path) for path in (out / "after/labels").glob("*.png")}
    shown = [name for name in labels if (out / "before/fused" / name).exists()]
    if not shown:
        raise ValueError(f"{out}: the drives before and after have no frame in common")
    name = max(sorted(shown), key=lambda name: np.count_nonzero(labels[name]))
    panels = []
    for when in ("before", "after"):
        panel = read_rgb(out / when / "fused" / name)
        write_text(panel, when, (10, 10))
        panels.append(panel)
    path = out / "before_after.png"
    write_png(path, np.hstack(panels))
    return path


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 done, 1 where a step failed, which says why, 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="mafs_demo_rig", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("out/demo-rig"))
    parser.add_argument("--frames", metavar="N", type=int, default=FRAMES, help="of each drive")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        prepare_output_folder(args.out)
        for number, (what, command) in enumerate(todo := steps(args.out, args.frames), 1):
            print(f"{number} of {len(todo)}: {what} ...", flush=True)
            if command[1:3] == ["bag", "simulate"] and Path(command[-1]).exists():
                print(f"{command[-1]} is there from an earlier run")
                continue
            if code := subprocess.run([sys.executable, "-m", *command]).returncode:
                print(f"demo-rig: {what}: ended with exit code {code}", file=sys.stderr)
                return 1
        print(write_before_after(args.out))
    except KeyboardInterrupt:
        print(f"demo-rig: interrupted; what was done lies in {args.out}", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"demo-rig: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
