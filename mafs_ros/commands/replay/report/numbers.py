"""The numbers of a replay: report.json, timing.json and timing.csv (docs/report_schema.md)."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from mafs_ros import __version__
from mafs_ros.commands.replay.report.distribution import SCHEMA, distribution
from mafs_ros.commands.replay.result import CandidateResult, ReplayResult
from mafs_ros.evaluation.metrics import FUSION_METRICS, PROTOCOL, SEGMENTATION_PROTOCOL
from mafs_ros.evaluation.significance import PROTOCOL as COMPARE_PROTOCOL
from mafs_ros.evaluation.significance import (
    Difference,
    block_length,
    mean_difference,
    miou_difference,
)


def report_of(replay: ReplayResult) -> dict[str, Any]:
    """What report.json holds: the same for the same bag, settings and machine."""
    evaluated = replay.frames.statuses["ok"]
    status = "complete" if not replay.problems else "partial" if evaluated else "failed"
    return {
        "schema": SCHEMA,
        "mafs_ros": __version__,
        "status": status,
        "problems": replay.problems,
        "warnings": replay.frames.remarks,
        "bag": bag_of(replay),
        "settings": {**replay.settings, "every": replay.options.every},
        "engines": [engine_of(candidate) for candidate in replay.candidates],
        "pairing": pairing_of(replay),
        "registration_px": distribution([one.length for _, one in replay.series.offsets]),
        "brightness": distribution(replay.series.brightness),
        "age_ms": distribution(replay.series.age_ms),
        "frames": {
            "evaluated": evaluated,
            "bad_image": replay.frames.statuses["bad_image"],
            "failed": replay.frames.statuses["failed"],
            "labelled": len(replay.candidates[0].confusions) if replay.candidates else 0,
        },
        "fusion": fusion_of(replay.candidates[0]) if replay.candidates else None,
        "segmentation": segmentation_of(replay.candidates[0]) if replay.candidates else None,
        "compare": compare_of(replay) if len(replay.candidates) == 2 else None,
        "worst_frames": [
            {"pair": worst.pair, "rgb_stamp_ns": worst.stamp, "reason": worst.reason}
            for worst in replay.worst.in_order()
        ],
    }


def bag_of(replay: ReplayResult) -> dict[str, Any]:
    bag: dict[str, Any] = {"path": str(replay.options.bag), "labels": replay.options.labels}
    for camera, topic in zip(("rgb", "thermal"), replay.topics or (), strict=False):
        times = replay.pairs.times.get(topic.name)
        bag[camera] = {
            "topic": topic.name,
            "type": topic.message_type,
            "encoding": topic.encoding,
            "height": topic.height,
            "width": topic.width,
            "frame_id": topic.frame_id,
            "messages": len(times.stamps) if times else 0,
        }
        if times:
            bag[camera].update(
                rate_hz=times.rate_hz,
                jitter_ms=times.jitter_ms,
                longest_gap_s=times.longest_gap_s,
                backward_stamps=times.backward,
            )
    return bag


def engine_of(candidate: CandidateResult) -> dict[str, Any]:
    return {
        "name": candidate.name,
        "backend": candidate.backend,
        "description": candidate.description,
        "weights": str(candidate.weights),
        "weights_sha256": hashlib.sha256(candidate.weights.read_bytes()).hexdigest(),
        "preset": candidate.preset,
        "classes": list(candidate.table.names),
    }


def pairing_of(replay: ReplayResult) -> dict[str, Any]:
    counters = replay.pairs.counters
    return {
        "pairs": replay.pairs.count,
        "offset_ms": distribution(replay.pairs.offsets_ms),
        "resets": counters.resets if counters else 0,
        "rgb": asdict(counters.rgb) if counters else None,
        "thermal": asdict(counters.thermal) if counters else None,
    }


def fusion_of(candidate: CandidateResult) -> dict[str, Any]:
    return {
        "protocol": PROTOCOL,
        "images": len(candidate.fusion.per_image),
        "mean": candidate.fusion.mean()
        if candidate.fusion.per_image
        else dict.fromkeys(FUSION_METRICS),
    }


def segmentation_of(candidate: CandidateResult) -> dict[str, Any] | None:
    """Scores of one confusion matrix over all labelled frames; None without labels."""
    if candidate.label_classes is None:
        return None
    matrix = candidate.confusion()
    iou = 100 * matrix.iou()
    return {
        "protocol": SEGMENTATION_PROTOCOL,
        "label_classes": candidate.label_classes,
        "frames": len(candidate.confusions),
        "pixels": int(matrix.matrix.sum()),
        "iou_percent": dict(zip(matrix.class_names, iou.tolist(), strict=True)),
        "miou_with_background": 100 * matrix.miou(),
        "miou_without_background": 100 * matrix.miou(background=False),
        "absent": list(matrix.absent()),
        "confusion": matrix.matrix.tolist(),
    }


def rgb_rate_hz(replay: ReplayResult) -> float:
    times = replay.pairs.times.get(replay.topics[0].name) if replay.topics else None
    return times.rate_hz if times else 0.0


def compare_of(replay: ReplayResult) -> dict[str, Any]:
    first, second = replay.candidates
    block = block_length(replay.frames.statuses["ok"], rgb_rate_hz(replay) / replay.options.every)
    differences: dict[str, Difference] = {}
    for name in FUSION_METRICS:
        differences[name] = mean_difference(
            [image[name] for image in first.fusion.per_image],
            [image[name] for image in second.fusion.per_image],
            block,
        )
    if first.label_classes is not None and first.table.names == second.table.names:
        a, b = first.confusions, second.confusions
        differences["miou_with_background"] = miou_difference(a, b, block)
        differences["miou_without_background"] = miou_difference(a, b, block, False)
    return {
        "protocol": COMPARE_PROTOCOL,
        "block_frames": block,
        "differences": {
            name: {**asdict(one), "larger_than_chance": one.larger_than_chance}
            for name, one in differences.items()
        },
        "agreement_percent": distribution(replay.frames.agreement),
        "fused_difference": distribution(replay.frames.fused_difference),
        "second": {"fusion": fusion_of(second), "segmentation": segmentation_of(second)},
    }
