"""Stamps of the images of a folder, from a text file."""

from __future__ import annotations

import csv
from decimal import Decimal, InvalidOperation
from pathlib import Path

from mafs_ros.images.files.folders import some
from mafs_ros.images.files.read import ImageFileError, read_bytes


def read_stamps(path: Path | str, names: list[str]) -> list[tuple[int, int]]:
    """(RGB stamp, thermal stamp) in nanoseconds of each name, from a CSV file in seconds.

    The first line holds the column names `name,rgb,thermal`; the stamps are decimal seconds and
    read exactly. Raises FileNotFoundError, OSError, or ImageFileError naming line and value.
    """
    text = read_bytes(Path(path)).decode("utf-8-sig", errors="replace")
    rows = csv.DictReader(text.splitlines())
    columns = rows.fieldnames or []
    if missing := [column for column in ("name", "rgb", "thermal") if column not in columns]:
        raise ImageFileError(
            f"{path}: the first line lacks the column {', '.join(missing)}: "
            f"got {','.join(columns)}, expected name,rgb,thermal"
        )
    stamps = {
        row["name"]: (
            _nanoseconds(row["rgb"], f"{path}, line {rows.line_num}"),
            _nanoseconds(row["thermal"], f"{path}, line {rows.line_num}"),
        )
        for row in rows
    }
    if missing := [name for name in names if name not in stamps]:
        raise ImageFileError(
            f"{path}: no stamps for {len(missing)} of {len(names)} images: {some(missing)}"
        )
    return [stamps[name] for name in names]


def _nanoseconds(text: str | None, where: str) -> int:
    try:
        stamp = int(Decimal(text or "") * 10**9)
    except (InvalidOperation, ValueError, OverflowError):
        stamp = -1
    if not 0 <= stamp < 2**31 * 10**9:  # the seconds of a ROS stamp are 32 bit
        raise ImageFileError(f"{where}: got the stamp {text!r}, expected seconds from 0 to 2^31")
    return stamp
