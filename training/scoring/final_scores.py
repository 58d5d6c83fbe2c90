"""The data of a run, and the scores of its network on every test source, camera by camera.

EVALUATION/SOURCE/scores.json holds those of every frame of a source. A source that was scored with
the same model file is not scored again, so that a cut evaluation goes on with the next one.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from mafs_ros.base.write import prepare_output_folder, write_bytes
from mafs_ros.evaluation.metrics import ConfusionMatrix, FusionScores
from training.data.datasets import Dataset
from training.data.sources import Source
from training.recipes.recipe import Recipe
from training.recipes.sources import open_sources
from training.scoring.means import iou_scores
from training.scoring.predict import predict_with_network
from training.scoring.scores import Scores, empty_scores
from training.scoring.tables import mean_saturation

FILE = "scores.json"


@dataclass(frozen=True)
class Frame:
    """Scores of one frame. fusion: name -> value, empty without the fusion task.

    saturation: see `Scores`, None without the fusion task. matrix: confusion, labelled against
    predicted classes; None without labels or segmentation.
    """

    name: str
    fusion: dict[str, float | None]
    saturation: tuple[float, float, float] | None
    matrix: list[list[int]] | None

    def miou(self, names: Sequence[str]) -> float | None:
        """mIoU in 0..1 of this frame alone, `names` being the classes."""
        if self.matrix is None:
            return None
        confusion = ConfusionMatrix(names)
        confusion.matrix += np.array(self.matrix, np.int64)
        return confusion.miou()


def total_scores(frames: Sequence[Frame], names: Sequence[str]) -> Scores:
    """Scores of all frames together; `names` are those of the classes."""
    fused = [frame for frame in frames if frame.saturation is not None]
    matrices = [frame.matrix for frame in frames if frame.matrix is not None]
    scores = Scores(FusionScores([frame.fusion for frame in fused]))
    scores.saturation = [frame.saturation for frame in fused if frame.saturation is not None]
    if matrices:
        scores.segmentation = ConfusionMatrix(names)
        scores.segmentation.matrix += np.sum(matrices, axis=0, dtype=np.int64)
    return scores


def flat_scores(scores: Scores) -> dict[str, float]:
    """Name -> value of every score that is known, rounded; IoU in 0..1, saturation in percent."""
    values: dict[str, float | None] = dict(scores.fusion.mean())
    if scores.saturation:
        values["saturated"], values["saturated_source"] = mean_saturation(scores)
    if scores.segmentation is not None:
        values |= iou_scores(scores.segmentation)
    return {
        name: round(value, 5)
        for name, value in values.items()
        if value is not None and value == value
    }


class UsedData(NamedTuple):
    """A data set of a run: use 'train', 'evaluation' or 'test', its name in tables, its pairs."""

    use: str
    name: str
    source: Source
    dataset: Dataset


def open_data(recipe: Recipe, folders: Mapping[str, Path]) -> list[UsedData]:
    """Every data set of a recipe. Without tests those of `evaluation` are the tests.

    Raises ValueError where a test source holds a pair that is trained on or looked at, or is there
    twice, and as `open_sources` does.
    """
    data = []
    uses = {"train": recipe.train, "evaluation": recipe.evaluation}
    for use, sources in {**uses, "test": recipe.tests or recipe.evaluation}.items():
        opened = open_sources(recipe, sources, folders)
        names = source_names(sources)
        data += [UsedData(use, *entry) for entry in zip(names, sources, opened, strict=True)]
    tests = [entry.name for entry in data if entry.use == "test"]
    if twice := [name for name in tests if tests.count(name) > 1]:
        raise ValueError(f"tests hold {twice[0]} twice; every source has its own row")
    if recipe.tests:
        check_apart(data)
    return data


def check_apart(data: Sequence[UsedData]) -> None:
    """Raise ValueError where a test source holds a pair that is trained on or looked at."""
    tests = [entry for entry in data if entry.use == "test"]
    for test, other in itertools.product(tests, [e for e in data if e.use != "test"]):
        if shared := len(pairs_of(test.dataset) & pairs_of(other.dataset)):
            raise ValueError(
                f"tests: {shared} of the {len(test.dataset)} pairs of {test.name} are in "
                f"{other.use} too ({other.name}); name another split"
            )


def pairs_of(dataset: Dataset) -> set[Any]:
    """What tells pairs apart: the file of the RGB image, or the seed of a simulated scene."""
    return {getattr(entry, "rgb", entry) for entry in dataset.entries}


def source_names(sources: Sequence[Source]) -> list[str]:
    """What each source is called in tables: kind and split, and the labels where it takes them."""
    short = [f"{source.kind} {source.split}" for source in sources]
    return [
        f"{name} {source.labels}" if short.count(name) > 1 else name
        for name, source in zip(short, sources, strict=True)
    ]


def source_folder(evaluation: Path, name: str) -> Path:
    """The folder of a source of that name."""
    return evaluation / re.sub("[^A-Za-z0-9]+", "_", name)


def score_source(
    network: nn.Module, model_hash: str, source: Source, dataset: Dataset, folder: Path
) -> list[Frame]:
    """Scores of a network in evaluation on a source, from its folder where they are there.

    model_hash: of the model file. Raises OSError, or ValueError where a pair cannot be scored.
    """
    # As texts, because JSON has no tuples.
    key = {"model": model_hash, "source": json.dumps(dataclasses.asdict(source))}
    frames = read_frames(folder / FILE, key)
    if frames is None:
        prepare_output_folder(folder)
        tqdm.write(f"evaluation: {len(dataset)} pairs of {folder.name}", file=sys.stderr)
        frames = score_frames(network, dataset, folder.name)
        content = {**key, "frames": [dataclasses.asdict(frame) for frame in frames]}
        write_bytes(folder / FILE, json.dumps(content, allow_nan=False).encode())
    return frames


def read_frames(path: Path, key: dict[str, str]) -> list[Frame] | None:
    """The frames in a file, None where it is not there or of another model or source."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if {name: content[name] for name in key} != key:
            return None
        return [Frame(**frame) for frame in content["frames"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def score_frames(network: nn.Module, dataset: Dataset, title: str) -> list[Frame]:
    """Scores of every pair of a data set at its own size."""
    device = next(network.parameters()).device
    frames = []
    for sample in tqdm(dataset, desc=title, total=len(dataset), unit="pair", disable=None):
        scores = empty_scores(dataset.class_table)
        scores.accumulate(sample, predict_with_network(network, sample, device))
        fusion = scores.fusion.per_image[0] if scores.fusion.per_image else {}
        known = {name: value if value == value else None for name, value in fusion.items()}
        saturation = scores.saturation[0] if scores.saturation else None
        confusion = scores.segmentation
        labelled = confusion is not None and confusion.matrix.any()
        matrix = confusion.matrix.tolist() if labelled and confusion is not None else None
        frames.append(Frame(sample.name, known, saturation, matrix))
    return frames


def for_scoring(network: nn.Module) -> nn.Module:
    """The network in evaluation, as the torch engine holds it, on a GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.eval().to(device)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
