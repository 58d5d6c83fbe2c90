"""Writes the merged report."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mafs_ros import __version__
from mafs_ros.base.write import write_bytes
from mafs_ros.commands.fleet.report.merge import merge, numbers_of
from mafs_ros.commands.fleet.report.page import page
from mafs_ros.commands.fleet.report.rows import FIRST_COLUMNS, SCORES
from mafs_ros.commands.fleet.task import RUN, Task
from mafs_ros.commands.replay.options import Options
from mafs_ros.parameters.file import NAMES

TIMING_COLUMNS = ("bag", "worker", "seconds", "frames", "bytes")


def write_fleet(
    out: Path, tasks: Sequence[Task], options: Options, values: dict[str, Any], threads: int
) -> dict[str, Any]:
    """Write the four files of what is there of these bags; returns what fleet.json holds.

    values: of all parameters; threads: of each task. Raises OSError, and ValueError for a damaged
    record.
    """
    about = {
        "mafs_ros": __version__,
        "settings": {
            **{name: values[name] for name in values if name.rpartition(".")[2] in NAMES},
            "threads": threads,
            "every": options.every,
        },
        "options": {
            name: getattr(options, name) for name in ("labels", "label_classes", "compare")
        },
    }
    fleet = numbers_of(merge(tasks), about)
    text = json.dumps(fleet, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(out / "fleet.json", text.encode())
    write_bytes(out / "fleet.csv", _table(fleet["drives"]).encode())
    write_bytes(out / "timing.csv", _timing(tasks).encode())
    write_bytes(out / "fleet.html", page(fleet, out).encode())
    return fleet


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """fleet.csv: a line for each row; what is not known is empty."""
    classes = sorted({name for row in rows for name in row if name.startswith("iou_")})
    names = [*FIRST_COLUMNS, *SCORES, *classes]
    seconds = {name for row in rows for name in row if name.startswith("b_")}
    names += [f"b_{name}" for name in (*SCORES, *classes) if f"b_{name}" in seconds]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, "report"])
    for row in rows:
        writer.writerow(["" if row.get(n) is None else row[n] for n in (*names, "report")])
    return text.getvalue()


def _timing(tasks: Sequence[Task]) -> str:
    """timing.csv: how long each bag took, and where; other at every run."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(TIMING_COLUMNS)
    for task in tasks:
        path = task.folder / RUN
        if path.exists():
            run = json.loads(path.read_bytes())
            writer.writerow([task.source.url, *(run[name] for name in TIMING_COLUMNS[1:])])
    return text.getvalue()
