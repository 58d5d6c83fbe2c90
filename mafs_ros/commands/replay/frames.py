"""One frame of a replay: from the two recorded messages to pictures and scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mafs_ros.bags.reader import BagError
from mafs_ros.base.errors import one_line
from mafs_ros.commands.replay.candidates import Candidate
from mafs_ros.commands.replay.result import CandidateResult, FrameLog
from mafs_ros.evaluation.bag_cameras import depth_of
from mafs_ros.evaluation.bag_pairs import Frame
from mafs_ros.evaluation.ground_truth import GroundTruth
from mafs_ros.evaluation.metrics import ConfusionMatrix
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.images.messages.pixels import ImageError
from mafs_ros.perception.perception import Perceived


class FrameTrouble(ValueError):
    """A pair gives no output; `status` as in frames.csv."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Images:
    """The pictures of one frame. truth: labels in the ids of the first candidate."""

    rgb: np.ndarray
    frame_id: str
    perceived: list[Perceived]
    truth: np.ndarray | None = None


def perceive(frame: Frame, candidates: Sequence[Candidate]) -> Images:
    """Convert and perceive a pair as the node does; keeps the times. Raises FrameTrouble."""
    start = time.perf_counter()
    try:
        messages = frame.rgb.deserialize(), frame.thermal.deserialize()
        rgb, thermal = rgb_from_message(messages[0]), thermal_from_message(messages[1])
        depth = depth_of(frame.depth)
    except (BagError, ImageError) as error:
        raise FrameTrouble("bad_image", str(error)) from error
    conversion_ms = 1e3 * (time.perf_counter() - start)
    if frame.not_registered:
        raise FrameTrouble("failed", f"registration: {frame.not_registered}")
    try:
        perceived = [
            candidate.perceive(rgb, thermal, frame.thermal_time_s, frame.registration, depth)
            for candidate in candidates
        ]
    except (ValueError, RuntimeError) as error:
        raise FrameTrouble("failed", str(error)) from error
    for candidate, one in zip(candidates, perceived, strict=True):
        candidate.result.timings_ms.append({"conversion": conversion_ms, **one.timings_ms})
    return Images(rgb, messages[0].header.frame_id, perceived)


def remarks_of(images: Images) -> list[str]:
    """What is odd about the images, each once though every candidate says it."""
    return list(dict.fromkeys(line for one in images.perceived for line in one.remarks))


class Scorer:
    """Scores frames for all candidates, and logs why a frame has no score."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        labels: GroundTruth | None,
        log: FrameLog,
    ) -> None:
        self._candidates, self._labels, self._log = candidates, labels, log

    def score(self, frame: Frame, images: Images) -> dict[str, Any]:
        """Columns of frames.csv; fills images.truth."""
        raw, row = self._labels_of(frame), {}
        for index, candidate in enumerate(self._candidates):
            scores = self._fusion(candidate, images, index)
            labels = self._mapped(candidate, raw, images)
            candidate.result.labelled.append(labels is not None)
            if labels is not None:
                scores.update(
                    compare_labels(candidate.result, labels, images.perceived[index].labels)
                )
                images.truth = labels if index == 0 else images.truth
            row.update({"b_" * index + name: value for name, value in scores.items()})
        if len(self._candidates) == 2:
            row.update(self._compare(images))
        return row

    def _fusion(self, candidate: Candidate, images: Images, index: int) -> dict[str, Any]:
        perceived = images.perceived[index]
        try:
            return {
                **candidate.result.fusion.accumulate(
                    perceived.thermal, images.rgb, perceived.fused
                )
            }
        except ValueError as error:  # too small for VIF
            self._log.unscored[f"fusion is not scored: {one_line(error)}"] += index == 0
            return {}

    def _labels_of(self, frame: Frame) -> np.ndarray | None:
        if self._labels is None:
            return None
        try:
            return self._labels.find(frame.rgb.stamp, frame.rgb_number)
        except (OSError, ValueError) as error:
            self._log.unlabelled[one_line(error)] += 1
            return None

    def _mapped(
        self, candidate: Candidate, raw: np.ndarray | None, images: Images
    ) -> np.ndarray | None:
        if raw is None or candidate.mapper is None:
            return None
        try:
            labels = candidate.mapper(raw, images.rgb.shape[:2])
            if candidate is self._candidates[0]:
                self._log.label_pixels[:] += np.bincount(raw.ravel(), minlength=256)
            return labels
        except ValueError as error:
            self._log.unlabelled[one_line(error)] += candidate is self._candidates[0]
            return None

    def _compare(self, images: Images) -> dict[str, float]:
        a, b = images.perceived
        difference = float(np.abs(a.fused.astype(np.int16) - b.fused).mean())
        self._log.fused_difference.append(difference)
        row = {"fused_difference": difference}
        if len({candidate.result.table.names for candidate in self._candidates}) == 1:
            row["agreement_percent"] = float(100 * np.mean(a.labels == b.labels))
            self._log.agreement.append(row["agreement_percent"])
        return row


def compare_labels(
    result: CandidateResult, labels: np.ndarray, predicted: np.ndarray
) -> dict[str, Any]:
    """The confusion of one frame, kept, and its columns of frames.csv."""
    matrix = ConfusionMatrix(result.table.names, result.table.ignore_id)
    matrix.accumulate(labels, predicted)
    result.confusions.append(matrix.matrix)
    miou = matrix.miou()
    return {
        "labelled_pixels": int(matrix.matrix.sum()),
        "correct_pixels": int(np.trace(matrix.matrix)),
        "miou_percent": None if np.isnan(miou) else 100 * miou,
    }
