"""The table of `training.postfusion`: means and deviations over seeds, Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mafs_ros.evaluation.metrics import ConfusionMatrix
from training.postfusion.image_kinds import CAMERAS
from training.scoring.tables import markdown

MEANS = ("mIoU", "mIoU without background")
Matrices = Mapping[str, Sequence[ConfusionMatrix]]  # kind of images -> one of each seed
NAN = math.nan


@dataclass(frozen=True)
class Score:
    """A score in percent over seeds. deviation: of a sample, NaN for one seed.

    difference: of the mean to that of the better camera, NaN where there is none. seeds: those
    whose score is known; it is not where a class is neither labelled nor predicted.
    """

    mean: float
    deviation: float
    difference: float
    seeds: int


def percentages(matrix: ConfusionMatrix) -> dict[str, float]:
    """IoU of each class and both means, in percent; NaN where not known."""
    values = dict(zip(matrix.class_names, matrix.iou().tolist(), strict=True))
    values |= dict(zip(MEANS, (matrix.miou(), matrix.miou(background=False)), strict=True))
    return {name: 100 * value for name, value in values.items()}


def over_seeds(matrices: Sequence[ConfusionMatrix]) -> dict[str, list[float]]:
    """The known values of each score, one of each seed."""
    seeds = [percentages(matrix) for matrix in matrices]
    return {name: [s[name] for s in seeds if not math.isnan(s[name])] for name in seeds[0]}


def better_camera(results: Matrices) -> str | None:
    """The camera whose own images give the larger mean mIoU; None without both of them."""
    if any(not results.get(name) for name in CAMERAS):
        return None
    return max(CAMERAS, key=lambda name: _mean(over_seeds(results[name])["mIoU"]))


def summarise(results: Matrices) -> dict[str, dict[str, Score]]:
    """Kind of images -> score -> its summary, in the order of the results."""
    camera = better_camera(results)
    values = {kind: over_seeds(matrices) for kind, matrices in results.items() if matrices}
    return {
        kind: {
            name: Score(
                mean=_mean(known),
                deviation=statistics.stdev(known) if len(known) > 1 else NAN,
                difference=NAN if camera is None else _mean(known) - _mean(values[camera][name]),
                seeds=len(known),
            )
            for name, known in scores.items()
        }
        for kind, scores in values.items()
    }


def markdown_table(results: Matrices) -> str:
    """Mean +- deviation in percent, and the points that mIoU gains on the better camera."""
    summary = summarise(results)
    if not summary:
        return "nothing yet"
    names = list(next(iter(summary.values())))
    rows = [
        [
            kind,
            *(_with_deviation(scores[name]) for name in names),
            *("-" if math.isnan(d) else f"{d:+.2f}" for d in _differences(scores)),
            str(len(results[kind])),
        ]
        for kind, scores in summary.items()
    ]
    heading = ["images", *names, *(f"gain in {name}" for name in MEANS), "seeds"]
    lines = [markdown(heading, rows)]
    if camera := better_camera(results):
        lines.append(f"Gain: points more than the better camera by mIoU, which is {camera}.")
    absent = next(iter(matrices[0].absent() for matrices in results.values() if matrices))
    if absent:
        lines.append(f"Absent from the labels: {', '.join(absent)}.")
    return "\n\n".join(lines)


def csv_table(tests: Mapping[str, Matrices]) -> str:
    """One line for each test set, kind of images and score; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["test", "images", "score", "mean", "deviation", "difference", "seeds"])
    for test, results in tests.items():
        for kind, scores in summarise(results).items():
            for name, score in scores.items():
                numbers = (score.mean, score.deviation, score.difference)
                cells = ["" if math.isnan(number) else f"{number:.3f}" for number in numbers]
                writer.writerow([test, kind, name, *cells, score.seeds])
    return text.getvalue()


def _differences(scores: Mapping[str, Score]) -> list[float]:
    return [scores[name].difference for name in MEANS]


def _with_deviation(score: Score) -> str:
    if math.isnan(score.mean):
        return "-"
    spread = "" if math.isnan(score.deviation) else f" ± {score.deviation:.1f}"
    return f"{score.mean:.1f}{spread}"


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else NAN
