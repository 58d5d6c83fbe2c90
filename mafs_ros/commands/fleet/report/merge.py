"""Reads what was kept of each bag, one after the other, and makes the numbers of the fleet.

Of a bag a line stays in memory and, with --compare, its sums: nothing that grows with its frames.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mafs_ros.commands.fleet.record import SCHEMA
from mafs_ros.commands.fleet.report.groups import Group
from mafs_ros.commands.fleet.report.rows import SCORES, date_of, empty_row, row_of
from mafs_ros.commands.fleet.task import ERROR, RECORD, Task
from mafs_ros.evaluation.metrics import FUSION_METRICS
from mafs_ros.evaluation.significance import (
    CONFIDENCE,
    RESAMPLES,
    SEED,
    Difference,
    miou_difference,
    pooled_difference,
)

COMPARE_PROTOCOL = (
    f"Differences are second minus first, on the same frames; interval: {CONFIDENCE:.0%}, "
    f"percentiles of {RESAMPLES} bootstrap resamples of whole drives, seed {SEED}. A difference "
    "counts as larger than chance where the interval does not hold 0."
)
SHOWN_WORST = 6


@dataclass
class Fleet:
    """What all bags gave. groups: by kind ('light', 'pair', 'date') and name.

    rows: see `rows`. engines: descriptions and weights, of each machine that differs.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    all: Group = field(default_factory=Group)
    groups: dict[str, dict[str, Group]] = field(
        default_factory=lambda: {"light": {}, "pair": {}, "date": {}}
    )
    statuses: Counter[str] = field(default_factory=Counter)
    engines: list[list[dict[str, Any]]] = field(default_factory=list)
    sums: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)


def merge(tasks: Iterable[Task]) -> Fleet:
    """Add up what was kept of these bags, in their order; those that have nothing are left out.

    Of bags with the same content the first counts. Raises ValueError for a damaged record.
    """
    fleet, contents = Fleet(), dict[str, str]()
    for task, record in _records(tasks):
        url = task.source.url
        if "error" in record:
            fleet.rows.append(empty_row(url, "error", record["error"]))
            fleet.statuses["error"] += 1
            continue
        first = contents.setdefault(record["content"] or url, url)
        if first != url:
            fleet.rows.append(empty_row(url, "duplicate", f"the same recording as {first}"))
            fleet.statuses["duplicate"] += 1
            continue
        for pair in record["pairs"]:
            fleet.rows.append(row_of(url, pair, f"{task.folder.parent.name}/{task.folder.name}"))
            _add(fleet, pair)
        worst = {pair["status"] for pair in record["pairs"]}
        fleet.statuses[next(s for s in ("failed", "partial", "complete") if s in worst)] += 1
    return fleet


def _records(tasks: Iterable[Task]) -> Iterator[tuple[Task, dict[str, Any]]]:
    for task in tasks:
        for name in (ERROR, RECORD):
            path = task.folder / name
            if path.exists():
                yield task, _read(path)
                break


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
        if record["schema"] != SCHEMA:
            raise ValueError(f"has schema {record['schema']}, expected {SCHEMA}")
        return record
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged ({error}); delete its folder and run again") from error


def _add(fleet: Fleet, pair: dict[str, Any]) -> None:
    fleet.all.add(pair)
    names = {"light": pair["light"], "pair": pair["pair"], "date": date_of(pair["begin_ns"])}
    for kind, name in names.items():
        if name is not None:
            fleet.groups[kind].setdefault(name, Group()).add(pair)
    if pair["engines"] and pair["engines"] not in fleet.engines:
        fleet.engines.append(pair["engines"])
    if len(pair["candidates"]) == 2 and pair["frames"]["evaluated"]:
        first, second = pair["candidates"]
        fleet.sums.append((first, second))


def numbers_of(fleet: Fleet, about: dict[str, Any]) -> dict[str, Any]:
    """What fleet.json holds. about: version, settings and options."""
    return {
        "schema": SCHEMA,
        **about,
        "engines": fleet.engines[0] if fleet.engines else [],
        "warnings": _warnings(fleet),
        "bags": {
            status: fleet.statuses[status]
            for status in ("complete", "partial", "failed", "error", "duplicate")
        },
        "all": fleet.all.numbers(),
        **{
            f"by_{kind}": {name: groups[name].numbers() for name in sorted(groups)}
            for kind, groups in fleet.groups.items()
        },
        "compare": compare(fleet),
        "worst": [
            {"bag": row["bag"], "pair": row["pair"], "score": row[score_name(fleet.rows)]}
            for row in worst(fleet.rows)
        ],
        "drives": fleet.rows,
    }


def _warnings(fleet: Fleet) -> list[str]:
    if len(fleet.engines) < 2:
        return []
    names = sorted({engines[0]["description"] for engines in fleet.engines})
    return [
        f"the bags were evaluated by {len(fleet.engines)} different engines or weights "
        f"({'; '.join(names)}): scores differ by them too; --backend and --precision name one "
        "that all machines have"
    ]


def score_name(rows: Sequence[dict[str, Any]]) -> str:
    """The column by which bags are told good or bad."""
    labelled = any(row["miou_with_background"] is not None for row in rows)
    return SCORES[0] if labelled else "Qabf"


def worst(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the least scores, the worst first."""
    name = score_name(rows)
    scored = [row for row in rows if row[name] is not None]
    return sorted(scored, key=lambda row: (row[name], row["bag"], row["pair"]))[:SHOWN_WORST]


def compare(fleet: Fleet) -> dict[str, Any] | None:
    """Differences of two candidates, with intervals over drives; None without --compare."""
    if not fleet.sums:
        return None
    differences: dict[str, Difference] = {}
    for metric in FUSION_METRICS:
        first, second = ([one["fusion"][metric] for one in side] for side in _sides(fleet))
        differences[metric] = pooled_difference(first, second)
    classes = {tuple(engine["classes"]) for engine in fleet.engines[0]}
    labelled = [both for both in fleet.sums if all(one["confusion"] for one in both)]
    if labelled and len(classes) == 1:
        a, b = (
            [np.array(one["confusion"]) for one in side] for side in zip(*labelled, strict=True)
        )
        differences["miou_with_background"] = miou_difference(a, b, 1)
        differences["miou_without_background"] = miou_difference(a, b, 1, False)
    return {
        "protocol": COMPARE_PROTOCOL,
        "drives": len(fleet.sums),
        "differences": {
            name: {
                **{key: getattr(one, key) for key in ("first", "second", "difference")},
                **{key: getattr(one, key) for key in ("low", "high", "larger_than_chance")},
            }
            for name, one in differences.items()
        },
    }


def _sides(fleet: Fleet) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return [first for first, _ in fleet.sums], [second for _, second in fleet.sums]
