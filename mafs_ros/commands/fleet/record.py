"""What is kept of a bag for the merged report: numbers that add up, and no frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from mafs_ros.commands.fleet.sources import BagSource
from mafs_ros.commands.replay.result import CandidateResult, ReplayResult
from mafs_ros.evaluation.metrics import FUSION_METRICS

SCHEMA = 1
DARKER = 55.0  # median luminance below which a drive is one at night, see docs/scale.md


def record_of(
    source: BagSource, key: str, content: str, pairs: list[dict[str, Any]]
) -> dict[str, Any]:
    """The record of a bag. content: hash of what it holds; pairs: of `pair_record`."""
    return {
        "schema": SCHEMA,
        "key": key,
        "url": source.url,
        "bytes": source.size,
        "content": content,
        "pairs": pairs,
    }


def pair_record(name: str, result: ReplayResult, report: dict[str, Any]) -> dict[str, Any]:
    """What a pair of cameras gave. name: '' of the only one; report: what report.json holds."""
    begin, end = _recorded(result)
    worst = report["worst_frames"]
    return {
        "pair": name,
        **{key: report[key] for key in ("status", "problems", "warnings", "frames")},
        "begin_ns": begin,
        "duration_s": None if begin is None or end is None else (end - begin) / 1e9,
        "light": light(report["brightness"]),
        **{key: report[key] for key in ("brightness", "age_ms", "registration_px", "pairing")},
        "engines": [
            {key: engine[key] for key in ("description", "weights_sha256", "classes")}
            for engine in report["engines"]
        ],
        "candidates": [_candidate(candidate) for candidate in result.candidates],
        "worst": worst[0] if worst else None,
    }


def light(brightness: dict[str, float] | None) -> str | None:
    """'day' or 'night' by the median brightness of the frames; None where there are none."""
    if brightness is None:
        return None
    return "night" if brightness["median"] < DARKER else "day"


def _recorded(result: ReplayResult) -> tuple[int | None, int | None]:
    """When the first and the last image of the two cameras were recorded, in ns."""
    received = [times.received for times in result.pairs.times.values() if times.received.size]
    if not received:
        return None, None
    return min(int(one.min()) for one in received), max(int(one.max()) for one in received)


def _candidate(candidate: CandidateResult) -> dict[str, Any]:
    """Sum and number of each metric, and the confusion matrix where there are labels."""
    fusion = {}
    for metric in FUSION_METRICS:
        values = [image[metric] for image in candidate.fusion.per_image]
        known = [value for value in values if value is not None and not np.isnan(value)]
        fusion[metric] = [float(np.sum(known)), len(known)]
    matrix = candidate.confusion().matrix if candidate.confusions else None
    return {"fusion": fusion, "confusion": None if matrix is None else matrix.tolist()}
