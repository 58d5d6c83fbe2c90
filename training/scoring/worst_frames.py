"""The frames of a source that a network does worst on, and pictures of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from mafs_ros.evaluation.worst_frames import badness
from mafs_ros.images.files.write import write_png
from mafs_ros.perception.classes import ClassTable
from training.data.datasets import Dataset
from training.loop.logs import grid
from training.scoring.final_scores import Frame
from training.scoring.pictures import picture_row
from training.scoring.predict import predict_with_network

WORST = 3  # frames by each score
ROWS = 3  # of each source in the grid


class Failure(NamedTuple):
    """A frame to show: its place in its source, its name, the scores in which it is bad."""

    place: int
    name: str
    reasons: list[str]


def worst_frames(frames: Sequence[Frame], names: Sequence[str]) -> list[Failure]:
    """The WORST frames by mIoU, where there are labels, then by Qabf; each frame once.

    names: of the classes.
    """
    failures: dict[int, Failure] = {}
    for by_miou in (True, False):
        judged = [
            (*found, index)
            for index, frame in enumerate(frames)
            if (found := badness(_row(frame, names), by_miou)) is not None
        ]
        for _, reason, index in sorted(judged, key=lambda entry: -entry[0])[:WORST]:
            failure = Failure(index, frames[index].name, [])
            failures.setdefault(index, failure).reasons.append(reason)
    return list(failures.values())


def _row(frame: Frame, names: Sequence[str]) -> dict[str, float | None]:
    """The columns that `badness` looks at."""
    miou = frame.miou(names)
    percent = None if miou is None else 100 * miou
    return {"miou_percent": percent, "Qabf": frame.fusion.get("Qabf")}


def write_failures(
    network: nn.Module,
    dataset: Dataset,
    table: ClassTable,
    failures: Sequence[Failure],
    folder: Path,
) -> list[Path]:
    """Write a picture for each failure, see `picture_row`; returns their paths."""
    for path in folder.glob("worst_*.png"):
        path.unlink()
    paths = []
    for number, failure in enumerate(failures, 1):
        path = folder / f"worst_{number}.png"
        write_png(path, grid([_pictures(network, dataset, table, failure.place)]))
        paths.append(path)
    return paths


def write_grid(
    network: nn.Module, datasets: Sequence[Dataset], table: ClassTable, path: Path
) -> None:
    """Write ROWS frames of each source, evenly spaced over it, as one picture."""
    rows = []
    for dataset in datasets:
        count = min(ROWS, len(dataset))
        indices = [(2 * i + 1) * len(dataset) // (2 * count) for i in range(count)]
        rows += [_pictures(network, dataset, table, index) for index in indices]
    write_png(path, grid(rows))


def _pictures(network: nn.Module, dataset: Dataset, table: ClassTable, index: int) -> list[Any]:
    sample = dataset[index]
    device = next(network.parameters()).device
    return picture_row(sample, predict_with_network(network, sample, device), table)
