"""The numbers of a replay: report.json, timing.json and timing.csv (docs/report_schema.md)."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mafs_ros import __version__
from mafs_ros.compare import PROTOCOL as COMPARE_PROTOCOL
from mafs_ros.compare import Difference, block_length, mean_difference, miou_difference
from mafs_ros.files import write_bytes
from mafs_ros.live_estimate import live_estimate
from mafs_ros.metrics import FUSION_METRICS, PROTOCOL, SEGMENTATION_PROTOCOL
from mafs_ros.report_page import page

if TYPE_CHECKING:
    from mafs_ros.replay_candidate import Candidate
    from mafs_ros.replay_evaluation import Replay

SCHEMA = 1
STEPS = ("conversion", "thermal", "registration", "engine")  # whose times are taken


def write_report(out: Path, replay: Replay) -> dict[str, Any]:
    """Write the four files; returns what report.json holds. Raises OSError."""
    report = _plain(report_of(replay))
    timing = _plain(timing_of(replay))
    write_bytes(out / "timing.csv", timing_rows(replay).encode())
    for name, content in (("report.json", report), ("timing.json", timing)):
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_bytes(out / name, text.encode())
    write_bytes(out / "report.html", page(replay, report, timing, out).encode())
    return report


def _plain(value: Any) -> Any:
    """The same with plain Python types, and None for what is not a number."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def report_of(replay: Replay) -> dict[str, Any]:
    """What report.json holds: the same for the same bag, settings and machine."""
    evaluated = replay.statuses["ok"]
    status = "complete" if not replay.problems else "partial" if evaluated else "failed"
    return {
        "schema": SCHEMA,
        "mafs_ros": __version__,
        "status": status,
        "problems": replay.problems,
        "bag": bag_of(replay),
        "settings": {**replay.settings, "every": replay.args.every},
        "engines": [engine_of(candidate) for candidate in replay.candidates],
        "pairing": pairing_of(replay),
        "frames": {
            "evaluated": evaluated,
            "bad_image": replay.statuses["bad_image"],
            "failed": replay.statuses["failed"],
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


def bag_of(replay: Replay) -> dict[str, Any]:
    bag: dict[str, Any] = {"path": str(replay.args.bag), "labels": replay.args.labels}
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


def engine_of(candidate: Candidate) -> dict[str, Any]:
    info = candidate.engine.model_info
    return {
        "name": candidate.name,
        "backend": candidate.engine.name,
        "description": candidate.engine.description,
        "weights": str(candidate.weights),
        "weights_sha256": hashlib.sha256(candidate.weights.read_bytes()).hexdigest(),
        "preset": info.preset,
        "classes": list(candidate.table.names),
    }


def pairing_of(replay: Replay) -> dict[str, Any]:
    counters = replay.pairs.counters
    return {
        "pairs": replay.pairs.count,
        "offset_ms": distribution(replay.pairs.offsets_ms),
        "resets": counters.resets if counters else 0,
        "rgb": asdict(counters.rgb) if counters else None,
        "thermal": asdict(counters.thermal) if counters else None,
    }


def distribution(values: Sequence[float]) -> dict[str, float] | None:
    """Least, 5 %, median, 95 %, greatest and mean; None for no value."""
    if not values:
        return None
    low, p5, median, p95, high = np.percentile(values, (0, 5, 50, 95, 100))
    return {
        "min": float(low),
        "p5": float(p5),
        "median": float(median),
        "p95": float(p95),
        "max": float(high),
        "mean": float(np.mean(values)),
    }


def fusion_of(candidate: Candidate) -> dict[str, Any]:
    return {
        "protocol": PROTOCOL,
        "images": len(candidate.fusion.per_image),
        "mean": candidate.fusion.mean()
        if candidate.fusion.per_image
        else dict.fromkeys(FUSION_METRICS),
    }


def segmentation_of(candidate: Candidate) -> dict[str, Any] | None:
    """Scores of one confusion matrix over all labelled frames; None without labels."""
    if candidate.mapper is None:
        return None
    matrix = candidate.confusion()
    iou = 100 * matrix.iou()
    return {
        "protocol": SEGMENTATION_PROTOCOL,
        "label_classes": candidate.mapper.source.name,
        "frames": len(candidate.confusions),
        "pixels": int(matrix.matrix.sum()),
        "iou_percent": dict(zip(matrix.class_names, iou.tolist(), strict=True)),
        "miou_with_background": 100 * matrix.miou(),
        "miou_without_background": 100 * matrix.miou(background=False),
        "absent": list(matrix.absent()),
        "confusion": matrix.matrix.tolist(),
    }


def rgb_rate_hz(replay: Replay) -> float:
    times = replay.pairs.times.get(replay.topics[0].name) if replay.topics else None
    return times.rate_hz if times else 0.0


def compare_of(replay: Replay) -> dict[str, Any]:
    first, second = replay.candidates
    block = block_length(replay.statuses["ok"], rgb_rate_hz(replay) / replay.args.every)
    differences: dict[str, Difference] = {}
    for name in FUSION_METRICS:
        differences[name] = mean_difference(
            [image[name] for image in first.fusion.per_image],
            [image[name] for image in second.fusion.per_image],
            block,
        )
    if first.mapper is not None and first.table.names == second.table.names:
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
        "agreement_percent": distribution(replay.scorer.agreement),
        "fused_difference": distribution(replay.scorer.fused_difference),
        "second": {"fusion": fusion_of(second), "segmentation": segmentation_of(second)},
    }


# timing.json, timing.csv ------------------------------------------------------------------------


def timing_of(replay: Replay) -> dict[str, Any]:
    """Measured times; other at every run."""
    engines = []
    for candidate in replay.candidates:
        totals = [sum(steps.values()) for steps in candidate.timings_ms]
        engines.append(
            {
                "name": candidate.name,
                "steps_ms": {
                    step: distribution([t[step] for t in candidate.timings_ms]) for step in STEPS
                },
                "total_ms": distribution(totals),
                "frames_per_second": 1e3 / float(np.mean(totals)) if totals else None,
            }
        )
    timing: dict[str, Any] = {
        "schema": SCHEMA,
        "engines": engines,
        "pair_rate_hz": pair_rate_hz(replay),
        "live_estimate": None,
    }
    if replay.args.every == 1 and replay.live is None and replay.series.received:
        estimate = live_estimate(replay.series.received, replay.series.total_ms)
        timing["live_estimate"] = {
            "pairs": estimate.pairs,
            "dropped_while_busy": estimate.replaced,
            "latency_ms": distribution(estimate.latency_ms),
        }
    timing["live"] = live_of(replay)
    return timing


def live_of(replay: Replay) -> dict[str, Any] | None:
    live = replay.live
    if live is None:
        return None
    return {
        **live.numbers,
        "latency_ms": distribution(live.latency_ms),
        "age_ms": distribution(live.age_ms),
        "same_bytes": replay.same_bytes,
        "different_bytes": len(replay.different),
    }


def pair_rate_hz(replay: Replay) -> float | None:
    """Pairs a second: 1 / median step between the RGB stamps of successive pairs."""
    steps = np.diff(np.array(replay.pairs.rgb_stamps, np.int64))
    steps = steps[steps > 0]
    return 1e9 / float(np.median(steps)) if steps.size else None


def timing_rows(replay: Replay) -> str:
    """timing.csv: milliseconds of every step of every evaluated frame."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(
        [
            "frame",
            *(
                "b_" * index + f"{step}_ms"
                for index in range(len(replay.candidates))
                for step in STEPS
            ),
        ]
    )
    timings = [candidate.timings_ms for candidate in replay.candidates]
    for number, frame in enumerate(zip(*timings, strict=True)):
        rows.writerow([number, *(f"{steps[step]:.3f}" for steps in frame for step in STEPS)])
    return text.getvalue()
