"""Brings a bag onto the machine that evaluates it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mafs_ros.base.errors import one_line
from mafs_ros.commands.fleet.sources import BagSource, is_storage

# What is so whenever one asks: asking again does not help.
FOR_GOOD = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ImportError)


class UnreachableError(OSError):
    """The storage does not answer; it may a little later."""


@contextmanager
def local_bag(source: BagSource) -> Iterator[Path]:
    """The bag as a path: its own, or that of a copy that is gone afterwards.

    Raises UnreachableError, and OSError or ImportError for what does not pass.
    """
    if "://" not in source.url:
        if not Path(source.url).exists():
            raise FileNotFoundError(f"{source.url}: there is no such bag any more")
        yield Path(source.url)
        return
    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}.", dir=_copies()) as folder:
        bag = Path(folder, source.name)
        try:
            _copy(source, bag)
        except FOR_GOOD:
            raise
        except Exception as error:  # each kind of storage has its own
            raise UnreachableError(f"{source.url}: {one_line(error)}") from error
        yield bag


def _copies() -> Path:
    """The folder of this machine for copies, without those of processes that were killed."""
    folder = Path(tempfile.gettempdir(), f"mafs_fleet.{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    for old in folder.iterdir():
        if not Path("/proc", old.name.partition(".")[0]).exists():
            shutil.rmtree(old, ignore_errors=True)
    return folder


def _copy(source: BagSource, bag: Path) -> None:
    from fsspec.core import url_to_fs

    # Not one that has failed before, or remembers a listing.
    fs, place = url_to_fs(source.url, skip_instance_cache=True)
    for file in source.files:
        target = bag / file.name if file.name else bag
        target.parent.mkdir(parents=True, exist_ok=True)
        fs.get_file(f"{place}/{file.name}" if file.name else place, str(target))


def content_hash(source: BagSource, bag: Path) -> str:
    """SHA-256 of what was recorded, without metadata.yaml, which holds names; '' of nothing."""
    digest, size = hashlib.sha256(), 0
    for file in source.files:  # in the order of their names
        if not file.name or is_storage(file.name):
            with (bag / file.name if file.name else bag).open("rb") as opened:
                while block := opened.read(1 << 20):
                    digest.update(block)
                    size += len(block)
    return digest.hexdigest() if size else ""
