"""fleet.html: one file that loads nothing, with a table to filter and sort."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

from mafs_ros.base.charts import histogram, line_chart
from mafs_ros.commands.fleet.record import DARKER
from mafs_ros.commands.fleet.report.merge import score_name, worst
from mafs_ros.commands.fleet.task import WORST
from mafs_ros.commands.page import page_environment
from mafs_ros.commands.replay.report.page import inline, number
from mafs_ros.evaluation.metrics import PROTOCOL

MOST_ROWS = 5000  # in the page; fleet.csv has all
PACKAGE = "mafs_ros.commands.fleet.report"
# Title, key of the row, digits (None for text).
COLUMNS = (
    ("bag", "bag", None),
    ("pair", "pair", None),
    ("status", "status", None),
    ("date", "date", None),
    ("light", "light", None),
    ("seconds", "duration_s", 1),
    ("pairs", "evaluated", 0),
    ("mIoU %", "miou_with_background", 2),
    ("Qabf", "Qabf", 3),
    ("VIF", "VIF", 3),
    ("hot", "hot", 3),
    ("RGB dropped", "rgb_dropped", 0),
    ("thermal dropped", "thermal_dropped", 0),
    ("offset ms", "offset_ms", 1),
    ("age ms", "age_ms", 1),
    ("beside px", "registration_px", 1),
    ("what was wrong", "reason", None),
)
CHOICES = ("status", "light", "pair", "date")


def page(fleet: dict[str, Any], out: Path) -> str:
    """The whole page. fleet: what fleet.json holds; out: its folder, with the pictures."""
    environment = page_environment(PACKAGE)
    environment.filters["number"] = number
    script = files(PACKAGE).joinpath("fleet.js").read_text(encoding="utf-8")
    rows = fleet["drives"]
    score = score_name(rows)
    choices = {
        name: sorted({row[name] for row in rows if row[name]}) for name in CHOICES
    }  # of one value there is nothing to choose
    return environment.get_template("fleet.html.jinja").render(
        title=f"Fleet of {sum(fleet['bags'].values())} bags",
        fleet=fleet,
        groups=_groups(fleet),
        score="mIoU with background, %" if score != "Qabf" else score,
        charts={name: inline(svg, name) for name, svg in _charts(rows, fleet, score).items()},
        worst=[_picture(row, row[score], out) for row in worst(rows)],
        choices={name: values for name, values in choices.items() if len(values) > 1},
        columns=[column for column in COLUMNS if any(row[column[1]] is not None for row in rows)],
        rows=_shown(rows, score),
        settings=[
            (n, json.dumps(v)) for n, v in {**fleet["settings"], **fleet["options"]}.items()
        ],
        darker=DARKER,
        protocol=PROTOCOL,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _groups(fleet: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """All, day and night, and each pair of cameras where there are several."""
    groups = [("all", fleet["all"]), *fleet["by_light"].items()]
    return groups + (list(fleet["by_pair"].items()) if len(fleet["by_pair"]) > 1 else [])


def _shown(rows: list[dict[str, Any]], score: str) -> list[dict[str, Any]]:
    """All rows in their order; of too many the worst."""
    if len(rows) <= MOST_ROWS:
        return rows

    def badness(row: dict[str, Any]) -> tuple[bool, float]:
        value = row[score]
        return row["status"] == "complete", float("inf") if value is None else value

    return sorted(rows, key=badness)[:MOST_ROWS]


def _charts(
    rows: list[dict[str, Any]], fleet: dict[str, Any], score: str
) -> dict[str, str | None]:
    """Name -> SVG, or None where there is nothing to draw."""
    name = "mIoU with background, %" if score != "Qabf" else score
    dropped = [100 * row["rgb_dropped"] / row["rgb_images"] for row in rows if row["rgb_images"]]
    ages = [row["age_ms"] for row in rows if row["age_ms"] is not None]
    scores = [row[score] for row in rows if row[score] is not None]
    differences = [
        row[f"b_{score}"] - row[score]
        for row in rows
        if row[score] is not None and row.get(f"b_{score}") is not None
    ]
    return {
        "score": histogram(scores, name, "drives") if scores else None,
        "trend": _trend(fleet, score),
        "dropped": histogram(dropped, "% of the images", "drives") if dropped else None,
        "age": histogram(ages, "ms", "drives") if ages else None,
        "difference": histogram(differences, "second minus first", "drives")
        if differences
        else None,
    }


def _trend(fleet: dict[str, Any], score: str) -> str | None:
    """The score over dates; None for less than two."""
    scores = {}
    for day, group in fleet["by_date"].items():
        values = (group["segmentation"] or {}) if score != "Qabf" else group["fusion"]
        if values.get(score) is not None:
            scores[date.fromisoformat(day)] = values[score]
    if len(scores) < 2:
        return None
    first = min(scores)
    days = [float((day - first).days) for day in scores]
    name = "mIoU, %" if score != "Qabf" else score
    return line_chart(days, list(scores.values()), f"days since {first}", name)


def _picture(row: dict[str, Any], score: float, out: Path) -> dict[str, Any]:
    path = (out / row["report"]).with_name(WORST)
    jpeg = base64.b64encode(path.read_bytes()).decode() if path.exists() else ""
    return {"bag": row["bag"], "pair": row["pair"], "report": row["report"], "score": score,
            "jpeg": jpeg}  # fmt: skip
