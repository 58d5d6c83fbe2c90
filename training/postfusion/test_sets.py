"""The test sets of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.data.datasets import Dataset
from training.data.samples import Files
from training.data.sources import Source
from training.postfusion.image_kinds import pair_of
from training.recipes.recipe import Recipe
from training.recipes.sources import open_sources

PSEUDO_LABELLED = ("street_rgbt", "fusion_pairs")


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
