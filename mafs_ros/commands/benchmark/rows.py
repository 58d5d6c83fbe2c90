"""Picks and sorts the measured rows."""

from __future__ import annotations

from typing import Any


def size(row: dict[str, Any]) -> str:
    height, width = row["size"]
    return f"{width}x{height}"


def pixel_count(row: dict[str, Any]) -> int:
    return int(row["size"][0]) * int(row["size"][1])


def by_engine(report: dict[str, Any]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """(preset, engine) -> the rows of one camera, smallest size first."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in sorted(report["results"], key=pixel_count):
        if row["cameras"] == 1:
            found.setdefault((row["preset"], row["engine"]), []).append(row)
    return found
