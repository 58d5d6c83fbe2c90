"""Samples of the simulated street."""

from __future__ import annotations

import numpy as np

from mafs_ros.perception.thermal import ThermalScaler
from training.data.samples import Load, Sample

FIRST_SEEDS = {"train": 10_000, "val": 20_000, "test": 30_000}  # of the simulated streets


def simulated_seeds(split: str, count: int) -> list[int]:
    """Seeds of the street scenes of a split; those of two splits never meet."""
    if split not in FIRST_SEEDS:
        raise ValueError(
            f"unknown split {split!r} of the simulation; expected {', '.join(FIRST_SEEDS)}"
        )
    if not 0 < count <= 10_000:
        raise ValueError(f"count of simulated scenes must lie in 1..10000, got {count}")
    return list(range(FIRST_SEEDS[split], FIRST_SEEDS[split] + count))


def read_scene(seed: int, load: Load) -> Sample:
    """Render the simulated street of a seed; thermal is scaled to 8 bit by percentiles."""
    return load(render_scene, seed)


def render_scene(seed: int) -> Sample:
    """A frame of 480x640 of one street.

    The lower percentile that becomes black is drawn from 1 to 35, because cameras and people
    differ in how much of a cold sky they let go black.
    """
    from mafs_ros.simulation import StreetSimulation  # slow to import, and few need it

    rng = np.random.default_rng(seed)
    frame = StreetSimulation(seed=seed).frame(float(rng.uniform(0, 17)))
    scaler = ThermalScaler("percentile", percentiles=(float(rng.uniform(1, 35)), 99.5))
    return Sample(f"simulated_{seed}", frame.rgb, scaler(frame.thermal, 0.0), frame.labels)
