"""The output folder of a replay."""

from __future__ import annotations

import shutil
from pathlib import Path

from mafs_ros.base.write import prepare_output_folder

FILES = (
    "report.json",
    "report.html",
    "frames.csv",
    "timing.json",
    "timing.csv",
    "side_by_side.webm",
    "output.mcap",
)
PART = ".mafs_replay"  # folder in it of what is not whole yet


def prepare_folder(out: Path) -> None:
    """Make the folder; remove the files of an earlier report. Raises OSError or ValueError."""
    prepare_output_folder(out)
    found = [name for name in FILES if (out / name).exists()]
    if found and "report.json" not in found:
        raise ValueError(
            f"{out / found[0]}: exists and is not of an earlier report; choose another --out"
        )
    for name in found:
        (out / name).unlink()
    shutil.rmtree(out / PART, ignore_errors=True)
