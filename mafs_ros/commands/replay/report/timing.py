"""The times of a replay as numbers."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from mafs_ros.commands.replay.live_estimate import live_estimate
from mafs_ros.commands.replay.report.distribution import SCHEMA, distribution
from mafs_ros.commands.replay.result import ReplayResult

STEPS = ("conversion", "thermal", "registration", "engine")  # whose times are taken


def timing_of(replay: ReplayResult) -> dict[str, Any]:
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
    if replay.options.every == 1 and replay.live is None and replay.series.received:
        estimate = live_estimate(replay.series.received, replay.series.total_ms)
        timing["live_estimate"] = {
            "pairs": estimate.pairs,
            "dropped_while_busy": estimate.replaced,
            "latency_ms": distribution(estimate.latency_ms),
        }
    timing["live"] = live_of(replay)
    return timing


def live_of(replay: ReplayResult) -> dict[str, Any] | None:
    live = replay.live
    if live is None:
        return None
    return {
        **live.numbers,
        "latency_ms": distribution(live.latency_ms),
        "age_ms": distribution(live.age_ms),
        "same_bytes": len(live.same),
        "different_bytes": len(live.different),
    }


def pair_rate_hz(replay: ReplayResult) -> float | None:
    """Pairs a second: 1 / median step between the RGB stamps of successive pairs."""
    steps = np.diff(np.array(replay.pairs.rgb_stamps, np.int64))
    steps = steps[steps > 0]
    return 1e9 / float(np.median(steps)) if steps.size else None


def timing_rows(replay: ReplayResult) -> str:
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
