"""Images of a size that an engine is not compiled for."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from mafs_ros.base.resources import default_weights
from mafs_ros.engine import create_engine, while_compiling
from mafs_ros.engine.cache_folder import default_cache_dir
from mafs_ros.engine.interface import Engine, Image
from mafs_ros.engine.openvino import convert
from mafs_ros.engine.openvino.rare_sizes import FEW, RareSizes
from mafs_ros.engine.while_compiling import WhileCompiling
from mafs_ros.model.weights import read_info
from mafs_ros.perception.thermal import ThermalScaler
from mafs_ros.simulation import StreetSimulation


class SlowToCompile(Engine):
    """Fused is the RGB image, labels are 2 where it is warm; compiles when it may."""

    name, description = "slow", "an engine for tests"

    def __init__(self) -> None:
        self.model_info = read_info(default_weights())
        self.may = threading.Event()
        self.may.set()
        self.compiling = threading.Event()
        self.sizes: list[tuple[int, ...]] = []
        self.fails = False
        self.kept = False

    def is_kept(self, height: int, width: int) -> bool:
        return self.kept

    def prepare(self, height: int, width: int) -> None:
        if (height, width) in self.soon_ready:
            self.alone = not self.compiling.is_set()
            return
        self.compiling.set()
        assert self.may.wait(30)
        if self.fails:
            raise RuntimeError("out of memory")

    def run(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        self.sizes.append(rgb.shape[1:3])
        return rgb, np.where(thermal > 100, 2, 0).astype(np.uint8)


def pair(height: int, width: int) -> tuple[Image, Image]:
    """A white and warm rectangle in the middle of black."""
    rgb, thermal = (
        np.zeros((1, height, width, 3), np.uint8),
        np.zeros((1, height, width), np.uint8),
    )
    rows, columns = slice(height // 4, height // 2), slice(width // 4, width // 2)
    rgb[:, rows, columns], thermal[:, rows, columns] = 255, 200
    return rgb, thermal


def compiler() -> threading.Thread | None:
    found = [t for t in threading.enumerate() if t.name == "mafs compiler"]
    return found[0] if found else None


@pytest.mark.parametrize("size", [(96, 128), (60, 80), (48, 160), (200, 50)])
def test_a_new_size_is_perceived_while_it_compiles(
    size: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    engine = SlowToCompile()
    steady = WhileCompiling(engine)
    steady.prepare(64, 96)
    engine.may.clear()
    rgb, thermal = pair(*size)
    for _ in range(3):
        fused, labels = steady(rgb, thermal)
        assert fused.shape == rgb.shape and labels.shape == thermal.shape
        assert ((labels == 2) == (thermal > 100)).mean() > 0.9 and set(np.unique(labels)) == {0, 2}
        assert np.abs(fused.astype(int) - rgb).mean() < 20
    assert engine.sizes == [(64, 96)] * 3
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert f"images are {size[1]}x{size[0]} now" in warning and "perceived at 96x64" in warning
    thread = compiler()
    assert thread is not None
    engine.may.set()
    thread.join(30)
    fused, labels = steady(rgb, thermal)
    assert engine.sizes[-1] == size
    assert np.array_equal(fused, rgb) and np.array_equal(labels == 2, thermal > 100)


def test_the_first_size_of_all_is_waited_for() -> None:
    engine = SlowToCompile()
    steady = WhileCompiling(engine)
    steady(*pair(60, 80))
    assert engine.compiling.is_set() and engine.sizes == [(60, 80)]


@pytest.mark.parametrize("kept", [False, True])
def test_for_a_first_size_that_takes_long_one_that_is_soon_ready_stands_in(
    kept: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(while_compiling, "FIRST_WAIT_S", 0.01)
    engine = SlowToCompile()
    engine.soon_ready, engine.kept = ((64, 96),), kept
    engine.may.clear()
    steady = WhileCompiling(engine)
    for _ in range(2):
        fused, _ = steady(*pair(96, 128))
        assert fused.shape == (1, 96, 128, 3)
    assert engine.sizes == [(64, 96)] * 2
    assert engine.alone or kept  # no conversion makes it slow
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "images are 128x96 now" in warning and "perceived at 96x64" in warning
    thread = compiler()
    assert thread is not None
    engine.may.set()
    thread.join(30)
    steady(*pair(96, 128))
    assert engine.sizes[-1] == (96, 128)


def test_a_first_size_that_is_ready_at_once_is_waited_for() -> None:
    engine = SlowToCompile()
    engine.soon_ready, engine.kept = ((64, 96),), True
    steady = WhileCompiling(engine)
    steady(*pair(60, 80))
    assert engine.sizes[0] == (60, 80)


def test_quantised_sizes_are_soon_ready() -> None:
    engine = create_engine("openvino", default_weights(), precision="int8")
    assert engine.soon_ready == ((480, 640),)
    assert create_engine("openvino", default_weights(), precision="fp32").soon_ready == ()


def test_a_size_that_cannot_be_compiled_stays_resized(caplog: pytest.LogCaptureFixture) -> None:
    engine = SlowToCompile()
    steady = WhileCompiling(engine)
    steady.prepare(64, 96)
    engine.fails = True
    steady(*pair(96, 128))
    if (thread := compiler()) is not None:
        thread.join(30)
    engine.compiling.clear()
    fused, _ = steady(*pair(96, 128))
    assert fused.shape == (1, 96, 128, 3) and not engine.compiling.is_set()
    assert "cannot be prepared for 128x96 images" in caplog.text and "out of memory" in caplog.text


@pytest.fixture
def converted_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """For 160x128, in the cache of all tests: converting takes seconds."""
    weights, cache = default_weights(), default_cache_dir()
    engine = create_engine("openvino", weights, precision="fp32", cache_dir=cache)
    graph = engine.source((128, 160))[0]  # type: ignore[attr-defined]
    monkeypatch.setattr(convert, "convert", lambda *arguments: graph.clone())


@pytest.mark.usefixtures("converted_before")
def test_what_the_cache_holds_is_told(tmp_path: Path) -> None:
    weights = default_weights()
    engine = create_engine("openvino", weights, precision="fp32", cache_dir=tmp_path)
    assert not engine.is_kept(128, 160)
    engine.source((128, 160))  # type: ignore[attr-defined]
    assert engine.is_kept(128, 160) and not engine.is_kept(160, 128)
    assert create_engine("openvino", weights, precision="int8").is_kept(480, 640)


@pytest.mark.usefixtures("converted_before")
@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_rare_sizes_run_in_eager_and_frequent_ones_are_compiled(
    precision: str, tmp_path: Path
) -> None:
    engine = create_engine(
        "openvino", default_weights(), precision=precision, cache_dir=tmp_path / "cache"
    )
    mixed = RareSizes(engine, default_weights())
    for number in range(3):
        fused, labels = mixed(*pair(128 + number, 160))
        assert fused.shape == (1, 128 + number, 160, 3)
        assert labels.shape == (1, 128 + number, 160)
    assert not list(tmp_path.rglob("graph.xml"))  # nothing was converted
    # A street, of which labels are sure: of a bare rectangle bf16 may name another half.
    frame = StreetSimulation(seed=5, height=128, width=160).frame(1.0)
    rgb, thermal = frame.rgb[None], ThermalScaler("percentile")(frame.thermal, 0.0)[None]
    eager = [mixed(rgb, thermal) for _ in range(FEW - 1)][-1]
    compiled = mixed(rgb, thermal)
    assert list(tmp_path.rglob("graph.xml"))
    assert np.abs(compiled[0].astype(int) - eager[0]).max() <= (1 if precision == "fp32" else 4)
    assert (compiled[1] == eager[1]).mean() >= 0.99
