"""report.html of a replay: one file that loads nothing.

Charts are inline SVG, pictures are in it, and its policy forbids requests.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from mafs_ros.commands.page import page_environment
from mafs_ros.commands.replay.report.drawings import drawings
from mafs_ros.commands.replay.result import ReplayResult

FILES = {
    "report.json": "all numbers of this page but the times",
    "frames.csv": "every evaluated pair",
    "timing.json": "the measured times",
    "timing.csv": "the measured times of every frame",
    "side_by_side.webm": "all frames, at 10 a second",
    "output.mcap": "fused, labels, overlay and class table, for rviz or Foxglove",
}


def page(replay: ReplayResult, report: dict[str, Any], timing: dict[str, Any], out: Path) -> str:
    """The whole report.html; links to those of FILES that are in the folder `out`."""
    environment = page_environment("mafs_ros.commands.replay.report")
    environment.filters["number"] = number
    return environment.get_template("report.html.jinja").render(
        title=f"Replay of {replay.options.bag.name}",
        published_ones=bool(replay.options.live),
        report=report,
        timing=timing,
        classes=classes(report),
        charts={name: inline(svg, name) for name, svg in drawings(replay).items()},
        worst=worst_frames(replay),
        settings=settings(report),
        files={name: text for name, text in FILES.items() if (out / name).exists()},
    )


def number(value: float | None, digits: int, signed: bool = False) -> str:
    """A number for people; a dash for none."""
    if value is None:
        return "–"
    if signed:  # of a difference the leading digits count, however small it is
        return f"{value:+.{digits}g}" if value else "0"
    return f"{value:.{digits}f}"


def inline(svg: str | None, name: str) -> str | None:
    """An SVG file as a part of a page, where its ids must be other than those of other charts."""
    if svg is None:
        return None
    svg = svg[svg.index("<svg") :].replace("<svg ", '<svg role="img" ', 1)
    return re.sub(r'( id="|xlink:href="#|url\(#)', rf"\1{name}-", svg)


def classes(report: dict[str, Any]) -> list[str]:
    """The names of all scored classes, those of the first engine before those of the second."""
    first = report["segmentation"]
    second = (report["compare"] or {}).get("second", {}).get("segmentation")
    both = [one for one in (first, second) if one]
    return list(dict.fromkeys(name for one in both for name in one["iou_percent"]))


def worst_frames(replay: ReplayResult) -> list[dict[str, str]]:
    return [
        {
            "caption": f"pair {worst.pair}, RGB stamp {worst.stamp} ns: {worst.reason}",
            "jpeg": base64.b64encode(worst.jpeg).decode(),
        }
        for worst in replay.worst.in_order()
    ]


def settings(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of all parameters and of what each engine is."""
    rows = [(name, json.dumps(value)) for name, value in report["settings"].items()]
    for engine in report["engines"]:
        rows += [
            (key, str(engine[key]))
            for key in ("description", "weights", "weights_sha256", "preset", "classes")
        ]
    return rows
