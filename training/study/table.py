"""The table of a study: means over seeds and paired differences to the base row."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mafs_ros.base.write import write_bytes
from mafs_ros.evaluation.metrics import PROTOCOL, SEGMENTATION_PROTOCOL
from training.scoring.tables import markdown
from training.study.chart import chart
from training.study.plan import Row, Study

Results = dict[str, dict[int, dict[str, float]]]  # row -> seed -> score -> value
# Of Tables IX to XII; IoU per class follows.
COLUMNS = ("EN", "SD", "SF", "VIF", "Qabf", "AG", "mIoU")
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Cell:
    """One score of one row; what is not known is NaN. IoU in percent.

    count: seeds. mean, deviation (n - 1) over them. difference: mean of row - base over the seeds
    that both have. half_width: of its 95 % interval. paper, paper_difference: as published.
    """

    count: int
    mean: float
    deviation: float
    difference: float
    half_width: float
    paper: float
    paper_difference: float

    @property
    def differs(self) -> bool:
        """The interval does not hold 0."""
        return abs(self.difference) > self.half_width


def write_tables(out: Path, study: Study, results: Results, failures: Sequence[str]) -> None:
    """Write table.md, table.csv and table.svg, each wholly or not at all. Raises OSError."""
    cells = summarise(study, results)
    rows = [row.name for row in study.rows]
    columns = [name for name in COLUMNS if any(name in cells[row] for row in rows)]
    differences = {
        name: {
            row: (cell.difference, cell.half_width, cell.paper_difference)
            for row in rows
            if row != study.base and (cell := cells[row].get(name)) is not None
        }
        for name in columns
    }
    files = {
        "table.md": report(study, results, cells, failures),
        "table.csv": as_csv(study, cells),
        "table.svg": chart([row for row in rows if row != study.base], differences, study.base),
    }
    for name, content in files.items():
        write_bytes(out / name, content.encode())


def summarise(study: Study, results: Results) -> dict[str, dict[str, Cell]]:
    """The cells of the table, row -> score -> cell, of all scores that there are."""
    values = {
        row.name: {
            seed: {name: in_percent(name, value) for name, value in scores.items()}
            for seed, scores in results.get(row.name, {}).items()
        }
        for row in study.rows
    }
    names = {name: None for row in values.values() for scores in row.values() for name in scores}
    names |= {name: None for row in study.rows for name in row.paper}
    base = study.base_row
    cells: dict[str, dict[str, Cell]] = {}
    for row in study.rows:
        of_row = {n: cell(n, row, base, values[row.name], values[base.name]) for n in names}
        cells[row.name] = {n: c for n, c in of_row.items() if c.count or not math.isnan(c.paper)}
    return cells


def cell(
    name: str,
    row: Row,
    base: Row,
    values: dict[int, dict[str, float]],
    base_values: dict[int, dict[str, float]],
) -> Cell:
    """The cell of a score; values: seed -> score -> value."""
    own = {seed: scores[name] for seed, scores in values.items() if name in scores}
    pairs = [
        value - base_values[seed][name]
        for seed, value in own.items()
        if name in base_values.get(seed, {})
    ]
    mean, deviation = mean_and_deviation(list(own.values()))
    difference, spread = mean_and_deviation(pairs)
    half = math.nan
    if len(pairs) > 1:
        half = student_quantile(len(pairs) - 1) * spread / math.sqrt(len(pairs))
    paper = row.paper.get(name, math.nan)
    return Cell(
        len(own), mean, deviation, difference, half, paper, paper - base.paper.get(name, math.nan)
    )


def in_percent(name: str, value: float) -> float:
    """IoU in percent, as the paper prints it; other scores as they are."""
    return 100 * value if name.startswith(("mIoU", "IoU_")) else value


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1); NaN where there are too few values."""
    if not values:
        return math.nan, math.nan
    mean = statistics.fmean(values)
    return mean, statistics.stdev(values, mean) if len(values) > 1 else math.nan


