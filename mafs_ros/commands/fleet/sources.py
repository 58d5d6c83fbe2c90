"""Where the bags of a fleet are: folders, globs, lists in a file, and whatever fsspec reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mafs_ros.bags.what_it_is import STORAGE_SUFFIXES

LIST_SUFFIX = ".txt"  # of a file with one source a line
METADATA = "metadata.yaml"
# What tells that a file has changed, the best first; stores have one or the other.
CHANGE_KEYS = ("ETag", "etag", "mtime", "LastModified", "updated", "modified", "created")


@dataclass(frozen=True)
class BagFile:
    """A file of a bag. name: below the bag, '' of a bag that is one file. change: see above."""

    name: str
    size: int
    change: str


@dataclass(frozen=True)
class BagSource:
    """A bag somewhere. url: a path where it is on this machine."""

    url: str
    files: tuple[BagFile, ...]

    @property
    def name(self) -> str:
        return PurePosixPath(self.url).name

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def find_bags(sources: Iterable[str]) -> list[BagSource]:
    """The bags of all sources, each once, by their addresses.

    Raises FileNotFoundError for a source that holds none, OSError for one that cannot be listed,
    ValueError for an address that fsspec does not know.
    """
    found = {bag.url: bag for source in sources for bag in _bags_of(source, Path())}
    return [found[url] for url in sorted(found)]


def _bags_of(source: str, base: Path) -> Iterator[BagSource]:
    """base: the folder that a relative path starts from."""
    if "://" not in source:
        path = (base / Path(source).expanduser()).absolute()
        if path.suffix == LIST_SUFFIX and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.strip() and not line.lstrip().startswith("#"):
                    yield from _bags_of(line.strip(), path.parent)
            return
        source = str(path)
    from fsspec.core import url_to_fs

    fs, path_there = url_to_fs(source)
    is_glob = re.search(r"[*?\[]", path_there) and not fs.exists(path_there)
    places = sorted(fs.glob(path_there)) if is_glob else [path_there]
    bags = [bag for place in places for bag in _bags_at(fs, place)]
    if not bags:
        raise FileNotFoundError(
            f"{source}: holds no bag; expected a rosbag2 (a folder with metadata.yaml, .mcap or "
            f".db3 files), a folder or glob of them, or a {LIST_SUFFIX} file with one a line"
        )
    yield from bags


def _bags_at(fs: Any, place: str) -> Iterator[BagSource]:
    """Those in a folder and below it, or the one file."""
    if fs.isfile(place):
        yield BagSource(_url(fs, place), (_file("", fs.info(place)),))
        return
    infos = {str(name): info for name, info in fs.find(place, detail=True).items()}
    bags = {
        str(PurePosixPath(name).parent) for name in infos if PurePosixPath(name).name == METADATA
    }
    grouped: dict[str, list[BagFile]] = {}
    for name, info in sorted(infos.items()):
        folder = str(PurePosixPath(name).parent)
        if folder in bags:
            own = PurePosixPath(name).name
            if is_storage(own) or own == METADATA or own.endswith("-wal"):
                grouped.setdefault(folder, []).append(_file(own, info))
        elif is_storage(name) and not _of_a_replay(name, infos):
            grouped[name] = [_file("", info)]
    for name, files in grouped.items():
        yield BagSource(_url(fs, name), tuple(files))


def is_storage(name: str) -> bool:
    """Whether a file of that name holds messages."""
    return name.removesuffix(".zstd").endswith(STORAGE_SUFFIXES)


def _of_a_replay(name: str, infos: dict[str, Any]) -> bool:
    """Whether it is what `mafs replay` made of a bag."""
    path = PurePosixPath(name)
    return path.name == "output.mcap" and str(path.with_name("report.json")) in infos


def _file(name: str, info: dict[str, Any]) -> BagFile:
    change = next((str(info[key]) for key in CHANGE_KEYS if info.get(key)), "")
    return BagFile(name, int(info["size"] or 0), change)


def _url(fs: Any, place: str) -> str:
    local = "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,))
    return place if local else str(fs.unstrip_protocol(place))
