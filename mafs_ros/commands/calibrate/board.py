"""`mafs calibrate --board`: both cameras, and how they sit, by a board that both see."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from tqdm import tqdm

from mafs_ros.commands.calibrate.method.board import BoardCalibration
from mafs_ros.commands.calibrate.method.board_files import calibrate_by_board
from mafs_ros.commands.calibrate.pairs import Pairs

PAIRS = 120  # that the board is searched in: up to half a second each
DISTANCE_M = 10.0


def run_board(
    opened: AbstractContextManager[Pairs], board: str, out: Path, distance_m: float | None
) -> int:
    """Calibrate and write; raises OSError or ValueError, and then writes nothing.

    distance_m: at which the homography is right, along the axis of the RGB camera.
    """
    distance_m = DISTANCE_M if distance_m is None else distance_m
    with opened as pairs:
        images = tqdm(pairs.images, "searching", pairs.count, unit="pair", disable=None)
        found = calibrate_by_board(images, board, out, distance_m)
    print(summary_line(found, out, distance_m))
    return 0


def summary_line(found: BoardCalibration, out: Path, distance_m: float) -> str:
    errors = found.errors_px
    return (
        f"wrote rgb_camera_info.yaml, thermal_camera_info.yaml and registration.yaml, for "
        f"{distance_m:g} m, to {out}: the board is in both images of {found.views['both']} pairs, "
        f"its points lie {errors['rgb']:.2f} (RGB), {errors['thermal']:.2f} (thermal) and "
        f"{errors['both']:.2f} pixels (both together) from where they should; the cameras are "
        f"{100 * found.rig.baseline_m:.1f} cm apart"
    )
