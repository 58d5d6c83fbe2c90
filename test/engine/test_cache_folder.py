"""Who may write the folder of compiled engines, what is removed when it is full, what is left."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mafs_ros.engine import cache, cache_folder
from mafs_ros.engine.cache_folder import ENTRY, usable
from mafs_ros.engine.recent import Recent

FACTS = {"backend": "tensorrt", "precision": "fp16", "size": "640x480"}
MB = 10**6
# Loads an entry, as a node does that then runs for a month, and waits for the end of stdin.
USER = """
import json, pathlib, sys
from mafs_ros.engine import cache
cache.fetch(pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]), None, lambda folder: "loaded")
print("LOADED", flush=True)
sys.stdin.read()
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")


def build(folder: Path, name: str, megabytes: int = 1, cache_mb: int = 0) -> Path:
    """An entry of this size in the folder, used now."""
    facts = {**FACTS, "gpu": name}
    cache.fetch(
        folder,
        facts,
        lambda place: (place / "engine.plan").write_bytes(bytes(megabytes * MB)) and None,
        str,
        cache_mb,
    )
    return folder / cache.entry_name(facts)


def used(entry: Path, minute: int) -> None:
    """Have an entry been used at a time, and by nobody since."""
    cache_folder._in_use.clear()
    os.utime(entry / ENTRY, (minute * 60, minute * 60))


def test_the_folder_is_closed_to_others_whatever_the_umask_is(tmp_path):
    before = os.umask(0o002)
    try:
        folder = tmp_path / "cache"
        assert usable(folder) == folder
        assert folder.stat().st_mode & 0o777 == 0o700
        entry = build(folder, "a")
        assert entry.stat().st_mode & 0o777 == 0o700
        assert [path.stat().st_mode & 0o022 for path in entry.iterdir()] == [0, 0]
    finally:
        os.umask(before)


def test_a_folder_of_an_earlier_version_is_used(tmp_path):
    tmp_path.chmod(0o755)
    assert usable(tmp_path) == tmp_path


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_folder_that_others_can_write_is_refused_until_the_advice_is_followed(
    mode, tmp_path, caplog
):
    folder = tmp_path / "engines of mine"
    folder.mkdir()
    folder.chmod(mode)
    assert usable(folder) is None
    (line,) = caplog.messages
    assert "others can write to engines of mine, and an engine is code that is run" in line
    advice = re.search("`(.*)`", line)
    assert advice is not None
    subprocess.run(shlex.split(advice[1]), check=True)
    assert usable(folder) == folder


@needs_root
def test_a_folder_of_another_user_is_refused(tmp_path, caplog):
    os.chown(tmp_path, 12345, 12345)
    assert usable(tmp_path) is None
    assert "belongs to user 12345" in caplog.text
    assert "name a folder of your own: parameter cache_dir" in caplog.text
    assert "chmod" not in caplog.text


def test_a_temporary_folder_of_all_is_not_to_be_closed(tmp_path, caplog):
    tmp_path.chmod(0o1777)
    assert usable(tmp_path) is None
    assert "name a folder of your own" in caplog.text and "chmod" not in caplog.text


def make_writable(entry: Path) -> None:
    (entry / "engine.plan").chmod(0o666)


def give_away(entry: Path) -> None:
    os.chown(entry / "engine.plan", 12345, 12345)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (make_writable, "others can write to engine.plan"),
        pytest.param(give_away, "engine.plan belongs to user 12345", marks=needs_root),
    ],
)
def test_an_entry_that_others_can_have_written_is_rebuilt(spoil, said, tmp_path, caplog):
    """As where a folder was open to all before it was closed."""
    spoil(build(tmp_path, "a"))
    plan = build(tmp_path, "a", megabytes=2) / "engine.plan"
    assert plan.stat().st_size == 2 * MB and plan.stat().st_uid == os.geteuid()
    assert said in caplog.text
    caplog.clear()
    build(tmp_path, "a", megabytes=3)
    assert plan.stat().st_size == 2 * MB and not caplog.messages


