"""What fusion is for: one segmentation network, trained and tested on each kind of images.

    python -m training.postfusion --recipe street_lite --data street_rgbt=DIR --out DIR \\
        --images visible thermal mean maximum ours=model.safetensors other=FOLDER \\
        --test street_rgbt:test --seeds 3 --steps 1000

For every kind of images and every seed it trains the recipe's teacher, with the same first
weights, steps and crops for every kind, and scores it on the test sets (the paper's Tables IV and
V). NAME=FOLDER holds fused images of all pairs, named like them. Goes on where it stopped. Writes
`table.md` and `table.csv`, and for each run a folder NAME/seed_N with `teacher.safetensors`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from mafs_ros.files import prepare_output_folder, write_bytes
from mafs_ros.metrics import SEGMENTATION_PROTOCOL, ConfusionMatrix
from training.batches import open_sources, preload
from training.datasets import Dataset, Files
from training.image_kinds import (
    SIMPLE,
    Kind,
    check_kinds,
    image_maker,
    pair_of,
    parse_kinds,
    with_images,
)
from training.postfusion_table import csv_table, markdown_table
from training.postfusion_trainings import Training, read_record, train_and_score, trainings_of
from training.program import report_errors
from training.recipe import Recipe, Source, add_recipe_arguments, data_folders, recipe_of

PSEUDO_LABELLED = ("street_rgbt", "fusion_pairs")
# What is drawn of the image itself; the rest of an augmentation is for pairs of cameras.
OF_ONE_IMAGE = ("crop", "focus", "flips", "rotate", "scale", "brightness", "gamma", "colour")


@dataclass(frozen=True)
class TestSet:
    """A labelled test set and what the table says of it. name: as the option has it."""

    name: str
    source: Source
    dataset: Dataset

    @property
    def about(self) -> str:
        """Its pairs, and the labels that are scored against."""
        entries = self.dataset.entries
        folders = {e.labels.parent.name for e in entries if isinstance(e, Files) and e.labels}
        where = f"labels of {', '.join(f'{name}/' for name in sorted(folders))}"
        if not folders:
            where = "exact labels, rendered"
        elif self.source.kind in PSEUDO_LABELLED:
            where = f"pseudo-{where}: agreement with other networks, no ground truth"
        return f"{self.name}, {len(self.dataset)} pairs at their own size, {where}"


def parse_test(text: str) -> Source:
    """KIND:SPLIT or KIND:SPLIT:LABELS. Raises ValueError."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not all(parts):
        raise ValueError(f"--test {text}: expected KIND:SPLIT or KIND:SPLIT:LABELS")
    kind, split, labels = (*parts, "network")[:3]
    return Source(kind, split, labels)


def open_tests(
    recipe: Recipe, texts: Sequence[str], folders: Mapping[str, Path], train: Sequence[Dataset]
) -> list[TestSet]:
    """The test sets. Raises ValueError for one without labels or with pairs of the training."""
    trained = {pair_of(entry) for dataset in train for entry in dataset.entries}
    tests = []
    for text in dict.fromkeys(texts):
        source = parse_test(text)
        (dataset,) = open_sources(recipe, [source], folders)
        if dataset.class_table is None:
            raise ValueError(f"--test {text}: these pairs have no labels; choose others")
        if shared := sum(pair_of(entry) in trained for entry in dataset.entries):
            raise ValueError(
                f"--test {text}: {shared} of its {len(dataset)} pairs are trained on; choose "
                "another split"
            )
        tests.append(TestSet(text, source, dataset))
    return tests


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


def main(argv: Sequence[str] | None = None) -> int:
    """Train and compare as the options say."""
    parser = argparse.ArgumentParser(
        prog="python -m training.postfusion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_recipe_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of all trainings")
    parser.add_argument(
        "--images",
        nargs="+",
        default=list(SIMPLE),
        metavar="KIND",
        help=f"{', '.join(SIMPLE)}, NAME=model.safetensors, NAME=FOLDER; default: the first four",
    )
    parser.add_argument(
        "--test", nargs="+", required=True, metavar="KIND:SPLIT[:LABELS]", help="test sets"
    )
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind; default: 3")
    parser.add_argument("--steps", type=int, help="of each training; default: the recipe's")
    args = parser.parse_args(argv)

    def compare() -> None:
        recipe = single_image(recipe_of(args), args.steps)
        kinds = parse_kinds(args.images)
        run(recipe, data_folders(args.data), args.out, kinds, args.test, args.seeds)

    return report_errors(compare)


if __name__ == "__main__":
    sys.exit(main())
