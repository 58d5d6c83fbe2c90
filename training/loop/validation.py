"""What the validations of all stages share: whose turn a sample is, how many are shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lightning_fabric import Fabric

from training.data.datasets import Dataset
from training.data.samples import Sample

PICTURES = 4  # rows of the grid that each evaluation writes


def own_samples(datasets: Sequence[Dataset], fabric: Fabric) -> Iterator[tuple[int, Sample]]:
    """The samples of all data sets that this process evaluates, with their numbers among all."""
    samples = [(dataset, index) for dataset in datasets for index in range(len(dataset))]
    for number in range(fabric.global_rank, len(samples), fabric.world_size):
        dataset, index = samples[number]
        yield number, dataset[index]
