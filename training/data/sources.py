"""Which data set, split and labels a recipe asks for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One data set: the arguments of `training.data.datasets.open_dataset` besides its folder."""

    kind: str
    split: str = "train"
    labels: str = "network"
    count: int = 200
    homography: tuple[float, ...] | None = None
    background: float = 1.0
