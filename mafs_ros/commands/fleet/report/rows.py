"""One line for each pair of cameras of each bag."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import numpy as np

from mafs_ros.commands.fleet.report.groups import DROPS, mean, segmentation
from mafs_ros.evaluation.metrics import FUSION_METRICS, ConfusionMatrix

FIRST_COLUMNS = (
    *("bag", "pair", "status", "reason", "date", "begin_ns", "duration_s", "light", "brightness"),
    *("pairs", "evaluated", "bad_image", "failed", "labelled"),
    *("rgb_images", "rgb_dropped", "thermal_images", "thermal_dropped"),
    *("offset_ms", "age_ms", "age_ms_p95", "registration_px"),
)
SCORES = ("miou_with_background", "miou_without_background", *FUSION_METRICS)


def row_of(url: str, pair: dict[str, Any], folder: str) -> dict[str, Any]:
    """The line of a pair of cameras. folder: of its report, from the folder of the page."""
    row = {
        **empty_row(url, pair["status"], (pair["problems"] or [""])[0]),
        "pair": pair["pair"],
        "date": date_of(pair["begin_ns"]),
        **{name: pair[name] for name in ("begin_ns", "duration_s", "light")},
        "pairs": pair["pairing"]["pairs"],
        **pair["frames"],
        "report": f"{folder}/{pair['pair']}/report.html".replace("//", "/"),
    }
    for camera in ("rgb", "thermal"):
        images = pair["pairing"][camera]
        if images is not None:
            row[f"{camera}_images"] = images["received"]
            row[f"{camera}_dropped"] = sum(images[cause] for cause in DROPS)
    offset, age = pair["pairing"]["offset_ms"] or {}, pair["age_ms"] or {}
    row |= {
        "brightness": (pair["brightness"] or {}).get("median"),
        "offset_ms": offset.get("median"),
        "age_ms": age.get("median"),
        "age_ms_p95": age.get("p95"),
        "registration_px": (pair["registration_px"] or {}).get("median"),
    }
    for prefix, engine, candidate in zip(
        ("", "b_"), pair["engines"], pair["candidates"], strict=False
    ):
        row |= {prefix + name: value for name, value in scores_of(engine, candidate).items()}
    return row


def empty_row(url: str, status: str, reason: str) -> dict[str, Any]:
    """The line of a bag that has no numbers."""
    row: dict[str, Any] = dict.fromkeys((*FIRST_COLUMNS, *SCORES))
    return {**row, "bag": url, "pair": "", "status": status, "reason": reason, "report": None}


def scores_of(engine: dict[str, Any], candidate: dict[str, Any]) -> dict[str, Any]:
    """Means of the metrics, and with labels IoU in percent, `iou_CLASS`."""
    scores: dict[str, Any] = {name: mean(sums) for name, sums in candidate["fusion"].items()}
    if candidate["confusion"] is not None:
        matrix = ConfusionMatrix(engine["classes"])
        matrix.matrix = np.array(candidate["confusion"], np.int64)
        numbers = segmentation(matrix)
        scores |= {name: numbers[name] for name in SCORES[:2]}
        scores |= {f"iou_{name}": value for name, value in numbers["iou_percent"].items()}
    return scores


def date_of(begin_ns: int | None) -> str | None:
    """The day of a recording, UTC; None where it is not known."""
    if begin_ns is None:
        return None
    return datetime.fromtimestamp(begin_ns // 10**9, timezone.utc).date().isoformat()
