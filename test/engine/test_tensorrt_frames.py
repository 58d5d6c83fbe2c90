"""TensorRT's way of a frame, its failures and its cache, over stand-ins for CUDA and TensorRT."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorrt_stub
from gpu_stub import NAME, Gpu

from mafs_ros.base.resources import default_weights
from mafs_ros.engine import attempts
from mafs_ros.engine.cache import entries
from mafs_ros.engine.interface import Engine, GpuLostError
from mafs_ros.engine.job import PLAN, Job

SHAPE = (1, 8, 12)
PASSED = {"fused_levels": 1, "labels_equal": 0.9999, "precision": "fp16"}
Make = Callable[..., Engine]


@pytest.fixture
def gpu() -> Iterator[Gpu]:
    with tensorrt_stub.installed() as stub:
        yield stub


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(attempts.time, "monotonic", clock)
    return clock


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Builds:
    """In place of the process that builds: writes what it is told to, and counts."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.told: dict[str, Any] = {}
        self.check: dict[str, Any] = PASSED
        self.failure: Exception | None = None

    def build(self, job: Job) -> None:
        self.jobs.append(job)
        if self.failure is not None:
            raise self.failure
        folder = Path(job.folder)
        (folder / PLAN).write_text(json.dumps({"shape": job.shape, **self.told}))
        (folder / "check.json").write_text(json.dumps(self.check))

    def stop(self) -> None:
        pass


@pytest.fixture
def builds() -> Builds:
    return Builds()


@pytest.fixture
def make(gpu: Gpu, builds: Builds, tmp_path: Path) -> Make:
    def engine(**options: Any) -> Engine:
        from mafs_ros.engine.tensorrt.engine import TensorRtEngine

        made = TensorRtEngine(default_weights(), tmp_path, **options)
        made._builder = builds  # type: ignore[assignment]
        return made

    return engine


