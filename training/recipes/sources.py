"""Opens the data sets that a recipe names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from training.data.datasets import Dataset, open_dataset
from training.data.sources import Source
from training.recipes.recipe import Recipe


def open_sources(
    recipe: Recipe, sources: Sequence[Source], folders: Mapping[str, Path]
) -> list[Dataset]:
    """Open data sets and read the first pair of each, so that what is missing shows at once.

    Raises ValueError, FileNotFoundError or OSError that says what to do.
    """
    datasets = []
    for source in sources:
        try:
            dataset = open_dataset(
                source.kind,
                folders.get(source.kind),
                source.split,
                labels=source.labels,
                class_table=recipe.classes,
                cache=recipe.cache,
                count=source.count,
                homography=source.homography,
                background=source.background,
            )
        except ValueError as error:
            if source.kind not in folders and source.kind != "simulation":
                raise ValueError(f"give --data {source.kind}=DIR: {error}") from None
            raise
        dataset[0]
        datasets.append(dataset)
    return datasets
