"""Which bags are to be evaluated, and into which folders: what was done is told by a key.

The key is of all that a result depends on: name, files, sizes and times of the bag, settings,
weights and other files that the options name, and the code.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

from mafs_ros import __version__
from mafs_ros.base.resources import default_weights
from mafs_ros.commands.fleet.sources import BagSource
from mafs_ros.commands.fleet.task import ERROR, RECORD, Task
from mafs_ros.commands.replay.options import Options
from mafs_ros.engine.fingerprint import file_hash

BAGS = "bags"  # folder in --out with one for each bag
PACKAGE = Path(__file__).parents[2]
# Rooms and commands whose code decides no number of a result.
NO_MATTER = ("node", "rig", "cameras", "demo", "simulation")
COMMANDS_THAT_MATTER = ("replay", "fleet")


def plan(
    bags: Sequence[BagSource], options: Options, values: dict[str, Any], threads: int
) -> list[Task]:
    """A task for each bag. values: of all parameters. Raises OSError where a file is missing."""
    options, values = with_whole_paths(options, values)
    facts = facts_of(options, values, threads)
    tasks = []
    for bag in bags:
        text = json.dumps([asdict(bag), facts], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:20]
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", bag.name)[:80].lstrip(".")
        folder = options.out / BAGS / f"{name}-{key}"
        tasks.append(Task(bag, key, folder, options, values, threads))
    return tasks


def is_done(task: Task) -> bool:
    """Whether there is a result, and nothing failed since; that of a damaged bag is one too."""
    return (task.folder / RECORD).exists() and not (task.folder / ERROR).exists()


def with_whole_paths(options: Options, values: dict[str, Any]) -> tuple[Options, dict[str, Any]]:
    """The same with paths that mean the same in another folder."""

    def whole(text: str | None) -> str | None:
        return str(Path(text).absolute()) if text and Path(text).exists() else text

    options = replace(
        options,
        out=options.out.absolute(),
        weights=options.weights and options.weights.absolute(),
        labels=whole(options.labels),
        label_classes=whole(options.label_classes),
        compare=whole(options.compare) or "",
    )
    files = {
        name: str(Path(value).expanduser().absolute())
        for name, value in values.items()
        if name.rpartition(".")[2] == "registration_file" and value
    }
    return options, {**values, **files}


def facts_of(options: Options, values: dict[str, Any], threads: int) -> dict[str, Any]:
    """All but the bag that a result depends on."""
    chosen = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(options).items()
        if name not in ("bag", "out", "weights")
    }
    named = [options.weights or default_weights()]
    named += [Path(text) for text in (options.compare, options.label_classes) if text]
    named += [Path(v) for k, v in values.items() if k.endswith("registration_file") and v]
    return {
        "options": chosen,
        "values": values,
        "threads": threads,
        "files": [file_hash(path) for path in named if path == named[0] or path.is_file()],
        "labels": _listing(Path(options.labels)) if options.labels else [],
        "version": __version__,
        "code": code_hash(),
    }


def _listing(folder: Path) -> list[list[Any]]:
    """Names, sizes and times of the files in a folder; none of a topic."""
    if not folder.is_dir():
        return []
    stats = sorted((path.name, path.stat()) for path in folder.iterdir())
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


@cache
def code_hash() -> str:
    """SHA-256 of the code that decides a result."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        if parts[0] in NO_MATTER:
            continue
        if parts[0] == "commands" and len(parts) > 2 and parts[1] not in COMMANDS_THAT_MATTER:
            continue
        digest.update(path.read_bytes())
    return digest.hexdigest()
