"""What a replay evaluates: engines with their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mafs_ros.base.backend_names import BACKENDS, CACHE_MB
from mafs_ros.base.resources import default_weights
from mafs_ros.commands.replay.options import Options
from mafs_ros.commands.replay.result import CandidateResult
from mafs_ros.engine.cache_folder import default_cache_dir
from mafs_ros.evaluation.label_mapper import LabelMapper
from mafs_ros.perception.build import build_perception
from mafs_ros.perception.classes import ClassTable, load_class_table
from mafs_ros.perception.perception import Perceived, Perception
from mafs_ros.perception.registration import CameraRegistration


class Candidate:
    """An engine that perceives as the node does.

    mapper: labels to its ids; result: its scores; confidence: whether to compute it.
    """

    def __init__(
        self,
        perception: Perception,
        mapper: LabelMapper | None,
        result: CandidateResult,
        confidence: bool = False,
    ) -> None:
        self.mapper = mapper
        self.result = result
        self._confidence = confidence
        self._perception = perception
        self._prepared: set[tuple[int, ...]] = set()

    def perceive(
        self,
        rgb: np.ndarray,
        thermal: np.ndarray,
        stamp_s: float,
        registration: CameraRegistration | None = None,
        depth: np.ndarray | None = None,
    ) -> Perceived:
        """As the node does; raises ValueError or RuntimeError.

        registration, depth: what is known of the cameras, with registration: camera_info.
        """
        if registration is not None:
            self._perception.registration = registration
        if rgb.shape not in self._prepared:  # so that compiling is in no frame's time
            engine = self._perception.engine
            (engine.prepare_confidence if self._confidence else engine.prepare)(*rgb.shape[:2])
            self._prepared.add(rgb.shape)
        return self._perception(rgb, thermal, stamp_s, depth, self._confidence)

    def close(self) -> None:
        self._perception.engine.close()


def create_candidates(options: Options, settings: dict[str, Any]) -> list[Candidate]:
    """The one to evaluate and, with --compare, the other. Raises OSError or ValueError."""
    weights = options.weights or default_weights()
    chosen = [(weights, options.backend, options.precision)]
    backend, _, precision = options.compare.partition(":")
    if backend in BACKENDS:
        chosen.append((weights, backend, precision or "auto"))
    elif options.compare:
        chosen.append((Path(options.compare), options.backend, options.precision))
    return [create_candidate(*one, options, settings) for one in chosen]


def create_candidate(
    weights: Path, backend: str, precision: str, options: Options, settings: dict[str, Any]
) -> Candidate:
    """Raises OSError or ValueError."""
    values = {**settings, "backend": backend, "precision": precision, "cache_mb": CACHE_MB}
    perception, table = build_perception(values, weights, default_cache_dir())
    engine = perception.engine
    mapper = label_mapper(options, table)
    result = CandidateResult(
        weights,
        engine.name,
        engine.description,
        engine.model_info.preset,
        table,
        mapper.source.name if mapper else None,
    )
    return Candidate(perception, mapper, result, options.confidence)


def label_mapper(options: Options, table: ClassTable) -> LabelMapper | None:
    """What turns the ids of the ground truth into those of a network; None without labels."""
    if not options.labels:
        return None
    source = load_class_table(options.label_classes) if options.label_classes else table
    return LabelMapper(source, table)