def test_compiled_models_that_others_can_have_written_are_removed(tmp_path):
    folder = cache_folder.compiled_folder(tmp_path)
    assert folder is not None and folder.stat().st_mode & 0o777 == 0o700
    for name, mode in (("own.blob", 0o644), ("foreign.blob", 0o666)):
        (folder / name).touch()
        (folder / name).chmod(mode)
    usable(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["own.blob"]
    folder.chmod(0o777)
    assert cache_folder.compiled_folder(tmp_path) is None


def test_what_a_killed_build_left_is_removed_but_not_what_is_built(tmp_path):
    for name in ("killed", "going on"):
        (tmp_path / f".{name}.partial").mkdir()
        (tmp_path / f".{name}.partial" / "engine.plan").touch()
        (tmp_path / f".{name}.lock").touch()
    (tmp_path / ".lonely.lock").touch()
    (tmp_path / ".lockless.partial").mkdir()
    with open(tmp_path / ".going on.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        usable(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".going on.partial", ".going on.lock"}


def test_what_was_used_longest_ago_goes_first(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    entries = {name: build(tmp_path, name) for name in "abc"}
    for minute, name in enumerate("bca"):
        used(entries[name], minute)
    build(tmp_path, "d", cache_mb=3)  # with entry.json each is a little more than 1 MB
    assert [name for name in "abc" if entries[name].exists()] == ["a"]
    assert f"removed {entries['b']}, used longest ago: cache_mb is 3" in caplog.text
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_zero_keeps_all_and_what_was_just_built_stays(tmp_path):
    first = build(tmp_path, "a", cache_mb=0)
    assert build(tmp_path, "b", megabytes=2, cache_mb=0).exists() and first.exists()
    used(first, 0)
    assert build(tmp_path, "c", megabytes=2, cache_mb=1).exists() and not first.exists()


def test_an_engine_that_another_process_uses_stays(tmp_path):
    entry = build(tmp_path, "a")
    used(entry, 0)
    arguments = [sys.executable, "-c", USER, str(tmp_path), json.dumps({**FACTS, "gpu": "a"})]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout is not None and user.stdout.readline() == "LOADED\n"
        used(entry, 0)
        build(tmp_path, "b", cache_mb=1)
        assert entry.exists()
        user.communicate()
    build(tmp_path, "c", cache_mb=1)
    assert not entry.exists()


def test_compiled_models_count_and_go(tmp_path):
    folder = cache_folder.compiled_folder(tmp_path)
    assert folder is not None
    for name, minute in (("old.blob", 0), ("new.blob", 10**8)):
        (folder / name).write_bytes(bytes(MB))
        os.utime(folder / name, (minute * 60, 0))
    build(tmp_path, "a", cache_mb=3)
    assert [path.name for path in folder.iterdir()] == ["new.blob"]


def test_using_an_entry_makes_it_the_last_to_go(tmp_path):
    first, second = build(tmp_path, "a"), build(tmp_path, "b")
    used(first, 0)
    used(second, 1)
    build(tmp_path, "a")  # loads it
    cache_folder._in_use.clear()
    build(tmp_path, "c", cache_mb=3)
    assert first.exists() and not second.exists()


def test_a_lock_whose_file_was_removed_is_not_held(tmp_path):
    """The one who waits for it gets the lock of whoever made the file again."""
    with cache_folder.locked(tmp_path, "x"):
        (tmp_path / ".x.lock").unlink()
        with cache_folder.locked(tmp_path, "x", wait=False):
            assert (tmp_path / ".x.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_the_things_used_last_are_kept():
    made: list[int] = []
    gone: list[str] = []

    def make(key: int) -> str:
        assert sum(k in kept for k in range(9)) < 3  # room is made before
        made.append(key)
        return str(key)

    kept: Recent[int, str] = Recent(3, gone.append)
    for key in (1, 2, 3, 1, 4, 1, 2):
        assert kept.get(key, make) == str(key)
    assert made == [1, 2, 3, 4, 2] and gone == ["2", "3"]
    kept.clear()
    assert gone == ["2", "3", "4", "1", "2"] and 1 not in kept
