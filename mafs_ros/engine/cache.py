"""Folder of compiled engines: each is made once and checked before it is used again.

A backend needs one function of this file:

    facts = graph_facts('openvino', 'fp32', weights, shape) | {'openvino': openvino.__version__}
    compiled = fetch(cache_dir, facts, build, load)

`facts` name all that the engine depends on. `build(folder)` writes any files into an empty folder,
`load(folder)` makes of them what `fetch` returns; an exception in `load` means a damaged entry,
unless it is a MemoryError.
An entry is a folder NAME with those files and `entry.json`: the facts, size and SHA-256 of every
file, and what the build took. NAME ends in a digest of the facts, so that engines for other
machines, versions and weights stand beside each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from mafs_ros.base.backend_names import CACHE_MB
from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.engine.cache_folder import (
    ENTRY,
    CannotKeepError,
    distrust,
    locked,
    mark_used,
    prune,
)
from mafs_ros.engine.fingerprint import code_hash, file_hash
from mafs_ros.engine.progress import progress

log = logging.getLogger(__name__)
Loaded = TypeVar("Loaded")

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One engine in the folder. facts: what it depends on; built: time in UTC, ISO 8601."""

    path: Path
    facts: dict[str, str]
    size_bytes: int
    built: str
    build_s: float


def graph_facts(
    backend: str, precision: str, weights: Path, shape: tuple[int, ...]
) -> dict[str, str]:
    """Return the facts that every engine depends on; shape: batch, height, width.

    The code of the deployed graph is among them: an engine of other code must not be used.
    """
    batch, height, width = shape
    return {
        "backend": backend,
        "precision": precision,
        "size": f"{width}x{height}" + (f"x{batch}" if batch > 1 else ""),
        "weights": file_hash(weights)[:16],
        "graph": code_hash(backend)[:16],
    }


def fetch(
    cache_dir: Path | None,
    facts: dict[str, str],
    build: Callable[[Path], None],
    load: Callable[[Path], Loaded],
    cache_mb: int = CACHE_MB,
) -> Loaded:
    """Load the engine that has these facts; build it first if there is none, or a damaged one.

    cache_dir: see `cache_folder.usable`; None builds in a temporary folder that is gone after.
    cache_mb: what the folder may hold after a build, see `cache_folder.prune`. Says on the log
    why something is built, and every few seconds that it still is. Of two processes one builds
    and the other waits for it. Whatever `build` raises is raised.
    """
    name = entry_name(facts)
    if cache_dir is not None:
        try:
            with locked(cache_dir, name):
                folder = _kept(cache_dir, facts, load)
                if not isinstance(folder, Path):
                    return folder.loaded
                _replace(folder, facts, build)
                mark_used(folder)
                loaded = load(folder)
            prune(cache_dir, cache_mb)
            return loaded
        except CannotKeepError as error:
            log.warning(
                "the engine is not kept in %s: %s",
                cache_dir,
                one_line(error),
                extra=Fault.ENGINE_CACHE.extra,
            )
    with tempfile.TemporaryDirectory(prefix="mafs_engine") as scratch:
        with progress(f"building {name}"):
            build(Path(scratch))
        return load(Path(scratch))


def holds(cache_dir: Path, facts: dict[str, str]) -> bool:
    """Return whether there is an entry with these facts; it may be damaged."""
    return (cache_dir / entry_name(facts) / ENTRY).is_file()


def entries(cache_dir: Path) -> list[Entry]:
    """Return what the folder holds, the newest first; what is no entry is left out."""
    found = []
    for path in cache_dir.glob(f"[!.]*/{ENTRY}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(path.read_text(encoding="utf-8"))
            size = sum(file["bytes"] for file in told["files"].values())
            facts = {str(key): str(value) for key, value in told["facts"].items()}
            found.append(
                Entry(path.parent, facts, size, str(told["built"]), float(told["build_s"]))
            )
    return sorted(found, key=lambda entry: entry.built, reverse=True)


def remove(entry: Entry) -> None:
    """Remove an entry; raises OSError, also while a process builds or loads it."""
    with locked(entry.path.parent, entry.path.name, wait=False):
        shutil.rmtree(entry.path)


def entry_name(facts: dict[str, str]) -> str:
    """Return the name of the entry with these facts."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return "-".join([facts["backend"], facts["precision"], facts["size"], digest])


@dataclass(frozen=True)
class _Loaded:
    """What `load` returned, whatever its type is."""

    loaded: Any


def _kept(
    cache_dir: Path, facts: dict[str, str], load: Callable[[Path], Loaded]
) -> _Loaded | Path:
    """Load the entry; or return its path, with the reason on the log why it is to be built."""
    folder = cache_dir / entry_name(facts)
    if not folder.exists():
        if reason := _why_not_another(cache_dir, facts):
            log.info("%s", reason)
        return folder
    reason = _flaw(folder, facts)
    if not reason:
        try:
            mark_used(folder)
            return _Loaded(load(folder))
        except MemoryError:  # says nothing of the entry
            raise
        except Exception as error:  # what a library makes of damaged bytes is anybody's guess
            reason = f"it cannot be loaded ({one_line(error)})"
    log.warning("rebuilding %s: %s", folder, reason, extra=Fault.ENGINE_CACHE.extra)
    return folder


def _flaw(folder: Path, facts: dict[str, str]) -> str:
    """Return why an entry cannot be used, '' if it can."""
    try:
        for path in (folder, *folder.iterdir()):
            if reason := distrust(path):
                return reason
        told = json.loads((folder / ENTRY).read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            return f"its format is {told['format']}, this version writes {FORMAT}"
        if difference := _difference(told["facts"], facts):
            return f"it is foreign: {difference}"
        for name, file in told["files"].items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != file["bytes"] or file_hash(path) != file["sha256"]:
                return f"{name} is damaged"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{ENTRY} is missing or damaged ({one_line(error)})"
    return ""


def _why_not_another(cache_dir: Path, facts: dict[str, str]) -> str:
    """Return how the newest engine for the same purpose differs, '' if there is none."""
    for entry in entries(cache_dir):
        if all(entry.facts.get(key) == facts[key] for key in ("backend", "precision", "size")):
            return f"{entry.path.name} is not for this: {_difference(entry.facts, facts)}"
    return ""


def _difference(had: dict[str, str], wanted: dict[str, str]) -> str:
    keys = [key for key in {**wanted, **had} if had.get(key) != wanted.get(key)]
    return ", ".join(
        f"{key} {had.get(key, 'unknown')} instead of {wanted.get(key, 'unknown')}" for key in keys
    )


def _replace(folder: Path, facts: dict[str, str], build: Callable[[Path], None]) -> None:
    """Build an entry beside its place and move it there; the lock is held."""
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
        partial.mkdir(mode=0o700)
    except OSError as error:
        raise CannotKeepError(one_line(error)) from error
    try:
        start = time.monotonic()
        with progress(f"building {folder.name}"):
            build(partial)
        files = {
            path.name: {"bytes": path.stat().st_size, "sha256": file_hash(path)}
            for path in sorted(partial.iterdir())
        }
        told = {
            "format": FORMAT,
            "facts": facts,
            "files": files,
            "built": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "build_s": round(time.monotonic() - start, 1),
        }
        (partial / ENTRY).write_text(json.dumps(told, indent=1), encoding="utf-8")
        for path in partial.iterdir():  # whatever the umask is, so that `distrust` has no reason
            path.chmod(0o644)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    except OSError as error:
        raise CannotKeepError(one_line(error)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
