"""What a path is that is no readable bag, and what helps: words for `BagError`."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from mcap.reader import make_reader

STORAGE_SUFFIXES = (".mcap", ".db3")
MAGIC = {  # first bytes -> what they are of
    b"#ROSBAG V": "a ROS 1 bag",
    b"\x89MCAP0\r\n": "an mcap file",
    b"SQLite format 3\0": "an SQLite file",
    b"version https://git-lfs": "a Git LFS pointer",
}
PACKED = {  # first bytes -> the command that unpacks it
    b"\x28\xb5\x2f\xfd": "zstd -d",
    b"PK\x03\x04": "unzip",
    b"\x1f\x8b": "gunzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ\0": "unxz",
    b"7z\xbc\xaf\x27\x1c": "7z x",
}
STORAGES = {".mcap": "an mcap file", ".db3": "an SQLite file"}
RECORD_ANEW = (
    "record sensor_msgs/Image with `ros2 bag record`, or export the images and make a bag of them "
    "(`mafs bag make`)"
)


def storage_files(path: Path) -> list[Path]:
    """The .mcap and .db3 files, packed ones too, in a folder, or the file itself."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [f for f in files if f.name.removesuffix(".zstd").endswith(STORAGE_SUFFIXES)]


def foreign(path: Path) -> str:
    """What a path is that never was a rosbag2, with what to do; '' where it may be one."""
    files = storage_files(path) or ([path] if path.is_file() else sorted(path.glob("*.bag")))
    if not files and not (path / "metadata.yaml").exists():
        return _folder(path)
    for file in files:
        kind = _kind(file)
        if kind == "a ROS 1 bag":
            rename = "" if file.suffix == ".bag" else f"name it {file.with_suffix('.bag')}, then "
            return (
                f"{file}: is a ROS 1 bag, expected a rosbag2; {rename}`rosbags-convert --src "
                f"{file.with_suffix('.bag')} --dst NEW` makes one of it"
            )
        if kind == "a Git LFS pointer":
            return f"{file}: is a Git LFS pointer, not the file itself: `git lfs pull` fetches it"
        if kind == "an mcap file" and (messages := _messages(file)):
            return f"{file}: holds {messages}, expected those of ROS 2 (cdr): {RECORD_ANEW}"
        if file.suffix != ".zstd" and (command := _unpacking(file)):
            return f"{file}: is packed: unpack it (`{command} {file}`) and give what comes out"
    if path.is_file() and not path.name.endswith(STORAGE_SUFFIXES):
        what = f"is {_kind(path)}" if _kind(path) else "is not a bag"
        return f"{path}: {what}, expected a rosbag2 folder, .mcap or .db3 file"
    return ""


def damage(path: Path) -> str:
    """What is wrong with the files of a bag, with what to do; '' where nothing is found."""
    for file in storage_files(path):
        if file.suffix == ".zstd":
            continue
        if not file.stat().st_size:
            return f"{file} is empty (0 bytes): copy it again, or nothing was recorded"
        kind, expected = _kind(file), STORAGES[file.suffix]
        if kind in STORAGES.values() and kind != expected:
            return f"{file} is {kind}: name it so (.mcap, .db3), and `ros2 bag reindex {path}`"
        if kind == "an SQLite file" and not _tables(file):
            return (
                f"{file} holds no tables: what was recorded was still in {file.name}-wal when it "
                f"was copied; copy {file.name}-wal too, to the same folder"
            )
    return ""


def unclosed(path: Path) -> str:
    """Whether part of a bag still lies in a -wal file, which rosbags does not read; '' if not."""
    for file in storage_files(path):
        if has_wal(file):
            return (
                f"{file}: was not closed by the recorder, its newest messages lie in "
                f"{file.name}-wal; `sqlite3 {file} 'PRAGMA wal_checkpoint(TRUNCATE)'` puts them in"
            )
    return ""


def has_wal(file: Path) -> bool:
    """Whether messages lie in a write-ahead log beside an SQLite file."""
    wal = file.with_name(f"{file.name}-wal")
    return file.suffix == ".db3" and wal.exists() and wal.stat().st_size > 0


def metadata_trouble(path: Path, reason: str) -> str:
    """What rosbags' complaint about metadata.yaml means, with what to do; '' for other ones."""
    storages = {"mcap" if f.suffix == ".mcap" else "sqlite3" for f in storage_files(path)}
    storage = " or ".join(sorted(storages)) or "mcap"
    again = f"`ros2 bag reindex -s {storage} {path}` writes it anew"
    if "files are missing" in reason:
        missing = reason[reason.find("[") :]
        return f"files are missing that metadata.yaml names {missing}: copy them too, or {again}"
    named = re.search(r"storage_identifier: *\"?'?(\w*)", read_text(path / "metadata.yaml"))
    if named is not None and storages and named[1] not in storages:
        return f"metadata.yaml names the storage {named[1]!r}, expected {storage}; {again}"
    if "version" in reason and "not supported" in reason:
        return f"metadata.yaml has a {reason.removesuffix('; please report issue')}; {again}"
    if "Serialization format" in reason or "Compression format" in reason:
        return f"{reason}, expected cdr, and zstd where it is packed: {RECORD_ANEW}"
    if read_text(path / "metadata.yaml").startswith("version https://git-lfs"):
        return "metadata.yaml is a Git LFS pointer, not the file itself: `git lfs pull` fetches it"
    if "YAML" in reason or "metadata" in reason or "codec can't decode" in reason:
        return f"metadata.yaml is damaged; {again}"
    return ""


def read_text(file: Path) -> str:
    """The text of a file as far as it can be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _kind(file: Path) -> str:
    with open(file, "rb") as opened:
        start = opened.read(32)
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), "")


def _unpacking(file: Path) -> str:
    """The command that unpacks a file; '' for one that is not packed."""
    with open(file, "rb") as opened:
        start = opened.read(8)
    command = next((command for magic, command in PACKED.items() if start.startswith(magic)), "")
    return "tar xf" if command and {".tar", ".tgz"} & set(file.suffixes) else command


def _folder(path: Path) -> str:
    bags = sorted(p.parent for p in path.glob("*/metadata.yaml"))
    if not bags:
        return f"{path}: is not a bag: no metadata.yaml and no .mcap or .db3 file"
    names = ", ".join(str(bag) for bag in bags[:5]) + ", ..." * (len(bags) > 5)
    return f"{path}: is not a bag but a folder of {len(bags)}: give one of them ({names})"


def _messages(file: Path) -> str:
    """What messages other than those of ROS 2 an mcap file holds; '' where there is one of ROS 2.

    Told by its index; a file without one is left to the salvage.
    """
    with suppress(Exception), open(file, "rb") as opened:  # each damage has its own kind
        reader = make_reader(opened)
        summary = reader.get_summary()
        if summary is None or not summary.channels:
            return ""
        kinds = {channel.message_encoding for channel in summary.channels.values()}
        if "cdr" in kinds:
            return ""
        schema = next(iter(summary.schemas.values()), None)
        example = f" ({schema.name})" if schema else ""
        names = sorted("ROS 1" if kind == "ros1" else kind or "unknown" for kind in kinds)
        return f"{' and '.join(names)} messages{example}"
    return ""


def _tables(file: Path) -> bool:
    """Whether there is any table, those in a -wal file included; damaged files are said to."""
    mode = "mode=ro" if has_wal(file) else "immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{file.resolve()}?{mode}", uri=True)) as database:
            return database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] > 0
    except sqlite3.Error:
        return True
