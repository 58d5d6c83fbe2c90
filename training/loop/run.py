"""A training run and what a stage gives it: learner, scores and the file it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor, nn

from training.data.tensors import Batch
from training.recipes.recipe import Optimisation, Recipe


class Learner(nn.Module):
    """What a stage trains: `network`, which is averaged and written, and all that its loss needs.

    `forward(batch)` returns the loss to minimise and its terms for the log, all scalars.
    """

    network: nn.Module

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        raise NotImplementedError


@dataclass
class Evaluation:
    """Scores by name and rows of pictures of the first few samples."""

    scores: dict[str, float]
    pictures: list[list[Any]] = field(default_factory=list)


Validate = Callable[[Fabric, nn.Module], Evaluation]


@dataclass
class Run:
    """A training run between `setup` and the end of `fit`.

    step: optimiser steps done. best: the score by which weights are kept and its best value so
    far; empty before the first evaluation.
    """

    fabric: Fabric
    learner: Learner
    wrapped: nn.Module
    optimizer: Any
    average: nn.Module | None
    plan: Optimisation
    recipe: Recipe
    stage: str
    out: Path
    steps: int
    step: int = 0
    best: dict[str, float] = field(default_factory=dict)

    @property
    def result(self) -> nn.Module:
        """The network to evaluate and write."""
        return self.learner.network if self.average is None else self.average


# write(run, scores) writes the result of a stage, write(run, scores, name) a file of that name.
Write = Callable[..., None]
