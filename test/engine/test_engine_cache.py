"""The folder of compiled engines: what is used again, what is rebuilt and why; real processes."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mafs_ros.base.resources import default_weights
from mafs_ros.engine import cache, cache_folder

FACTS = {
    "backend": "tensorrt",
    "precision": "fp16",
    "size": "640x480",
    "weights": "w1",
    "graph": "g1",
    "gpu": "Orin (8.7)",
    "tensorrt": "10.3.0",
    "torch": "2.8.0",
}

# A process that fetches; its build says so and waits for a line on stdin.
PROCESS = """
import json, logging, pathlib, sys
from mafs_ros.engine import cache
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
def build(folder):
    print("BUILD", flush=True)
    sys.stdin.readline()
    (folder / "engine.plan").write_text(sys.argv[3])
def load(folder):
    return (folder / "engine.plan").read_text()
print("GOT", cache.fetch(pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]), build, load))
"""


class Builder:
    """A build that counts and a load that reads what it wrote."""

    def __init__(self) -> None:
        self.builds = 0

    def fetch(self, cache_dir: Path | None, **changes: str) -> str:
        return cache.fetch(cache_dir, {**FACTS, **changes}, self.build, self.load)

    def build(self, folder: Path) -> None:
        assert folder.is_dir() and not list(folder.iterdir())
        self.builds += 1
        (folder / "engine.plan").write_text(f"plan {self.builds}")

    @staticmethod
    def load(folder: Path) -> str:
        text = (folder / "engine.plan").read_text()
        if not text.startswith("plan"):
            raise RuntimeError("magic\nnumber")
        return text


@pytest.fixture
def builder() -> Builder:
    return Builder()


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def start(cache_dir: Path, text: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, str(cache_dir), json.dumps(FACTS), text]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], word: str) -> str:
    """Read lines until one has the word; the end of the output fails the test."""
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return line
    pytest.fail(f"no {word}")


def test_an_engine_is_built_once(tmp_path: Path, builder: Builder, caplog) -> None:
    assert [builder.fetch(tmp_path) for _ in range(3)] == ["plan 1"] * 3
    assert "building tensorrt-fp16-640x480-" in caplog.text and "done in" in caplog.text
    (entry,) = cache.entries(tmp_path)
    assert entry.facts == FACTS and entry.size_bytes == len("plan 1")
    assert entry.path.name == cache.entry_name(FACTS)
    assert sorted(path.name for path in entry.path.iterdir()) == ["engine.plan", "entry.json"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gpu": "Thor (11.0)"}, "gpu Orin (8.7) instead of Thor (11.0)"),
        ({"tensorrt": "10.7.0"}, "tensorrt 10.3.0 instead of 10.7.0"),
        ({"torch": "2.13.0"}, "torch 2.8.0 instead of 2.13.0"),
        ({"weights": "w2"}, "weights w1 instead of w2"),
        ({"graph": "g2"}, "graph g1 instead of g2"),
        ({"size": "320x240"}, ""),
        ({"precision": "fp32"}, ""),
    ],
)
def test_other_facts_are_another_engine(tmp_path, builder, changes, said, caplog) -> None:
    builder.fetch(tmp_path)
    caplog.clear()
    assert builder.fetch(tmp_path, **changes) == "plan 2"
    reasons = [line for line in caplog.messages if "is not for this" in line]
    assert len(reasons) == bool(said) and said in "".join(reasons)
    assert builder.fetch(tmp_path) == "plan 1"  # both stay
    assert builder.fetch(tmp_path, **changes) == "plan 2"


def test_an_entry_of_another_machine_under_this_name_is_rebuilt(tmp_path, builder, caplog):
    builder.fetch(tmp_path, gpu="Thor (11.0)")
    (entry,) = cache.entries(tmp_path)
    entry.path.rename(tmp_path / cache.entry_name(FACTS))
    assert builder.fetch(tmp_path) == "plan 2"
    assert "it is foreign: gpu Thor (11.0) instead of Orin (8.7)" in caplog.text


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("engine.plan", b"plan X", "engine.plan is damaged"),
        ("engine.plan", b"plan", "engine.plan is damaged"),
        ("engine.plan", None, "engine.plan is missing"),
        ("entry.json", b"{", "entry.json is missing or damaged"),
        ("entry.json", b"[]", "entry.json is missing or damaged"),
        ("entry.json", b'{"format": 99}', "its format is 99"),
        ("entry.json", None, "entry.json is missing or damaged"),
    ],
)
def test_a_damaged_entry_is_rebuilt(tmp_path, builder, file, content, said, caplog) -> None:
    builder.fetch(tmp_path)
    path = tmp_path / cache.entry_name(FACTS) / file
    path.unlink() if content is None else path.write_bytes(content)
    assert builder.fetch(tmp_path) == "plan 2"
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert line.startswith("rebuilding") and said in line and "\n" not in line
    assert builder.fetch(tmp_path) == "plan 2"


def test_an_entry_that_the_library_refuses_is_rebuilt(tmp_path, builder, caplog) -> None:
    cache.fetch(tmp_path, FACTS, lambda f: (f / "engine.plan").write_text("x") and None, str)
    assert builder.fetch(tmp_path) == "plan 1"
    assert "it cannot be loaded (magic number)" in caplog.text


def test_a_failed_build_leaves_nothing(tmp_path: Path, builder: Builder) -> None:
    def fail(folder: Path) -> None:
        (folder / "engine.plan").write_text("half")
        raise RuntimeError("no such operator")

    with pytest.raises(RuntimeError, match="no such operator"):
        cache.fetch(tmp_path, FACTS, fail, builder.load)
    assert list(tmp_path.iterdir()) == []
    assert builder.fetch(tmp_path) == "plan 1"


# The superuser may write whatever the permissions say, but not there.
@pytest.mark.parametrize("folder", ["/proc/self", "/proc/engines", "FILE", "FILE/below"])
def test_a_folder_that_cannot_be_written_is_found_before_the_build(folder, tmp_path, caplog):
    (tmp_path / "FILE").write_text("")
    assert cache_folder.usable(tmp_path / folder) is None
    (line,) = caplog.messages
    assert "cannot be used" in line and "compiled at every start" in line


def test_a_folder_that_becomes_unusable_costs_time_only(tmp_path, builder, caplog) -> None:
    assert builder.fetch(tmp_path / "gone") == "plan 1"
    assert "the engine is not kept in" in caplog.text
    assert builder.fetch(None) == "plan 2"
    assert list(tmp_path.iterdir()) == []


def test_of_two_processes_one_builds_and_one_waits(tmp_path: Path) -> None:
    first, second = start(tmp_path, "of the first"), None
    try:
        wait_for(first, "BUILD")
        second = start(tmp_path, "of the second")
        assert "640x480" in wait_for(second, "waiting for another process")
        (name,) = [path.name for path in tmp_path.iterdir() if path.suffix == ".partial"]
        assert name == f".{cache.entry_name(FACTS)}.partial" and not cache.entries(tmp_path)
        said = first.communicate("\n")[0]
        assert "GOT of the first" in said and first.returncode == 0
        said = second.communicate()[0]
        assert "GOT of the first" in said and "BUILD" not in said and second.returncode == 0
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.communicate()


def test_a_killed_build_stops_nobody(tmp_path: Path, builder: Builder) -> None:
    process = start(tmp_path, "never")
    try:
        wait_for(process, "BUILD")
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.communicate()
    assert builder.fetch(tmp_path) == "plan 1"
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_a_long_build_says_so_every_few_seconds(builder, caplog, monkeypatch) -> None:
    monkeypatch.setattr("mafs_ros.engine.progress.PROGRESS_S", 0.01)

    def build(folder: Path) -> None:
        while sum(" s" in line and "done" not in line for line in caplog.messages) < 2:
            pass
        builder.build(folder)

    assert cache.fetch(None, FACTS, build, builder.load) == "plan 1"


def test_entries_are_removed_but_not_while_in_use(tmp_path: Path, builder: Builder) -> None:
    builder.fetch(tmp_path)
    (entry,) = cache.entries(tmp_path)

    def remove_while_loading(folder: Path) -> str:
        with pytest.raises(OSError, match="is being built or loaded"):
            cache.remove(entry)
        return "loaded"

    assert cache.fetch(tmp_path, FACTS, builder.build, remove_while_loading) == "loaded"
    cache.remove(entry)
    assert cache.entries(tmp_path) == [] and not entry.path.exists()


def test_the_default_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/caches")
    assert cache_folder.default_cache_dir() == Path("/var/caches/mafs_ros")
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_folder.default_cache_dir() == Path.home() / ".cache" / "mafs_ros"


def test_facts_of_the_graph_name_weights_code_and_size(tmp_path: Path) -> None:
    facts = cache.graph_facts("openvino", "fp32", default_weights(), (1, 480, 640))
    assert facts["size"] == "640x480"
    assert cache.graph_facts("openvino", "fp32", default_weights(), (4, 480, 640)) == {
        **facts,
        "size": "640x480x4",
    }
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"other")
    changed = cache.graph_facts("openvino", "fp32", other, (1, 480, 640))
    assert {key for key in facts if facts[key] != changed[key]} == {"weights"}
