"""Training batches: which sample is drawn how, as a function of seed and position alone.

Sample n of a run (n = step * batch + position) is entry n % length of the n // length-th shuffle;
its augmentation comes from a generator seeded by (seed, n). So neither the number of worker
processes nor an interruption changes what the network sees, and several processes together see
the same as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader
from torch.utils.data import Dataset as TorchDataset
from tqdm import tqdm

from training.augment import Augmentation, augment
from training.datasets import IGNORE, Dataset, Sample, open_dataset
from training.recipe import Recipe, Source

Batch = dict[str, Tensor]
AddInputs = Callable[[Batch, torch.Generator], Batch]


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


def preload(datasets: Sequence[Dataset]) -> None:
    """Read everything into the cache, before worker processes are forked that share it."""
    total = sum(len(dataset) for dataset in datasets)
    with tqdm(total=total, desc="reading images", unit="pair", disable=None) as progress:
        for dataset in datasets:
            for _ in dataset:
                progress.update()


class Crops(TorchDataset[Batch]):
    """Augmented samples by (n, index) as uint8 tensors.

    rgb [3, H, W], thermal [1, H, W], labels [H, W] (255 where a data set has none), and what
    `add_inputs` adds, drawn from a generator seeded by (seed, n).
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        how: Augmentation,
        seed: int,
        add_inputs: AddInputs | None = None,
    ) -> None:
        self.samples: ConcatDataset[Any] = ConcatDataset(list(datasets))  # type: ignore[arg-type]
        self.how, self.seed, self.add_inputs = how, seed, add_inputs

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        n, index = key
        rng = np.random.default_rng([self.seed, n])
        item = to_tensors(augment(self.samples[index], self.how, rng))
        if self.add_inputs is None:
            return item
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        return self.add_inputs(item, generator)


def to_tensors(sample: Sample) -> Batch:
    """Tensors of one sample, as `Crops` has them; they share the sample's memory."""
    labels = sample.labels
    if labels is None:
        labels = np.full(sample.thermal.shape, IGNORE, np.uint8)
    return {
        "rgb": torch.from_numpy(sample.rgb).permute(2, 0, 1),
        "thermal": torch.from_numpy(sample.thermal)[None],
        "labels": torch.from_numpy(labels),
    }


class Order:
    """Batch sampler: the (n, index) of every part of every step that one process computes.

    Each step has `accumulate` parts; the samples of a part are dealt to the processes in turn.
    """

    def __init__(
        self,
        length: int,
        steps: range,
        *,
        batch: int,
        accumulate: int = 1,
        rank: int = 0,
        world: int = 1,
        seed: int = 0,
    ) -> None:
        if batch % (accumulate * world):
            raise ValueError(
                f"batch {batch} cannot be divided into {accumulate} parts (accumulate) for "
                f"{world} processes"
            )
        self.length, self.steps, self.seed = length, steps, seed
        self.batch, self.accumulate, self.rank, self.world = batch, accumulate, rank, world

    def __len__(self) -> int:
        return len(self.steps) * self.accumulate

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, shuffled = -1, np.empty(0, np.int64)
        part = self.batch // self.accumulate
        for step in self.steps:
            for first in range(0, self.batch, part):
                keys = []
                for position in range(first + self.rank, first + part, self.world):
                    n = step * self.batch + position
                    if n // self.length != epoch:
                        epoch = n // self.length
                        rng = np.random.default_rng([self.seed, epoch, 1])
                        shuffled = rng.permutation(self.length)
                    keys.append((n, int(shuffled[n % self.length])))
                yield keys


def make_loader(crops: Crops, order: Order, workers: int, pin_memory: bool) -> DataLoader[Any]:
    """Batches of stacked samples in that order; `workers` processes, 0 for none."""
    return DataLoader(
        crops,
        batch_sampler=order,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_single_thread if workers else None,
        # A worker's own seed is never used, but drawing it would move the global generator.
        generator=torch.Generator().manual_seed(crops.seed),
    )


def _single_thread(worker: int) -> None:
    cv2.setNumThreads(0)


def images(batch: Batch, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
    """visible [B, 3, H, W] and infrared [B, 1, H, W], floats in 0..1, of uint8 tensors.

    dtype: None for the default one, which Lightning Fabric sets by the precision of the run.
    """
    dtype = dtype or torch.get_default_dtype()
    visible = batch["rgb"].to(dtype).div(255)
    return visible, batch["thermal"].to(dtype).div(255)


def full_precision(x: Tensor) -> Tensor:
    """Of a network's output under autocast, for the losses: in the default type."""
    return x.to(torch.get_default_dtype())


def dtype_of(network: nn.Module) -> torch.dtype:
    """The type of a network's weights."""
    return next(network.parameters()).dtype
