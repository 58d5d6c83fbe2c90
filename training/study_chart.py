"""The plot of a study: differences to the base row and their intervals, a panel for a score."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence

from mafs_ros.benchmark.report import WIDTH, svg, text
from mafs_ros.report_charts import ticks, widened

LABELS, GAP, TOP, LINE, BOTTOM = 170, 12, 44, 22, 46
COLOUR, PAPER, GREY = "#0969da", "#9a6700", "#d0d7de"
# Difference, half the width of its interval, the paper's difference.
Point = tuple[float, float, float]


def chart(rows: Sequence[str], differences: Mapping[str, Mapping[str, Point]], base: str) -> str:
    """SVG; differences: score -> row -> point, in which NaN is not drawn."""
    height = TOP + LINE * len(rows) + BOTTOM
    parts = [
        text(LABELS - 8, TOP + LINE * (index + 0.5) + 4, html.escape(row), "end")
        for index, row in enumerate(rows)
    ]
    width = (WIDTH - LABELS) / max(len(differences), 1)
    for index, (name, points) in enumerate(differences.items()):
        left = LABELS + index * width
        parts += _panel(name, rows, points, left, left + width - GAP)
    parts.append(text(LABELS, 14, f"difference to {html.escape(base)} and 95 % interval", "start"))
    parts.append(f'<circle cx="{WIDTH - 150}" cy="10" r="4" fill="none" stroke="{PAPER}"/>')
    parts.append(text(WIDTH - 140, 14, "the paper's difference", "start"))
    return svg("\n".join(parts), height=height)


def _panel(
    name: str, rows: Sequence[str], points: Mapping[str, Point], left: float, right: float
) -> list[str]:
    """One score from left to right: 0, ticks, and a line for each row."""
    low, high = _range(points)
    bottom = TOP + LINE * len(rows)

    def place(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    parts = [text((left + right) / 2, TOP - 8, html.escape(name), "middle")]
    for tick in ticks(low, high, 2):
        x = place(tick)
        stroke = "#24292f" if tick == 0 else GREY
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}" stroke="{stroke}"/>'
        )
        parts.append(text(x, bottom + 16, f"{tick:g}", "middle"))
    for index, row in enumerate(rows):
        if row in points:
            parts += _drawn(points[row], TOP + LINE * (index + 0.5), place)
    return parts


def _drawn(point: Point, y: float, place: Callable[[float], float]) -> list[str]:
    difference, half, paper = point
    parts = []
    if not math.isnan(half):
        x1, x2 = place(difference - half), place(difference + half)
        parts.append(
            f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y}" y2="{y}" stroke="{COLOUR}" '
            'stroke-width="2"/>'
        )
    if not math.isnan(difference):
        title = f"<title>{difference:+.4g}</title>"
        parts.append(
            f'<circle cx="{place(difference):.1f}" cy="{y}" r="4" fill="{COLOUR}">{title}</circle>'
        )
    if not math.isnan(paper):
        parts.append(
            f'<circle cx="{place(paper):.1f}" cy="{y}" r="4" fill="none" stroke="{PAPER}"/>'
        )
    return parts


def _range(points: Mapping[str, Point]) -> tuple[float, float]:
    """All that is drawn, and 0, with a margin."""
    values = [0.0]
    for difference, half, paper in points.values():
        values += [difference, difference - half, difference + half, paper]
    known = [value for value in values if not math.isnan(value)]
    low, high = widened(min(known), max(known))
    margin = 0.08 * (high - low)
    return low - margin, high + margin
