"""The figures of a drive."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from mafs_ros.rig.account import ages_ms, drops, integer, latencies_ms, number, percentile, rounded
from mafs_ros.rig.receiver import Receiver
from mafs_ros.rig.source import Source


def summarise(
    args: argparse.Namespace,
    source: Source,
    receiver: Receiver,
    sent: dict[str, Any],
    published: dict[str, dict[int, int]],
) -> dict[str, Any]:
    """What summary.json holds. published: camera -> stamp -> monotonic ns of publication."""
    pairing = receiver.diagnostics.get("pairing", {})
    perception = receiver.diagnostics.get("perception", {})
    latencies = latencies_ms(receiver.received["fused"], published)
    arrivals = sorted(receiver.received["fused"].values())
    rate = (len(arrivals) - 1) * 1e9 / (arrivals[-1] - arrivals[0]) if len(arrivals) > 1 else 0.0
    latency = float(np.median(latencies)) if latencies.size else None
    engine = number(perception.get("engine_ms_median"))
    steps = {
        key.removesuffix("_ms_median"): number(value)
        for key, value in perception.items()
        if key.endswith("_ms_median")
    }
    before_arrival = sum(
        value or 0.0 for name, value in steps.items() if name not in ("latency", "age", "overlay")
    )
    ages = np.array([]) if source.paced else ages_ms(receiver.received["fused"])
    return {
        "input": source.description,
        "pace": (
            "cameras wait for each pair"
            if source.paced
            else f"cameras at {args.rate:g} Hz, whatever the node does"
        ),
        "sent": {camera: sent[camera]["sent"] for camera in ("rgb", "thermal")},
        "pairs_in": integer(pairing.get("paired")),
        "frames_out": receiver.complete,
        "drops": drops(sent, receiver, pairing, perception),
        "rate_hz": round(rate, 2),
        "latency_ms": {"median": rounded(latency), "p95": percentile(latencies, 95)},
        "engine_ms": {
            "median": rounded(engine),
            "p95": rounded(number(perception.get("engine_ms_p95"))),
        },
        "overhead_ms": rounded(latency - engine)
        if latency is not None and engine is not None
        else None,
        "age_ms": {"median": percentile(ages, 50), "p95": percentile(ages, 95)},
        "node_steps_ms": steps,
        "transport_ms": rounded(latency - before_arrival) if latency is not None else None,
        "engine": perception.get("engine", "unknown"),
        "weights": perception.get("weights", "unknown"),
        "publication_late_ms": sent["late_ms"],
    }


def table_text(summary: dict[str, Any]) -> str:
    """The summary for the terminal."""
    causes = {cause: count for cause, count in summary["drops"].items() if count}
    dropped = ", ".join(f"{count} {cause}" for cause, count in causes.items()) or "none"
    latency, engine = summary["latency_ms"], summary["engine_ms"]
    rows = {
        "input": summary["input"],
        "pace": summary["pace"],
        "pairs in": f"{summary['pairs_in']} (of {summary['sent']['rgb']} RGB and "
        f"{summary['sent']['thermal']} thermal images)",
        "frames out": summary["frames_out"],
        "drops by cause": dropped,
        "rate": f"{summary['rate_hz']} frames/s",
        "latency": f"median {latency['median']} ms, p95 {latency['p95']} ms (later image "
        "published to fused image received, between processes)",
        "engine": f"median {engine['median']} ms, p95 {engine['p95']} ms ({summary['engine']})",
        "overhead": f"{summary['overhead_ms']} ms (median latency minus engine)",
    }
    if summary["age_ms"]["p95"] is not None:
        rows["age"] = (
            f"median {summary['age_ms']['median']} ms, p95 {summary['age_ms']['p95']} "
            "ms (RGB stamp to fused image received)"
        )
    rows["files"] = summary["files"]
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows.items())
