"""The folder of compiled engines itself: who may write it, and what goes when it is full.

To deserialise an engine is to run native code: whoever can put one there has it run by whoever
loads it. So nothing is loaded that another user can have written.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.engine.progress import progress
from mafs_ros.engine.recent import Recent

log = logging.getLogger(__name__)

ENTRY = "entry.json"  # in the folder of each engine
COMPILED = "openvino-compiled"  # what OpenVINO itself keeps, in files of its own names
OWN = "name a folder of your own: parameter cache_dir, or $XDG_CACHE_HOME"

# The entries that this process loaded last, opened and locked, so that no other one prunes them.
_in_use: Recent[str, IO[str]] = Recent(16, lambda opened: opened.close())


class CannotKeepError(OSError):
    """The folder does not take an entry."""


def default_cache_dir() -> Path:
    """Return $XDG_CACHE_HOME/mafs_ros, or ~/.cache/mafs_ros (XDG Base Directory 0.8)."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    return (Path(given) if os.path.isabs(given) else Path.home() / ".cache") / "mafs_ros"


def usable(cache_dir: Path | None) -> Path | None:
    """Return the folder, made if it is not there; None, with a warning, if it cannot be used.

    It is closed to others when it is made. One that others can write is not used, nor one that
    cannot be written, which is found by writing a file: permission bits say nothing of root and
    read-only file systems. What killed builds have left there is removed.
    """
    if cache_dir is None:
        return None
    try:
        cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache_dir):
            problem = distrust(cache_dir)
        advice = _mended(cache_dir)
    except OSError as error:
        problem, advice = one_line(error), f"make it writable, or {OWN}"
    if problem:
        log.warning(
            "cache_dir %s cannot be used (%s): the engine is compiled at every start; %s",
            cache_dir,
            problem,
            advice,
            extra=Fault.ENGINE_CACHE.extra,
        )
        return None
    sweep(cache_dir)
    return cache_dir


def distrust(path: Path) -> str:
    """Why what lies there must not be loaded; '' where only this user or root can have written it.

    Raises OSError where nothing lies there.
    """
    told = path.stat()
    if told.st_uid not in (os.geteuid(), 0):
        return f"{path.name} belongs to user {told.st_uid}, and an engine is code that is run"
    if told.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others can write to {path.name}, and an engine is code that is run"
    return ""


def _mended(folder: Path) -> str:
    """What to do about a folder that is not trusted."""
    told = folder.stat()
    if told.st_uid != os.geteuid() or told.st_mode & stat.S_ISVTX:  # such as /tmp
        return OWN
    return f"`chmod -R go-w {shlex.quote(str(folder))}` mends it"


def sweep(folder: Path) -> None:
    """Remove what killed builds have left, and compiled models that are not trusted."""
    for path in [*folder.glob(".*.partial"), *folder.glob(".*.lock")]:
        # Not one that is held: its build goes on.
        with contextlib.suppress(OSError), locked(folder, path.stem[1:], wait=False):
            shutil.rmtree(folder / f"{path.stem}.partial", ignore_errors=True)
    for path in (folder / COMPILED).glob("*"):
        with contextlib.suppress(OSError):
            if distrust(path):
                path.unlink()


def compiled_folder(folder: Path) -> Path | None:
    """Where OpenVINO may keep what it compiles, made if it is not there; None if that fails."""
    compiled = folder / COMPILED
    with contextlib.suppress(OSError):
        compiled.mkdir(mode=0o700, exist_ok=True)
        if not distrust(compiled):
            return compiled
    return None


def clear_compiled(folder: Path) -> None:
    """Remove what OpenVINO keeps, which belongs to no entry."""
    shutil.rmtree(folder / COMPILED, ignore_errors=True)


def mark_used(entry: Path) -> None:
    """Say that this process uses an entry from now on: it is not pruned as long as it does."""
    with contextlib.suppress(OSError):
        os.utime(entry / ENTRY)
        opened = open(entry / ENTRY, encoding="utf-8")  # noqa: SIM115 - closed when it gives way
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        _in_use.put(str(entry), opened)


def prune(folder: Path, limit_mb: int) -> None:
    """Remove what was used longest ago until the folder holds no more than that; 0: anything.

    No engine goes that a process builds, loads or uses, so that there may be more.
    """
    sizes: dict[Path, int] = {}
    for path in [*folder.glob(f"[!.]*/{ENTRY}"), *(folder / COMPILED).glob("*")]:
        item = path.parent if path.name == ENTRY else path
        with contextlib.suppress(OSError):
            files = item.iterdir() if item.is_dir() else [item]
            sizes[item] = sum(file.stat().st_size for file in files)
    excess = sum(sizes.values()) - limit_mb * 10**6
    for item in sorted(sizes, key=_last_use):
        if limit_mb == 0 or excess <= 0:
            return
        if _remove_unused(folder, item):
            excess -= sizes[item]
            log.info("removed %s, used longest ago: cache_mb is %d", item, limit_mb)


def _last_use(item: Path) -> float:
    """When an entry was marked; OpenVINO marks nothing, there the file system has to know."""
    with contextlib.suppress(OSError):
        if item.is_dir():
            return (item / ENTRY).stat().st_mtime
        told = item.stat()
        return max(told.st_atime, told.st_mtime)
    return 0.0


def _remove_unused(folder: Path, item: Path) -> bool:
    with contextlib.suppress(OSError):
        if not item.is_dir():
            item.unlink()  # a process that has it mapped keeps what it has
            return True
        with locked(folder, item.name, wait=False), open(item / ENTRY, "r+") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(item)
            return True
    return False


@contextlib.contextmanager
def locked(folder: Path, name: str, *, wait: bool = True) -> Iterator[None]:
    """Hold an entry for this process; a lock ends with its process, however that ends.

    Raises BlockingIOError where another one holds it and this one does not wait, CannotKeepError
    where the folder takes no lock.
    """
    path = folder / f".{name}.lock"
    try:
        lock = _lock(path, name, wait)
    except BlockingIOError as error:
        raise BlockingIOError(f"{name} is being built or loaded by a process") from error
    except OSError as error:
        raise CannotKeepError(one_line(error)) from error
    with lock:
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def _lock(path: Path, name: str, wait: bool) -> IO[str]:
    while True:
        with contextlib.ExitStack() as stack:
            lock = stack.enter_context(open(path, "w", encoding="ascii"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise
                with progress(f"waiting for another process that builds or loads {name}"):
                    fcntl.flock(lock, fcntl.LOCK_EX)
            # Whoever held it has removed it; then the next one may have made another.
            if path.exists() and os.path.samestat(path.stat(), os.fstat(lock.fileno())):
                stack.pop_all()
                return lock
