"""Writes report.json and report.html."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from mafs_ros.base.write import write_bytes
from mafs_ros.commands.replay.report.numbers import report_of
from mafs_ros.commands.replay.report.page import page
from mafs_ros.commands.replay.report.timing import timing_of, timing_rows
from mafs_ros.commands.replay.result import ReplayResult


def write_report(out: Path, replay: ReplayResult) -> dict[str, Any]:
    """Write the four files; returns what report.json holds. Raises OSError."""
    report = _plain(report_of(replay))
    timing = _plain(timing_of(replay))
    write_bytes(out / "timing.csv", timing_rows(replay).encode())
    for name, content in (("report.json", report), ("timing.json", timing)):
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_bytes(out / name, text.encode())
    write_bytes(out / "report.html", page(replay, report, timing, out).encode())
    return report


def _plain(value: Any) -> Any:
    """The same with plain Python types, and None for what is not a number."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
