"""Tables and charts as HTML and inline SVG, for pages that load nothing."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def number(value: float | None, digits: int, signed: bool = False) -> str:
    """A number for people; a dash for none."""
    if value is None:
        return "–"
    if signed:  # of a difference the leading digits count, however small it is
        return f"{value:+.{digits}g}" if value else "0"
    return f"{value:.{digits}f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left_last: bool = False) -> str:
    """An HTML table of cells that are HTML already."""
    heads = [f"<th>{name}</th>" for name in head]
    if left_last:
        heads[-1] = f'<th class="text">{head[-1]}</th>'
    lines = [f"<tr>{''.join(heads)}</tr>"]
    for row in rows:
        cells = [f"<td>{cell}</td>" for cell in row]
        if left_last:
            cells[-1] = f'<td class="text">{row[-1]}</td>'
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"


WIDTH, HEIGHT = 1000, 190
LEFT, RIGHT, TOP, BOTTOM = 76, 10, 8, 34
COLUMNS = 500  # of a line: more points are drawn as their least and greatest


def line_chart(
    xs: Sequence[float], ys: Sequence[float], x_name: str, y_name: str, from_zero: bool = False
) -> str:
    """An inline SVG of y over x, in the order of x."""
    if not xs:
        return '<p class="soft">no values</p>'
    order = np.argsort(xs, kind="stable")
    x, y = np.asarray(xs, float)[order], np.asarray(ys, float)[order]
    known = np.isfinite(y)
    x, y = thinned(x[known], y[known])
    if not x.size:
        return '<p class="soft">no values</p>'
    frame, place_x, place_y = axes(
        (x.min(), x.max()), (0.0 if from_zero else y.min(), y.max()), x_name, y_name
    )
    points = " ".join(f"{place_x(a):.1f},{place_y(b):.1f}" for a, b in zip(x, y, strict=True))
    dots = ""
    if x.size <= 120:
        dots = "".join(
            f'<circle cx="{place_x(a):.1f}" cy="{place_y(b):.1f}" r="2" '
            f'fill="#1f6feb"><title>{a:.3f} s: {b:.3f}</title></circle>'
            for a, b in zip(x, y, strict=True)
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{frame}<polyline points="{points}" '
        f'fill="none" stroke="#1f6feb" stroke-width="1.3"/>{dots}</svg>'
    )


def thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most 2 * COLUMNS points that draw the same line: no peak is lost."""
    if len(x) <= 2 * COLUMNS:
        return x, y
    kept = []
    for part in np.array_split(np.arange(len(x)), COLUMNS):
        kept += sorted({int(part[y[part].argmin()]), int(part[y[part].argmax()])})
    return x[kept], y[kept]


def histogram(
    values: Sequence[float], x_name: str, y_name: str, limits: tuple[float, float] | None = None
) -> str:
    """An inline SVG of how often values occur."""
    low, high = limits or (min(values), max(values))
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(
        values, bins=min(60, max(10, len(values) // 4)), range=(low, high)
    )
    frame, place_x, place_y = axes((low, high), (0.0, float(counts.max())), x_name, y_name)
    bars = "".join(
        f'<rect x="{place_x(a) + 0.5:.1f}" y="{place_y(count):.1f}" '
        f'width="{max(place_x(b) - place_x(a) - 1, 0.5):.1f}" '
        f'height="{place_y(0) - place_y(count):.1f}" fill="#1f6feb">'
        f"<title>{a:.3f} to {b:.3f}: {count}</title></rect>"
        for count, a, b in zip(counts, edges[:-1], edges[1:], strict=True)
        if count
    )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{frame}{bars}</svg>'


def axes(
    x_range: tuple[float, float], y_range: tuple[float, float], x_name: str, y_name: str
) -> tuple[str, Any, Any]:
    """Grid, ticks and names as SVG, and the functions from values to places."""
    (x_low, x_high), (y_low, y_high) = (widened(*r) for r in (x_range, y_range))

    def place_x(value: float) -> float:
        return LEFT + (value - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def place_y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for tick in ticks(y_low, y_high, 4):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place_y(tick):.1f}" '
            f'y2="{place_y(tick):.1f}" stroke="#e6e9ed"/><text x="{LEFT - 6}" '
            f'y="{place_y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for tick in ticks(x_low, x_high, 10):
        parts.append(
            f'<text x="{place_x(tick):.1f}" y="{HEIGHT - BOTTOM + 14}" '
            f'text-anchor="middle">{tick:g}</text>'
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 4}" text-anchor="middle">'
        f'{html.escape(x_name)}</text><text transform="translate(12 {middle}) '
        f'rotate(-90)" text-anchor="middle">{html.escape(y_name)}</text>'
    )
    return "".join(parts), place_x, place_y


def widened(low: float, high: float) -> tuple[float, float]:
    """The range, or one around it where it has no width."""
    if high - low > 1e-9 * max(abs(low), abs(high), 1.0):
        return low, high
    return (low - 0.5, high + 0.5) if low else (0.0, 1.0)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers in the range, about `count` of them."""
    step = 10 ** math.floor(math.log10((high - low) / count))
    step = next(
        step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= count
    )
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]
