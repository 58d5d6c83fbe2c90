"""The order of the samples of a training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


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
