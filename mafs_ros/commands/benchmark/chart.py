"""The chart of times over image sizes."""

from __future__ import annotations

from typing import Any

from mafs_ros.base.charts import Line, log_log_chart
from mafs_ros.commands.benchmark.rows import by_engine, pixel_count, size


def chart(report: dict[str, Any]) -> str:
    """Median time over pixels, both logarithmic, as SVG; a line for each preset and engine.

    Lines of all presets but the first are dashed.
    """
    series = by_engine(report)
    presets = list(dict.fromkeys(preset for preset, _ in series))
    lines = [
        Line(
            name=f"{preset} {engine}",
            x=[pixel_count(row) for row in rows],
            y=[row["median_ms"] for row in rows],
            dashed=preset != presets[0],
        )
        for (preset, engine), rows in series.items()
    ]
    sizes = {float(pixel_count(row)): size(row) for rows in series.values() for row in rows}
    return log_log_chart(
        lines, sizes, "image size (pixels, logarithmic)", "median ms (logarithmic)"
    )
