"""Training batches: which sample is drawn how, as a function of seed and position alone.

Sample n of a run (n = step * batch + position) is entry n % length of the n // length-th shuffle;
its augmentation comes from a generator seeded by (seed, n). So neither the number of worker
processes nor an interruption changes what the network sees, and several processes together see
the same as one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import ConcatDataset, DataLoader
from torch.utils.data import Dataset as TorchDataset
from tqdm import tqdm

from training.data.augment import Augmentation, augment
from training.data.datasets import Dataset
from training.data.order import Order
from training.data.tensors import Batch, to_tensors

AddInputs = Callable[[Batch, torch.Generator], Batch]


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
        self.datasets = datasets
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
