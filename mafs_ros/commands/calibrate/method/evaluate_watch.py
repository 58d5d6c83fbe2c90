"""Whether the watch tells a thermal image that fits from one that lies beside, on real pairs.

    python -m mafs_ros.commands.calibrate.method.evaluate_watch DATA
    python -m mafs_ros.commands.calibrate.method.evaluate_watch DATA --sets drone road --as-it-is

DATA and sets are those of `evaluate`. Each set is registered first by what `mafs calibrate`
measures of it, as a robot would be; with --as-it-is it is not. Windows are of as many pairs as the
watch takes, spread over the set. Offsets in pixels at 640; the hint is what `mafs bag info` and
`mafs fuse` say of a window whose thermal images lie 10 to 30 pixels beside, in random directions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mafs_ros.commands.calibrate.method.evaluate import measured_residual
from mafs_ros.commands.calibrate.method.frames import Grey
from mafs_ros.commands.calibrate.method.geometry import REFERENCE_WIDTH, shifted
from mafs_ros.commands.calibrate.method.warped import SETS, pairs_of, read_aligned
from mafs_ros.perception.alignment.hint import PAIRS, RegistrationHint
from mafs_ros.perception.alignment.offset import Offset, measure_offset, offset_surface
from mafs_ros.perception.alignment.watch import FRAMES
from mafs_ros.perception.registration.numbers import Matrix

MOST_WINDOWS = 15
BESIDE = ((4, 0), (-4, 0), (0, 4), (0, -4))
FAR_BESIDE = (10, 15, 20, 25, 30)
SEED = 77
Window = Sequence[tuple[Grey, Grey]]


def main() -> int:
    """Print a row for each set."""
    parser = argparse.ArgumentParser(
        prog="python -m mafs_ros.commands.calibrate.method.evaluate_watch"
    )
    parser.add_argument("data", metavar="DATA", type=Path)
    aligned = [name for name in SETS if name != "tno"]
    parser.add_argument("--sets", nargs="+", choices=SETS, default=aligned)
    parser.add_argument("--as-it-is", action="store_true", help="not registered by calibration")
    args = parser.parse_args()
    print(
        "| set | windows | fits: median, largest | 4 px beside: smallest, median "
        "| least certainty | hint: fits | 10 to 30 px beside |\n|---|---|---|---|---|---|---|"
    )
    for name in args.sets:
        fits = np.eye(3) if args.as_it_is else measured_residual(args.data, SETS[name])
        print(row(name, windows_of(args.data, name), fits), flush=True)
    return 0


def windows_of(data: Path, name: str) -> list[Window]:
    """Windows of pairs that lie far apart in the set."""
    read = (read_aligned(pair, SETS[name]) for pair in pairs_of(data, SETS[name]))
    pairs = [pair for pair in read if pair is not None]
    count = min(len(pairs) // FRAMES, MOST_WINDOWS)
    return [pairs[first :: len(pairs) // FRAMES][:FRAMES] for first in range(count)]


def row(name: str, windows: list[Window], fits: Matrix) -> str:
    """fits: from thermal to RGB pixels of the pairs."""
    good = [offset(window, fits) for window in windows]
    bad = [offset(window, beside(window, *by) @ fits) for window in windows for by in BESIDE]
    near, far = np.array([o.length for o in good]), np.array([o.length for o in bad])
    certainty = min(o.certainty for o in (*good, *bad))
    angles = np.random.default_rng(SEED).uniform(0, 2 * np.pi, (len(windows), len(FAR_BESIDE)))
    hinted = [
        hint(window, beside(window, px * np.cos(angle), px * np.sin(angle)) @ fits)
        for window, row_of in zip(windows, angles, strict=True)
        for px, angle in zip(FAR_BESIDE, row_of, strict=True)
    ]
    return (
        f"| {name} | {len(windows)} | {np.median(near):.1f}, {near.max():.1f} | {far.min():.1f}, "
        f"{np.median(far):.1f} | {certainty:.2f} | {sum(hint(w, fits) for w in windows)} of "
        f"{len(windows)} | {sum(hinted)} of {len(hinted)} |"
    )


def beside(window: Window, right: float, down: float) -> Matrix:
    """A shift by pixels at 640."""
    scale = window[0][0].shape[1] / REFERENCE_WIDTH
    return shifted(scale * right, scale * down)


def offset(window: Window, registration: Matrix) -> Offset:
    """What the watch measures, in pixels at 640."""
    surfaces = [
        offset_surface(rgb, *_warped(thermal, registration, cv2.BORDER_CONSTANT))
        for rgb, thermal in window
    ]
    return measure_offset(np.sum(surfaces, axis=0), REFERENCE_WIDTH)


def hint(window: Window, registration: Matrix) -> bool:
    """Whether a registration is asked for."""
    looks = RegistrationHint()
    for rgb, thermal in window[:PAIRS]:
        looks.add(rgb, _warped(thermal, registration, cv2.BORDER_REPLICATE)[0])
    return bool(looks.text())


def _warped(thermal: Grey, registration: Matrix, border: int) -> tuple[Grey, Grey]:
    """The thermal image, and where it is known."""
    size = thermal.shape[::-1]
    known = cv2.warpPerspective(np.full_like(thermal, 255), registration, size)
    warped = cv2.warpPerspective(thermal, registration, size, borderMode=border)
    return np.asarray(warped, np.uint8), np.asarray(known, np.uint8)


if __name__ == "__main__":
    sys.exit(main())
