"""Runs the trainings and writes the table."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from mafs_ros.base.write import prepare_output_folder, write_bytes
from mafs_ros.evaluation.metrics import SEGMENTATION_PROTOCOL, ConfusionMatrix
from training.data.batches import preload
from training.postfusion.image_kinds import Kind, check_kinds, image_maker, with_images
from training.postfusion.table import csv_table, markdown_table
from training.postfusion.test_sets import TestSet, open_tests
from training.postfusion.trainings import Training, read_record, train_and_score, trainings_of
from training.recipes.recipe import Recipe
from training.recipes.sources import open_sources

# What is drawn of the image itself; the rest of an augmentation is for pairs of cameras.
OF_ONE_IMAGE = ("crop", "focus", "flips", "rotate", "scale", "brightness", "gamma", "colour")


def single_image(recipe: Recipe, steps: int | None) -> Recipe:
    """The recipe with the augmentation of one image and, unless None, so many steps."""
    how, plan = recipe.augmentation, recipe.teacher.optimisation
    kept = {name: getattr(how, name) for name in OF_ONE_IMAGE}
    if steps is not None:
        plan = replace(plan, steps=steps, epochs=None)
    return replace(
        recipe,
        augmentation=type(how)(**kept),
        teacher=replace(recipe.teacher, optimisation=plan),
    )


def run(
    recipe: Recipe,
    folders: Mapping[str, Path],
    out: Path,
    kinds: Sequence[Kind],
    test_names: Sequence[str],
    seeds: int,
) -> None:
    """Make all trainings and the table. Raises ValueError or OSError before it starts."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise ValueError("start this program without torchrun: it trains in one process")
    if seeds < 1:
        raise ValueError(f"--seeds is {seeds}, expected 1 or more")
    opened = open_sources(recipe, recipe.train, folders)
    labelled = [dataset.class_table is not None for dataset in opened]
    if not any(labelled):
        raise ValueError("no training set of this recipe has labels")
    datasets = list(compress(opened, labelled))
    recipe = replace(recipe, train=tuple(compress(recipe.train, labelled)))
    tests = open_tests(recipe, test_names, folders, datasets)
    prepare_output_folder(out)
    trainings = trainings_of(recipe, kinds, seeds, out)
    records = [read_record(training) for training in trainings]
    missing = [
        (training, record)
        for training, record in zip(trainings, records, strict=True)
        if any(test.name not in record["tests"] for test in tests)
    ]
    todo = {training.kind: None for training, _ in missing}
    check_kinds(list(todo), [*datasets, *(test.dataset for test in tests)])
    began, done = time.monotonic(), 0
    for kind in todo:
        make = image_maker(kind)
        made = [with_images(dataset, make) for dataset in datasets]
        tested = {test.name: with_images(test.dataset, make) for test in tests}
        preload(made)  # here, and not in the processes that load crops
        for training, record in missing:
            if training.kind == kind:
                left = (time.monotonic() - began) / done * (len(missing) - done) if done else None
                announce(training, done + 1, len(missing), left)
                train_and_score(training, record, made, tested)
                write_tables(recipe, out, tests, trainings, records)
                done += 1
    write_tables(recipe, out, tests, trainings, records)
    print((out / "table.md").read_text(encoding="utf-8"))


def announce(training: Training, number: int, count: int, left_s: float | None) -> None:
    """One line of progress on stderr."""
    time_left = "" if left_s is None else f", about {left_s / 60:.0f} min left"
    what = f"{training.kind.name}, seed {training.recipe.seed}"
    print(f"training {number} of {count}: {what}{time_left}", file=sys.stderr)


def write_tables(
    recipe: Recipe,
    out: Path,
    tests: Sequence[TestSet],
    trainings: Sequence[Training],
    records: Sequence[Mapping[str, Any]],
) -> None:
    """Write table.md and table.csv of what is known so far."""
    results: dict[str, dict[str, list[ConfusionMatrix]]] = {test.name: {} for test in tests}
    for training, record in zip(trainings, records, strict=True):
        for name, by_kind in results.items():
            matrices = by_kind.setdefault(training.kind.name, [])
            if name in record["tests"]:
                matrix = ConfusionMatrix(recipe.class_table.names)
                matrix.matrix = np.array(record["tests"][name], np.int64)
                matrices.append(matrix)
    plan, crop = recipe.teacher.optimisation, recipe.augmentation.crop
    length = f"{plan.steps} steps" if plan.steps is not None else f"{plan.epochs} epochs"
    sources = ", ".join(f"{s.kind}:{s.split} (labels {s.labels})" for s in recipe.train)
    parts = [
        f"{recipe.teacher.name} on one image, {length} with a batch of {plan.batch}, crops of "
        f"{crop} pixels, trained on {sources}. Mean ± standard deviation over seeds, in percent.",
        SEGMENTATION_PROTOCOL,
    ]
    for test in tests:
        parts += [f"**{test.about}**", markdown_table(results[test.name])]
    write_bytes(out / "table.md", ("\n\n".join(parts) + "\n").encode())
    write_bytes(out / "table.csv", csv_table(results).encode())
