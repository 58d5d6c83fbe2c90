"""The trainings of `training.postfusion`: what is done of each, and how the rest is done.

The folder of a training holds `run.json` with all settings that change its numbers and with the
confusion matrix of each test set, beside what `training.teacher` writes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mafs_ros.base.write import prepare_output_folder, write_bytes
from training.data.datasets import Dataset
from training.loop.checkpoint import CHECKPOINT, flatten
from training.postfusion.image_kinds import Kind, facts_of
from training.recipes.recipe import Recipe
from training.scoring.predict import as_image, predict_with_teacher, score
from training.teacher import train_on
from training.teachers.file import FILE, load_teacher

RECORD = "run.json"
# Parts of a recipe that change the numbers.
SETTINGS = ("classes", "train", "augmentation", "teacher", "seed")


@dataclass(frozen=True)
class Training:
    """One training: a kind of images and a seed, in its own folder."""

    kind: Kind
    recipe: Recipe
    folder: Path


def trainings_of(recipe: Recipe, kinds: Sequence[Kind], seeds: int, out: Path) -> list[Training]:
    """All trainings, seed by seed within each kind."""
    return [
        Training(
            kind,
            replace(recipe, seed=seed, teacher=replace(recipe.teacher, images=kind.images)),
            out / kind.name / f"seed_{seed}",
        )
        for kind in kinds
        for seed in range(recipe.seed, recipe.seed + seeds)
    ]


def settings_of(training: Training) -> dict[str, Any]:
    """All that changes the numbers of a training."""
    recipe = dataclasses.asdict(training.recipe)
    flat = flatten({name: recipe[name] for name in SETTINGS} | facts_of(training.kind))
    flat = {key: value for key, value in flat.items() if not key.endswith("_every")}
    return json.loads(json.dumps(flat))


def read_record(training: Training) -> dict[str, Any]:
    """What lies of a training: its settings, and matrices by the name of the test set.

    Raises ValueError where it was one of other settings, or the file is damaged.
    """
    path, now = training.folder / RECORD, settings_of(training)
    if not path.exists():
        return {"settings": now, "tests": {}}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        then = dict(record["settings"])
        dict(record["tests"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged ({error!r}); remove {training.folder}") from None
    if changed := sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key)):
        lines = [f"{key}: {then.get(key)} then, {now.get(key)} now" for key in changed[:8]]
        raise ValueError(
            f"{path}: other settings than now: {'; '.join(lines)}. Go on with the same, or choose "
            "another --out"
        )
    return record


def write_record(training: Training, record: Mapping[str, Any]) -> None:
    prepare_output_folder(training.folder)
    write_bytes(training.folder / RECORD, json.dumps(record, indent=1).encode())


def train_and_score(
    training: Training,
    record: dict[str, Any],
    datasets: Sequence[Dataset],
    tests: Mapping[str, Dataset],
) -> None:
    """Train unless that is done, score on the tests that are missing, and keep the matrices."""
    write_record(training, record)  # first: the checkpoint does not tell images apart
    if not is_trained(training, sum(map(len, datasets))):
        train_on(training.recipe, datasets, [], training.folder, made=True, resume=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher = load_teacher(training.folder / FILE)[0].to(device)
    for name in tests.keys() - record["tests"].keys():
        scores = score(
            tests[name],
            lambda sample: predict_with_teacher(teacher, as_image(sample.rgb).to(device)),
            tests[name].class_table,
        )
        assert scores.segmentation is not None
        record["tests"][name] = scores.segmentation.matrix.tolist()
    write_record(training, record)
    (training.folder / CHECKPOINT).unlink(missing_ok=True)


def is_trained(training: Training, samples: int) -> bool:
    """Whether the segmenter of a training has made all of its steps."""
    path = training.folder / FILE
    steps = training.recipe.teacher.optimisation.total_steps(samples)
    return path.exists() and load_teacher(path)[1]["training"]["steps"] == steps