def student_quantile(freedom: int, confidence: float = CONFIDENCE) -> float:
    """The t with P(|T| < t) = confidence, T Student's with that many degrees of freedom.

    By halving on the closed form for whole degrees of freedom (Abramowitz and Stegun, Handbook
    of Mathematical Functions, 1964, 26.7.3 and 26.7.4). Raises ValueError below 1.
    """
    if freedom < 1:
        raise ValueError(f"{freedom} degrees of freedom, expected 1 or more: 2 seeds")
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        if _within(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return high


def _within(t: float, freedom: int) -> float:
    """Probability that |T| < t."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= k / (k + 1) * math.cos(angle) ** 2
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total


def report(
    study: Study, results: Results, cells: dict[str, dict[str, Cell]], failures: Sequence[str]
) -> str:
    """The table as Markdown: for each row mean, difference to the base, and the paper's."""
    classes = [
        name for row in cells.values() for name in row if name.startswith(("IoU_", "mIoU_teacher"))
    ]
    columns = [*COLUMNS, *dict.fromkeys(classes)]
    lines: list[list[str]] = []
    for row in study.rows:
        own = [cells[row.name].get(name) for name in columns]
        lines.append([f"**{row.name}**", "mean ± sd", *map(_mean, columns, own)])
        if row.name != study.base:
            lines.append(["", f"- {study.base}", *map(_difference, columns, own)])
        if row.paper:
            lines.append(["", "paper", *map(_paper, columns, own)])
    heading = [name.removeprefix("IoU_").replace("_teacher", " of teacher") for name in columns]
    table = markdown(["Model", "", *heading], lines)
    runs = ", ".join(f"{row.name} {len(results.get(row.name, {}))}" for row in study.rows)
    parts = [
        f"# {study.about or study.recipe}",
        f"Recipe {study.recipe}, scored on {_scored_on(study)}. Runs: {runs}.",
        table,
        f"mean ± sd: over seeds, standard deviation with n - 1. - {study.base}: mean of the "
        f"differences to {study.base} with the same seed, and its {CONFIDENCE:.0%} interval "
        "(Student's t); bold where it does not hold 0, which by chance alone one cell in twenty "
        "does. paper: as published, with the difference to its base. IoU in percent.",
        "![Differences to the base](table.svg)",
        PROTOCOL,
        SEGMENTATION_PROTOCOL,
    ]
    if failures:
        parts.insert(3, "Runs that failed:\n\n" + "\n".join(f"- {line}" for line in failures))
    return "\n\n".join(parts) + "\n"


def _scored_on(study: Study) -> str:
    sources = study.recipe_of(study.base_row).evaluation
    return ", ".join(f"{source.kind} {source.split}" for source in sources)


def _digits(column: str) -> int:
    return 2 if column.startswith(("mIoU", "IoU_")) else 3


def _mean(column: str, cell: Cell | None) -> str:
    if cell is None or not cell.count:
        return "-"
    mean = f"{cell.mean:.{_digits(column)}f}"
    return mean if cell.count == 1 else f"{mean} ± {cell.deviation:.{_digits(column)}f}"


def _difference(column: str, cell: Cell | None) -> str:
    if cell is None or math.isnan(cell.difference):
        return "-"
    digits = _digits(column)
    text = f"{cell.difference:+.{digits}f}"
    if math.isnan(cell.half_width):
        return text
    low, high = cell.difference - cell.half_width, cell.difference + cell.half_width
    text += f" [{low:+.{digits}f}, {high:+.{digits}f}]"
    return f"**{text}**" if cell.differs else text


def _paper(column: str, cell: Cell | None) -> str:
    if cell is None or math.isnan(cell.paper):
        return "-"
    if not cell.paper_difference:  # the base itself
        return f"{cell.paper:g}"
    known = not math.isnan(cell.paper_difference)
    return f"{cell.paper:g}" + (f" ({cell.paper_difference:+.4g})" if known else "")


def as_csv(study: Study, cells: dict[str, dict[str, Cell]]) -> str:
    """All scores, one line for each row and score; empty where a value is not known."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["model", "score", "seeds", "mean", "deviation", "difference", "low", "high", "paper",
         "paper_difference"]
    )  # fmt: skip
    for row in study.rows:
        for name, c in cells[row.name].items():
            low, high = c.difference - c.half_width, c.difference + c.half_width
            values = (c.mean, c.deviation, c.difference, low, high, c.paper, c.paper_difference)
            texts = ["" if math.isnan(value) else f"{value:.6g}" for value in values]
            writer.writerow([row.name, name, c.count, *texts])
    return file.getvalue()
