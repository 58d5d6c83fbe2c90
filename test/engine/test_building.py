"""The process that builds an engine: what it says, how it ends, what it checks."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import stub_build
import tensorrt_stub
import torch

from mafs_ros.base.resources import default_weights
from mafs_ros.engine import building
from mafs_ros.engine.building import Builder
from mafs_ros.engine.job import PLAN, Job

SHAPE = (1, 32, 64)


@pytest.fixture(autouse=True)
def _nothing_ends(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(building, "_ending", False)
    caplog.set_level(logging.INFO)


def job(folder: Path, weights: Path | None = None) -> Job:
    return Job(str(weights or default_weights()), SHAPE, "fp32", str(folder))


def build(monkeypatch: pytest.MonkeyPatch, folder: Path, *command: str) -> None:
    monkeypatch.setattr(building, "COMMAND", (sys.executable, *command))
    Builder().build(job(folder))


def test_an_engine_is_built_and_checked_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build(monkeypatch, tmp_path, stub_build.__file__, "0")
    assert json.loads((tmp_path / PLAN).read_text())["shape"] == list(SHAPE)
    assert json.loads((tmp_path / "check.json").read_text()) == {
        "passed": True,
        "fused_levels": 0,
        "labels_equal": 1.0,
        "precision": "fp32",
    }
    assert "build: fused within 0 of 255 of fp32, labels equal 100 %" in caplog.messages


@pytest.mark.parametrize(("levels", "passed"), [(2, True), (3, False)])
def test_an_engine_that_computes_something_else_fails_its_check(
    levels: int, passed: bool, tmp_path: Path
) -> None:
    with tensorrt_stub.installed():
        from mafs_ros.engine.tensorrt import build_process

        weights = str(default_weights())
        build_process.run(job(tmp_path), stub_build.builder(weights, levels))
    told = json.loads((tmp_path / "check.json").read_text())
    assert told["passed"] is passed and told["fused_levels"] == levels


def test_a_failing_build_tells_the_cause_and_not_thousands_of_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = (
        "import json, sys\n"
        "for n in range(5000): print(f'[TRT] [V] layer {n}', file=sys.stderr)\n"
        "print('[TRT] [E] Error Code 4: no tactic', file=sys.stderr)\n"
        "print(json.dumps({'level': 50, 'text': 'cannot build'}))\n"
        "sys.exit(1)"
    )
    with pytest.raises(RuntimeError, match=r"^cannot build: \[TRT\] \[E\] Error Code 4: no tac"):
        build(monkeypatch, tmp_path, "-c", code)
    assert not caplog.records


def test_a_crash_is_an_error_with_its_last_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = "import os; print('corrupted size', flush=True); os.abort()"
    with pytest.raises(RuntimeError, match="ended with signal 6: corrupted size"):
        build(monkeypatch, tmp_path, "-c", code)


def test_a_build_has_a_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(building, "LIMIT_S", 0.2)
    with pytest.raises(RuntimeError, match="longer than 0 minutes"):
        build(monkeypatch, tmp_path, "-c", "import time; time.sleep(600)")


def hanging(builder: Builder, folder: Path, caplog: Any) -> tuple[threading.Thread, list[str]]:
    """A build that does not end by itself, once it has begun."""
    errors: list[str] = []

    def run() -> None:
        try:
            builder.build(job(folder))
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    while not any("begun" in line for line in caplog.messages):
        time.sleep(0.01)
    return thread, errors


@pytest.mark.parametrize("everything", [False, True])
def test_a_build_can_be_stopped_and_leaves_no_process(
    everything: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any
) -> None:
    code = "import json, time; print(json.dumps({'level': 20, 'text': 'begun'}), flush=True)\n"
    command = (sys.executable, "-c", code + "time.sleep(600)")
    monkeypatch.setattr(building, "COMMAND", command)
    builder = Builder()
    thread, errors = hanging(builder, tmp_path, caplog)
    process = builder._process
    assert process is not None
    building.end_all_builds() if everything else builder.stop()
    thread.join(10)
    assert errors == ["the build was stopped"] and process.poll() is not None
    with pytest.raises(RuntimeError, match="stopped"):
        (Builder() if everything else builder).build(job(tmp_path))


def test_the_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\n"
        "from mafs_ros.engine.tensorrt.build_process import end_with\n"
        "end_with(int(sys.argv[1])); print(os.getpid(), flush=True); time.sleep(600)"
    )
    read, write = os.pipe()
    if (parent := os.fork()) == 0:  # dies without a word, as by SIGKILL
        import subprocess

        stub = f"import tensorrt_stub\nwith tensorrt_stub.installed():\n exec({code!r})"
        process = subprocess.Popen(
            [sys.executable, "-c", stub, str(os.getpid())],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert process.stdout is not None
        os.write(write, process.stdout.readline())
        os._exit(0)
    child = int(os.read(read, 20))
    os.waitpid(parent, 0)
    while Path(f"/proc/{child}").exists() and "Z" not in _state(child):
        time.sleep(0.01)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


# torch-tensorrt


@pytest.fixture
def torch_build() -> Iterator[tuple[Any, mock.Mock]]:
    """Our file over torch-tensorrt, and in its place something that can be told what to do."""
    library = ModuleType("torch_tensorrt")
    library.__version__ = "2.8.0"  # type: ignore[attr-defined]
    convert = mock.Mock(return_value=b"plan")
    library.dynamo = mock.Mock(  # type: ignore[attr-defined]
        convert_exported_program_to_serialized_trt_engine=lambda program, **kw: convert(**kw)
    )
    conversion = mock.Mock(dynamo_tensorrt_converter=lambda *_, **__: lambda function: function)
    stubs = {
        "torch_tensorrt": library,
        "torch_tensorrt.dynamo": library.dynamo,  # type: ignore[attr-defined]
        "torch_tensorrt.dynamo.conversion": conversion,
    }
    with (
        tensorrt_stub.installed(),
        tensorrt_stub.modules(**stubs),
        mock.patch("importlib.util.find_spec", return_value=None),
    ):
        from mafs_ros.engine.tensorrt import torch_build as module

        yield module, convert


class Tiny(torch.nn.Module):
    """In place of a deployed graph."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, rgb: torch.Tensor, thermal: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (rgb * self.scale).to(torch.uint8), thermal


