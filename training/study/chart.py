"""The plot of a study: differences to the base row and their intervals, a panel for a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mafs_ros.base.charts import Interval, interval_chart

# Difference, half the width of its interval, the paper's difference.
Point = tuple[float, float, float]


def chart(rows: Sequence[str], differences: Mapping[str, Mapping[str, Point]], base: str) -> str:
    """SVG; differences: score -> row -> point, in which NaN is not drawn."""
    panels = {
        name: {row: Interval(*point) for row, point in points.items()}
        for name, points in differences.items()
    }
    return interval_chart(
        rows, panels, f"difference to {base} and 95 % interval", "the paper's difference"
    )