def pair(value: int, shape: tuple[int, ...] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    return np.full((*shape, 3), value, np.uint8), np.full(shape, value + 4, np.uint8)


def assert_of(value: int, results: tuple[np.ndarray, np.ndarray]) -> None:
    """What the stand-in for an engine makes of `pair`."""
    fused, labels = results
    assert (fused == value + 2).all() and (labels == (value + 4) % 9).all()


def test_each_frame_has_its_own_results_by_one_launch(gpu: Gpu, make: Make) -> None:
    engine = make()
    kept = [(value, engine(*pair(value))) for value in (10, 90) * 10]
    for value, results in kept:
        assert_of(value, results)
    assert gpu.replays == 20
    assert engine.description.startswith(f"TensorRT 10.3.0 fp16 on {NAME}; 12x8: fused within 1")


def test_another_size_is_prepared_while_frames_come(make: Make) -> None:
    engine = make()
    engine.prepare(8, 12)
    other = threading.Thread(target=engine.prepare, args=(16, 20))
    other.start()
    for value in (10, 90) * 10:
        assert_of(value, engine(*pair(value)))
    other.join()
    assert_of(30, engine(*pair(30, (1, 16, 20))))


def test_sizes_used_last_are_held(make: Make, builds: Builds) -> None:
    engine = make()
    for width in (12, 16, 20, 24, 12, 28):
        assert_of(7, engine(*pair(7, (1, 8, width))))
    held = [shape[2] for shape in engine._compiled._kept]  # type: ignore[attr-defined]
    assert held == [20, 24, 12, 28] and len(builds.jobs) == 5
    assert_of(7, engine(*pair(7, (1, 8, 16))))
    assert len(builds.jobs) == 5  # of the cache


def test_memory_that_is_short_voids_no_engine(
    make: Make, builds: Builds, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    tensorrt_stub.Engine.short_of_memory = True
    engine = make()
    for _ in range(5):
        with pytest.raises(RuntimeError, match="not the memory .*: Requested 512 MiB"):
            engine(*pair(1))
    assert len(builds.jobs) == 1 and "rebuilding" not in caplog.text
    tensorrt_stub.Engine.short_of_memory = False
    clock.now += attempts.FIRST_PAUSE_S
    assert_of(1, engine(*pair(1)))
    assert len(builds.jobs) == 1


def test_memory_that_is_short_at_reading_voids_no_engine(
    make: Make, builds: Builds, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make()(*pair(1))

    def unread(runtime: Any, plan: bytes) -> None:
        runtime.logger.log(
            tensorrt_stub.ILogger.Severity.ERROR, "[defaultAllocator.cpp] Error (out of memory)"
        )

    with monkeypatch.context() as patch:
        patch.setattr(tensorrt_stub.Runtime, "deserialize_cuda_engine", unread)
        with pytest.raises(RuntimeError, match="cannot read the engine: .*out of memory"):
            make()(*pair(1))
    assert len(builds.jobs) == 1 and "rebuilding" not in caplog.text
    assert_of(1, make()(*pair(1)))


def test_an_engine_that_cannot_be_read_is_rebuilt(
    make: Make, builds: Builds, caplog: pytest.LogCaptureFixture
) -> None:
    builds.told = {"unreadable": "version tag does not match"}
    with pytest.raises(RuntimeError, match="version tag does not match"):
        make()(*pair(1))
    builds.told = {}
    assert_of(1, make()(*pair(1)))
    assert len(builds.jobs) == 2 and "rebuilding" in caplog.text


def test_a_build_that_fails_is_not_repeated_for_every_frame(
    make: Make, builds: Builds, clock: Clock
) -> None:
    builds.failure = RuntimeError("torch-tensorrt cannot build: no converter for cumsum")
    engine = make()
    for pause in (60, 120, 240):
        for _ in range(5):
            with pytest.raises(RuntimeError, match="12x8 images: .* no converter for cumsum"):
                engine(*pair(1))
        clock.now += pause
    assert len(builds.jobs) == 3
    builds.failure = None
    assert_of(1, engine(*pair(1)))


def test_failures_are_remembered_in_bounded_memory(clock: Clock) -> None:
    failed = attempts.Attempts()
    for key in range(3 * attempts.KEPT):
        failed.fail(key, RuntimeError(str(key)))
    assert len(failed._failed) == attempts.KEPT and failed.failure(0) is None
    last = 3 * attempts.KEPT - 1
    for _ in range(20):
        failed.fail(last, RuntimeError("again"))
    clock.now += attempts.LONGEST_PAUSE_S - 1
    assert str(failed.failure(last)) == "again"
    clock.now += 1
    assert failed.failure(last) is None


def test_an_engine_that_fails_its_check_is_kept_and_not_used(
    make: Make, builds: Builds, caplog: pytest.LogCaptureFixture
) -> None:
    builds.check = {"fused_levels": 3, "labels_equal": 1.0, "precision": "fp16"}
    for _ in range(2):
        engine = make()
        with pytest.raises(RuntimeError, match="failed its check: fused within 3 of 255"):
            engine(*pair(1))
        assert "12x8: fused within 3 of 255 of fp32, labels equal 100 %" in engine.description
    assert len(builds.jobs) == 1
    assert {r.fault.name for r in caplog.records if hasattr(r, "fault")} == {"ENGINE_UNEQUAL"}


def test_an_engine_that_cannot_be_recorded_runs_all_the_same(
    gpu: Gpu, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.no_recording = "operation not permitted when stream is capturing"
    engine = make()
    for value in (10, 90):
        assert_of(value, engine(*pair(value)))
    assert gpu.replays == 0
    (record,) = (r for r in caplog.records if r.levelno >= logging.WARNING)
    assert record.fault.name == "ENGINE_GRAPH"
    assert record.getMessage().count(gpu.no_recording) == 2  # of CUDA and of TensorRT


@pytest.mark.parametrize("when", ["frame", "loading"])
def test_a_lost_gpu_is_told(gpu: Gpu, make: Make, when: str) -> None:
    engine = make()
    if when == "frame":
        engine(*pair(1))
    gpu.sticky = "unspecified launch failure"
    with pytest.raises(GpuLostError, match="unspecified launch failure"):
        engine(*pair(1))


def test_options_of_a_build_reach_it_and_are_facts(
    make: Make, builds: Builds, tmp_path: Path
) -> None:
    assert not make().is_kept(8, 12)
    make(workspace_mb=512, precision="fp32")(*pair(1))
    make(precision="fp32")(*pair(1))
    assert [job.workspace_mb for job in builds.jobs] == [512, 0]
    assert builds.jobs[0].precision == "fp32" and builds.jobs[0].shape == SHAPE
    assert make(precision="fp32").is_kept(8, 12) and not make().is_kept(8, 12)


def test_what_tensorrt_says_is_on_our_log(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    make()
    from mafs_ros.engine.tensorrt.messages import LOGGER

    LOGGER.log(tensorrt_stub.ILogger.Severity.WARNING, "Detected\n another GPU")
    LOGGER.log(tensorrt_stub.ILogger.Severity.INFO, "Loaded engine size: 12 MiB")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "TensorRT: Detected another GPU")
    ]


def test_int8_is_for_the_sizes_that_have_a_model(
    make: Make, builds: Builds, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make(precision="int8")
    engine(*pair(10))
    assert "12x8 runs in fp16: no int8: `mafs quantize` has made no model" in caplog.text
    builds.check = {"fused_levels": 16, "labels_equal": 0.981, "precision": "int8"}
    engine(*pair(10, (1, 480, 640)))
    assert [job.precision for job in builds.jobs] == ["fp16", "int8"]
    kept = {entry.facts["precision"]: entry.facts for entry in entries(tmp_path)}
    assert kept["int8"]["built_by"] == "onnx" and len(kept["int8"]["int8_model"]) == 16


def test_an_int8_engine_may_differ_more_and_not_without_limit(make: Make, builds: Builds) -> None:
    builds.check = {"fused_levels": 17, "labels_equal": 0.999, "precision": "int8"}
    with pytest.raises(RuntimeError, match="failed its check"):
        make(precision="int8")(*pair(10, (1, 480, 640)))


def test_the_way_of_a_build_is_told_by_what_is_installed(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mafs_ros.engine.tensorrt import build

    for there, routes in ((True, ["torch-tensorrt", "onnx"]), (False, ["onnx", "onnx"])):
        spec = object() if there else None
        monkeypatch.setattr(build.importlib.util, "find_spec", lambda _, spec=spec: spec)
        assert [build.route(precision) for precision in ("fp16", "int8")] == routes
