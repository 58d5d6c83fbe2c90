"""Stamps of the images of a folder, from a text file."""

from __future__ import annotations

import csv
from decimal import Decimal, InvalidOperation
from pathlib import Path

from mafs_ros.images.files.folders import some
from mafs_ros.images.files.names import match_names
from mafs_ros.images.files.pixels import IMAGE_SUFFIXES, ImageFileError, read_bytes


def read_stamps(path: Path | str, names: list[str]) -> list[tuple[int, int]]:
    """(RGB stamp, thermal stamp) in nanoseconds of each name, from a CSV file in seconds.

    The first line holds the column names `name,rgb,thermal`, in capitals or not; the stamps are
    decimal seconds and read exactly. Spaces do not count, the names may have their suffix, and
    semicolons or tabs may take the place of commas. Raises FileNotFoundError, OSError, or
    ImageFileError naming line and value.
    """
    text = read_bytes(Path(path)).decode("utf-8-sig", errors="replace")
    comma = next((sign for sign in ",;\t" if sign in text.partition("\n")[0]), ",")
    rows = csv.reader(text.splitlines(), delimiter=comma, skipinitialspace=True)
    columns = [column.strip().lower() for column in next(rows, [])]
    if missing := [column for column in ("name", "rgb", "thermal") if column not in columns]:
        raise ImageFileError(
            f"{path}: the first line lacks the column {', '.join(missing)}: "
            f"got {','.join(columns)}, expected name,rgb,thermal"
        )
    stamps: dict[str, tuple[int, int]] = {}
    for row in filter(None, rows):
        where = f"{path}, line {rows.line_num}"
        cells = dict(zip(columns, row, strict=False))
        name = _without_suffix(cells.get("name", "").strip())
        if name in stamps:
            raise ImageFileError(f"{where}: {name} has stamps already, expected one line each")
        stamps[name] = (
            _nanoseconds(cells.get("rgb"), where),
            _nanoseconds(cells.get("thermal"), where),
        )
    partners = match_names(names, stamps)
    if missing := [name for name in names if name not in partners]:
        raise ImageFileError(
            f"{path}: no stamps for {len(missing)} of {len(names)} images: {some(missing)}; "
            f"the file has {some(list(stamps), 2) or 'none'}"
        )
    return [stamps[partners[name]] for name in names]


def _without_suffix(name: str) -> str:
    suffix = Path(name).suffix
    return name[: -len(suffix)] if suffix.lower() in IMAGE_SUFFIXES else name


def _nanoseconds(text: str | None, where: str) -> int:
    try:
        stamp = int(Decimal(text or "") * 10**9)
    except (InvalidOperation, ValueError, OverflowError):
        stamp = -1
    if not 0 <= stamp < 2**31 * 10**9:  # the seconds of a ROS stamp are 32 bit
        raise ImageFileError(f"{where}: got the stamp {text!r}, expected seconds from 0 to 2^31")
    return stamp
