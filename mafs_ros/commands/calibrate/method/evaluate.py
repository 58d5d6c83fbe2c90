"""How far off `mafs calibrate` is, on real pairs that are seen by cameras of a known homography.

    python -m mafs_ros.commands.calibrate.method.evaluate DATA --cases 20 --frames 20
    python -m mafs_ros.commands.calibrate.method.evaluate DATA --sets road flir \\
        --thermal-size 160x120

DATA holds the folders that `warped.SETS` names. The sets are not aligned themselves: what they are
off by is measured from up to 200 of their pairs, with this very method, and taken into the truth;
`--residuals FILE.npz` (name of the set -> 3x3, thermal to RGB pixels of the frame) takes it from
elsewhere. Errors are mean distances at the corners of what both cameras see, in pixels at 640.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mafs_ros.commands.calibrate.method.calibrate import calibrate
from mafs_ros.commands.calibrate.method.errors import CalibrationError
from mafs_ros.commands.calibrate.method.fine import refine
from mafs_ros.commands.calibrate.method.frames import frame_of
from mafs_ros.commands.calibrate.method.geometry import mean_distance
from mafs_ros.commands.calibrate.method.warped import (
    RGB_SIZE,
    SETS,
    AlignedSet,
    corrected,
    draw_views,
    drawn,
    pairs_of,
    read_aligned,
    seen,
)
from mafs_ros.perception.registration.numbers import Matrix, Size

FIRST_SEED = 1000
RESIDUAL_PAIRS = 200  # 40 leave the truth itself some 2 pixels off
GROSS_PX = 10.0


@dataclass(frozen=True)
class Case:
    """error_px: nan where it was refused, then reason says why. disagreement_px: of the halves."""

    error_px: float
    disagreement_px: float
    evidence: float
    seconds: float
    uncertain: bool = False
    reason: str = ""


def main() -> int:
    """Run the cases and print a table."""
    args = _parser().parse_args()
    given = np.load(args.residuals) if args.residuals else {}
    rows = []
    for name in args.sets:
        residual = given[name] if name in given else measured_residual(args.data, SETS[name])
        cases = []
        for number, case in enumerate(run_cases(args, SETS[name], residual)):
            cases.append(case)
            print(
                f"{name} {number}: {case.error_px:.2f} px, halves {case.disagreement_px:.2f}, "
                f"evidence {case.evidence:.2f}, {case.seconds:.1f} s {case.reason}",
                file=sys.stderr,
                flush=True,
            )
        rows.append((name, cases))
    print("\n".join(table(rows)))
    return 0


def run_cases(args: argparse.Namespace, chosen: AlignedSet, residual: Matrix) -> Iterator[Case]:
    """Each case has views and pairs of its own, by its seed."""
    pairs = pairs_of(args.data, chosen)
    for number in range(args.cases):
        rng = np.random.default_rng(FIRST_SEED + args.first_case + number)
        views = draw_views(chosen.size, rng, args.thermal_size)
        frames = []
        for pair in drawn(pairs, len(pairs), rng):
            aligned = read_aligned(pair, chosen)
            if aligned is not None:
                frames.append(seen(aligned, views, pair[0]))
            if len(frames) == args.frames:
                break
        start = time.process_time()
        try:
            found = calibrate(frames)
        except CalibrationError as error:
            seconds = time.process_time() - start
            yield Case(np.nan, np.nan, np.nan, seconds, reason=str(error))
            continue
        seconds = time.process_time() - start
        true = corrected(views, residual)
        off = mean_distance(found.homography, true, views.thermal_size, RGB_SIZE)
        yield Case(off, found.disagreement_px, found.evidence, seconds, found.uncertain)


def measured_residual(data: Path, chosen: AlignedSet) -> Matrix:
    """The homography from thermal to RGB pixels of the aligned frames themselves."""
    pairs = pairs_of(data, chosen)
    frames = []
    for pair in pairs[:: max(len(pairs) // RESIDUAL_PAIRS, 1)][:RESIDUAL_PAIRS]:
        aligned = read_aligned(pair, chosen)
        if aligned is not None:
            frames.append(frame_of(pair[0], *aligned))
    return refine(frames, np.eye(3))


def table(rows: list[tuple[str, list[Case]]]) -> list[str]:
    """A row for each set, and one for all but tno, whose cameras have no common truth."""
    lines = [
        "| set | cases | median | 90 % | max | certain above 10 px | uncertain | refused | s |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for name, cases in rows:
        lines.append(_row(name, cases))
    lines.append(_row("all but tno", [c for name, cases in rows if name != "tno" for c in cases]))
    return lines


def _row(name: str, cases: list[Case]) -> str:
    given = [case for case in cases if not case.reason]
    errors = np.array([case.error_px for case in given])
    seconds = np.median([case.seconds for case in cases]) if cases else np.nan
    if not errors.size:
        return f"| {name} | {len(cases)} | - | - | - | - | - | {len(cases)} | {seconds:.1f} |"
    return (
        f"| {name} | {len(cases)} | {np.median(errors):.2f} | {np.percentile(errors, 90):.2f} | "
        f"{errors.max():.2f} | {sum(c.error_px > GROSS_PX and not c.uncertain for c in given)} | "
        f"{sum(c.uncertain for c in given)} | {len(cases) - len(given)} | "
        f"{seconds:.1f} |"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mafs_ros.commands.calibrate.method.evaluate")
    parser.add_argument("data", metavar="DATA", type=Path)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--first-case", type=int, default=0, help="seed of the first case")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--thermal-size", metavar="WIDTHxHEIGHT", type=_size)
    parser.add_argument("--residuals", metavar="FILE", type=Path)
    return parser


def _size(text: str) -> Size:
    width, _, height = text.partition("x")
    try:
        return int(height), int(width)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected such as 160x120") from None


if __name__ == "__main__":
    sys.exit(main())
