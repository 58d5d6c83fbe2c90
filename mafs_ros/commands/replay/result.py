"""What a replay gave: all that its report is made of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mafs_ros.bags.reader import ImageTopic
from mafs_ros.commands.replay.live_result import Live
from mafs_ros.commands.replay.options import Options
from mafs_ros.evaluation.bag_pairs import PairLog
from mafs_ros.evaluation.metrics import ConfusionMatrix, FusionScores
from mafs_ros.evaluation.worst_frames import WorstFrames
from mafs_ros.perception.alignment.offset import Offset
from mafs_ros.perception.classes import ClassTable


@dataclass(frozen=True)
class CandidateResult:
    """What one engine with its weights gave.

    backend, description, preset: of the engine and its network. label_classes: name of the table
    of the ground truth, None without labels. confusions: int64 [C,C] of each labelled frame;
    labelled and timings_ms: of each evaluated one.
    """

    weights: Path
    backend: str
    description: str
    preset: str
    table: ClassTable
    label_classes: str | None
    fusion: FusionScores = field(default_factory=FusionScores)
    confusions: list[np.ndarray] = field(default_factory=list)
    labelled: list[bool] = field(default_factory=list)
    timings_ms: list[dict[str, float]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.weights.name}, {self.description.split(' on ')[0]}"

    def confusion(self) -> ConfusionMatrix:
        """One matrix over all labelled frames."""
        matrix = ConfusionMatrix(self.table.names, self.table.ignore_id)
        for own in self.confusions:
            matrix.matrix += own
        return matrix


@dataclass(frozen=True)
class FrameLog:
    """What became of the frames.

    statuses: how many by status, as in frames.csv. reasons: why frames were not evaluated;
    unscored: not scored for fusion; unlabelled: not scored against labels. agreement (percent of
    the pixels), fused_difference (mean, of 255): of the two candidates of a comparison, for each
    frame; agreement only where both have the same classes. label_pixels: of each id in the
    ground truth, as it is stored. remarks: what was odd about images.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    unscored: Counter[str] = field(default_factory=Counter)
    unlabelled: Counter[str] = field(default_factory=Counter)
    agreement: list[float] = field(default_factory=list)
    fused_difference: list[float] = field(default_factory=list)
    label_pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Series:
    """What the charts show, of each evaluated frame. score: mIoU in percent, or Qabf.

    brightness: mean luminance of the RGB image, 0 to 255. age_ms: from the RGB stamp until both
    images were recorded. offsets: those of the registration that are certain, and their seconds.
    """

    time_s: list[float] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)
    score: list[float | None] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    brightness: list[float] = field(default_factory=list)
    age_ms: list[float] = field(default_factory=list)
    offsets: list[tuple[float, Offset]] = field(default_factory=list)


@dataclass(frozen=True)
class ReplayResult:
    """What a replay gave, up to its end or to what ended it early.

    Lists and counters are filled while the bag is evaluated. settings: the node's parameters.
    topics: RGB and thermal, None where there are none. live: None for an offline replay.
    """

    options: Options
    settings: dict[str, Any]
    topics: tuple[ImageTopic, ImageTopic] | None = None
    live: Live | None = None
    candidates: list[CandidateResult] = field(default_factory=list)
    pairs: PairLog = field(default_factory=PairLog)
    frames: FrameLog = field(default_factory=FrameLog)
    series: Series = field(default_factory=Series)
    worst: WorstFrames = field(default_factory=WorstFrames)
    problems: list[str] = field(default_factory=list)
    interrupted: bool = False
