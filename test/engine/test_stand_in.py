"""Another engine serves while one is built for minutes, and where it cannot be built."""

from __future__ import annotations

import logging
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mafs_ros.engine import attempts, while_compiling
from mafs_ros.engine.interface import Engine, GpuLostError
from mafs_ros.engine.while_compiling import WhileCompiling

INFO: Any = SimpleNamespace(class_table={})


class Filling(Engine):
    """Fills its results with a number."""

    name, model_info = "filling", INFO

    def __init__(self, number: int) -> None:
        self.number, self.description, self.closed = number, f"fills with {number}", False

    def run(self, rgb, thermal):
        return np.full_like(rgb, self.number), np.full_like(thermal, self.number)

    def close(self) -> None:
        self.closed = True


class Built(Filling):
    """Is built when `may` says so, fails with `failure`, and has another that stands in."""

    def __init__(self) -> None:
        super().__init__(1)
        self.may, self.builds, self.others = threading.Event(), 0, []
        self.failure: Exception | None = None
        self.stands_in = self.make_other

    def make_other(self) -> Engine:
        self.others.append(Filling(2))
        return self.others[-1]

    def prepare(self, height: int, width: int) -> None:
        self.builds += 1
        self.may.wait(30)
        if self.closed:
            raise RuntimeError("the build was stopped")
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        super().close()
        self.may.set()


def pair(height: int = 8, width: int = 12) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((1, height, width, 3), np.uint8), np.zeros((1, height, width), np.uint8)


def compiled(steady: WhileCompiling) -> None:
    """Wait for the thread that prepares."""
    assert steady._compiler is not None
    steady._compiler.join(30)


def test_another_engine_serves_while_one_is_built() -> None:
    engine = Built()
    steady = WhileCompiling(engine)
    for _ in range(3):
        fused, labels = steady(*pair())
        assert (fused == 2).all() and (labels == 2).all()
    assert engine.builds == 1 and len(engine.others) == 1
    now = time.monotonic()
    assert steady.preparing(now) == ""
    assert steady.preparing(now + 60).startswith("building the engine for 12x8, 6")
    assert steady.description == "fills with 1; meanwhile fills with 2"
    engine.may.set()
    compiled(steady)
    assert (steady(*pair())[0] == 1).all() and engine.others[0].closed
    assert steady.description == "fills with 1" and steady.preparing(now + 60) == ""
    engine.may.clear()
    assert (steady(*pair(16, 16))[0] == 2).all()  # a new size is perceived as it is
    assert (steady(*pair())[0] == 1).all()
    engine.may.set()


def test_where_it_cannot_be_built_the_other_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    monkeypatch.setattr(attempts, "time", SimpleNamespace(monotonic=lambda: now[0]))
    engine = Built()
    engine.may.set()
    engine.failure = RuntimeError("no engine for 12x8 images: out of memory")
    steady = WhileCompiling(engine)
    for _ in range(5):
        assert (steady(*pair())[0] == 2).all()
        compiled(steady)
    assert engine.builds == 1 and len(engine.others) == 1
    (warning,) = (r for r in caplog.records if r.levelno == logging.WARNING)
    assert warning.fault.name == "ENGINE_BUILD" and "out of memory" in warning.getMessage()
    engine.failure = None
    now[0] += attempts.FIRST_PAUSE_S
    steady(*pair())
    compiled(steady)
    assert (steady(*pair())[0] == 1).all() and engine.builds == 2 and engine.others[0].closed


def test_with_a_known_size_the_failure_is_raised() -> None:
    """`configure` fails, and does not serve something else than what was asked for."""
    engine = Built()
    engine.may.set()
    engine.failure = RuntimeError("no engine for 12x8 images: out of memory")
    with pytest.raises(RuntimeError, match="out of memory"):
        WhileCompiling(engine).prepare(8, 12)
    assert not engine.others


def test_an_engine_in_the_cache_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Built()
    engine.may.set()
    monkeypatch.setattr(engine, "is_kept", lambda height, width: True)
    assert (WhileCompiling(engine)(*pair())[0] == 1).all() and not engine.others


def test_a_first_size_that_fails_is_not_compiled_for_every_frame() -> None:
    """Also without another engine: the error stays, the compilation does not repeat."""
    engine = Built()
    engine.stands_in = None  # type: ignore[assignment]
    engine.may.set()
    engine.failure = RuntimeError("out of memory")
    steady = WhileCompiling(engine)
    for _ in range(5):
        with pytest.raises(RuntimeError, match="out of memory"):
            steady(*pair())
    assert engine.builds == 1


def test_a_gpu_that_is_lost_while_an_engine_is_prepared_is_told() -> None:
    engine = Built()
    engine.may.set()
    engine.failure = GpuLostError("the GPU is lost")
    steady = WhileCompiling(engine)
    steady(*pair())
    compiled(steady)
    with pytest.raises(GpuLostError):
        steady(*pair())


def test_the_end_stops_what_is_built(caplog: pytest.LogCaptureFixture) -> None:
    engine = Built()
    steady = WhileCompiling(engine)
    steady(*pair())
    steady.close()
    assert not any(t.name == while_compiling.COMPILER for t in threading.enumerate())
    assert engine.others[0].closed