def test_the_error_of_a_build_is_what_torch_tensorrt_logged(
    torch_build: tuple[Any, mock.Mock],
) -> None:
    """2.8 logs why, goes on, and ends in an error of its own."""
    module, convert = torch_build

    def like_2_8(**settings: Any) -> bytes:
        for _ in range(2):
            logging.getLogger("torch_tensorrt [TensorRT Conversion Context]").error(
                "Error Code 2: OutOfMemory\n(Requested size was 8589934592 bytes.)"
            )
        return serialized  # type: ignore[name-defined, no-any-return]  # noqa: F821

    convert.side_effect = like_2_8
    with pytest.raises(RuntimeError, match="2.8.0 cannot build the engine") as raised:
        module.build_plan(Tiny(), SHAPE, "fp32")
    assert str(raised.value).count("OutOfMemory (Requested size was 8589934592") == 1
    convert.side_effect = RuntimeError("no converter for cumsum")
    with pytest.raises(RuntimeError, match="the engine: no converter for cumsum"):
        module.build_plan(Tiny(), SHAPE, "fp32")


def test_settings_hold_the_workspace(torch_build: tuple[Any, mock.Mock], tmp_path: Path) -> None:
    def convert(program, *, workspace_size, disable_tf32, **kwargs):
        """Some of what every release takes."""

    settings = torch_build[0].build_settings(convert, "fp32", tmp_path, 512)
    assert settings == {"disable_tf32": True, "workspace_size": 512 << 20}
