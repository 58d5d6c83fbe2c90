"""Charts as SVG text: the same bytes for the same values, texts as text."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # imported where a chart is drawn: it takes half a second
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 500  # of a line over time: more points are drawn as their least and greatest
INK, GREY, GRID, ACCENT, OTHER = "#24292f", "#5b6675", "#e1e5ea", "#1f6feb", "#9a6700"
SERIES = (
    "#6e7781",
    "#0969da",
    "#1a7f37",
    "#cf222e",
    "#9a6700",
    "#8250df",
    "#bf3989",
    "#0e7c86",
    "#24292f",
    "#d4a72c",
    "#54aeff",
    "#7c4a1e",
)
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mafs_ros",
    "font.family": ["DejaVu Sans", "sans-serif"],  # the first, measured, comes along
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 12,
    "text.color": INK,
    "axes.labelcolor": GREY,
}


@dataclass(frozen=True)
class Line:
    """One line of a logarithmic chart; x and y greater than 0."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False


@dataclass(frozen=True)
class Interval:
    """A value, half the width of its interval, and another value to see beside; NaN for none."""

    value: float
    half_width: float
    other: float


@contextmanager
def _settings() -> Iterator[None]:
    """The settings of this module alone, whatever the machine's matplotlibrc says."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


@_settings()
def line_chart(
    xs: Sequence[float], ys: Sequence[float], x_name: str, y_name: str, from_zero: bool = False
) -> str | None:
    """y over x, in the order of x; None where no y is finite."""
    order = np.argsort(xs, kind="stable")
    x, y = np.asarray(xs, float)[order], np.asarray(ys, float)[order]
    known = np.isfinite(y)
    if not known.any():
        return None
    x, y = thinned(x[known], y[known])
    figure, axes = _strip(x_name, y_name)
    axes.plot(x, y, color=ACCENT, linewidth=1.3, marker="o" if x.size <= 120 else "", markersize=4)
    axes.margins(x=0.01, y=0.06)
    if from_zero:
        axes.set_ylim(bottom=0)
    return _svg(figure)


def thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most 2 * COLUMNS points that draw the same line: no peak is lost."""
    if len(x) <= 2 * COLUMNS:
        return x, y
    kept = []
    for part in np.array_split(np.arange(len(x)), COLUMNS):
        kept += sorted({int(part[y[part].argmin()]), int(part[y[part].argmax()])})
    return x[kept], y[kept]


@_settings()
def histogram(
    values: Sequence[float], x_name: str, y_name: str, limits: tuple[float, float] | None = None
) -> str:
    """How often values, at least one, occur; limits: of x, by default their own."""
    from matplotlib.ticker import MaxNLocator

    low, high = limits or (min(values), max(values))
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    figure, axes = _strip(x_name, y_name)
    bins = min(60, max(10, len(values) // 4))
    axes.hist(values, bins=bins, range=(low, high), color=ACCENT, rwidth=0.92)
    axes.set_xlim(low, high)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    return _svg(figure)


@_settings()
def log_log_chart(
    lines: Sequence[Line], x_ticks: Mapping[float, str], x_name: str, y_name: str
) -> str:
    """Lines over x, both axes logarithmic, and their names beside; x_ticks: place -> text."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    figure = _figure(800, max(430, 60 + 18 * len(lines)))
    axes = _axes(figure, left=62, top=16, width=530, height=362)
    for index, line in enumerate(lines):
        axes.plot(
            line.x,
            line.y,
            color=SERIES[index % len(SERIES)],
            linestyle="--" if line.dashed else "-",
            linewidth=2,
            marker="o",
            markersize=6,
            label=line.name,
        )
    axes.set(xscale="log", yscale="log", xlabel=x_name, ylabel=y_name)
    axes.margins(0.06)
    axes.set_xticks(list(x_ticks), list(x_ticks.values()))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    if lines:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, handlelength=2.8)
    return _svg(figure)


@_settings()
def interval_chart(
    rows: Sequence[str], panels: Mapping[str, Mapping[str, Interval]], title: str, other: str
) -> str:
    """A panel for each key, side by side, with a line for each row; other: what that value is."""
    left, gap, top, plot_height = 170, 24, 50, 22 * max(len(rows), 1)
    width = max(130, 590 / max(len(panels), 1))  # of a panel: three numbers fit below it
    full_width, full_height = left + width * max(len(panels), 1), top + plot_height + 28
    figure = _figure(full_width, full_height)
    figure.text(left / full_width, 1 - 16 / full_height, title)
    for index, (name, points) in enumerate(panels.items()):
        axes = _axes(figure, left + index * width, top, width - gap, plot_height)
        axes.set_title(name, fontsize=12)
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(axis="y", labelleft=index == 0)
        _draw_intervals(axes, rows, points, other)
    handles = [handle for axes in figure.axes for handle in axes.get_legend_handles_labels()[0]]
    if handles:
        figure.legend(handles=handles[:1], loc="upper right", frameon=False, borderpad=0.2)
    return _svg(figure)


def _draw_intervals(
    axes: Axes, rows: Sequence[str], points: Mapping[str, Interval], other: str
) -> None:
    """One panel: from left to right, first row above."""
    axes.grid(axis="y", visible=False)
    axes.axvline(0, color=INK, linewidth=1)
    known = [(y, points[row]) for y, row in enumerate(rows) if row in points]
    for y, point in known:
        ends = (point.value - point.half_width, point.value + point.half_width)
        axes.plot(ends, (y, y), color=ACCENT, linewidth=2)
        axes.plot(point.value, y, "o", color=ACCENT, markersize=7)
    others = [(point.other, y) for y, point in known if not math.isnan(point.other)]
    if others:
        axes.plot(*zip(*others, strict=True), "o", color=OTHER, fillstyle="none", label=other)
    axes.locator_params(axis="x", nbins=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.1)
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)


def _strip(x_name: str, y_name: str) -> tuple[Figure, Axes]:
    """The low wide plot of a page."""
    figure = _figure(1000, 190)
    axes = _axes(figure, left=92, top=18, width=896, height=128)
    axes.set(xlabel=x_name, ylabel=y_name)
    axes.yaxis.set_label_coords(-0.085, 0.5)  # as far left in each chart of a page
    axes.grid(axis="x", visible=False)
    axes.locator_params(axis="y", nbins=4)
    return figure, axes


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure((width / 72, height / 72), dpi=72)  # 72: an inch of matplotlib's SVG


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """A plot at a place in pixels, with its grid and without a box."""
    full_width, full_height = 72 * figure.get_size_inches()
    bottom = full_height - top - height
    axes = figure.add_axes(
        (left / full_width, bottom / full_height, width / full_width, height / full_height)
    )
    axes.set_axisbelow(True)
    axes.grid(color=GRID)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, pad=6, colors=GREY)
    return axes


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    absent = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # versions and times differ
    figure.savefig(text, format="svg", metadata=absent)
    return text.getvalue()
