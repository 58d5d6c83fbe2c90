"""What a replay evaluates: an engine with its weights, and its scores so far."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from mafs_ros.engine import BACKENDS, create_engine
from mafs_ros.engine.cache import default_cache_dir
from mafs_ros.ground_truth import LabelMapper
from mafs_ros.labels import ClassTable, load_class_table
from mafs_ros.metrics import ConfusionMatrix, FusionScores
from mafs_ros.perception import Perceived, Perception
from mafs_ros.replay_settings import registration_from
from mafs_ros.resources import default_weights
from mafs_ros.thermal import scaler_from


class Candidate:
    """One engine with its weights, and its scores over the frames so far.

    confusions: int64 [C,C] of each labelled frame; labelled and timings_ms: of each evaluated one.
    """

    def __init__(
        self, weights: Path, backend: str, precision: str, settings: dict[str, Any]
    ) -> None:
        self.weights = weights
        scaler, registration = scaler_from(settings), registration_from(settings)
        self.engine = create_engine(
            backend,
            weights,
            threads=settings["threads"],
            precision=precision,
            cache_dir=default_cache_dir(),
        )
        self.table = ClassTable.from_dict(self.engine.model_info.class_table)
        self.perception = Perception(self.engine, scaler, registration)
        self.fusion = FusionScores()
        self.mapper: LabelMapper | None = None
        self.confusions: list[np.ndarray] = []
        self.labelled: list[bool] = []
        self.timings_ms: list[dict[str, float]] = []
        self._prepared: set[tuple[int, ...]] = set()

    @property
    def name(self) -> str:
        return f"{self.weights.name}, {self.engine.description.split(' on ')[0]}"

    def perceive(self, rgb: np.ndarray, thermal: np.ndarray, stamp_s: float) -> Perceived:
        """As the node does; raises ValueError or RuntimeError."""
        if rgb.shape not in self._prepared:  # so that compiling is in no frame's time
            self.engine.prepare(*rgb.shape[:2])
            self._prepared.add(rgb.shape)
        return self.perception(rgb, thermal, stamp_s)

    def confusion(self) -> ConfusionMatrix:
        """One matrix over all labelled frames."""
        matrix = ConfusionMatrix(self.table.names, self.table.ignore_id)
        for own in self.confusions:
            matrix.matrix += own
        return matrix


def create_candidates(
    args: argparse.Namespace, settings: dict[str, Any], has_labels: bool
) -> list[Candidate]:
    """The one to evaluate and, with --compare, the other. Raises OSError or ValueError."""
    weights = args.weights or default_weights()
    chosen = [(weights, args.backend, args.precision)]
    backend, _, precision = args.compare.partition(":")
    if backend in BACKENDS:
        chosen.append((weights, backend, precision or "auto"))
    elif args.compare:
        chosen.append((Path(args.compare), args.backend, args.precision))
    candidates = [Candidate(*one, settings) for one in chosen]
    for candidate in candidates if has_labels else ():
        table = load_class_table(args.label_classes) if args.label_classes else candidate.table
        candidate.mapper = LabelMapper(table, candidate.table)
    return candidates
