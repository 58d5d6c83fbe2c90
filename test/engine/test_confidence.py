"""The second form of the graph: labels with their confidence."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from untrained import FEW, save_untrained

from mafs_ros.base.resources import default_weights
from mafs_ros.engine import create_engine
from mafs_ros.engine.cache_folder import default_cache_dir
from mafs_ros.engine.checks import FORMAT, check_file, keep_checks, read_checks
from mafs_ros.engine.fingerprint import code_hash, file_hash
from mafs_ros.engine.interface import Engine, Image
from mafs_ros.engine.while_compiling import WhileCompiling
from mafs_ros.model.weights import WeightsError, load_weights, read_info, save_weights
from mafs_ros.perception.thermal import ThermalScaler
from mafs_ros.simulation import StreetSimulation


def street(height: int, width: int) -> tuple[Image, Image]:
    """A batch of one simulated pair: rgb [1, H, W, 3], thermal [1, H, W]."""
    frame = StreetSimulation(seed=5, height=height, width=width).frame(1.0)
    return frame.rgb[None], ThermalScaler("percentile")(frame.thermal, 0.0)[None]


def check_engines(weights: Path, cache_dir: Path, size: tuple[int, int]) -> None:
    """Both give 255 times the largest softmax of the network's own logits by the temperature."""
    rgb, thermal = street(*size)
    network, info = load_weights(weights)
    with torch.inference_mode():
        visible = torch.from_numpy(rgb).permute(0, 3, 1, 2) / 255
        logits = network(visible, torch.from_numpy(thermal)[:, None] / 255).logits
    scaled = logits.double().numpy() / info.temperature
    wanted = 255 / np.exp(scaled - scaled.max(1, keepdims=True)).sum(1)
    assert np.ptp(wanted) > 20
    for name in ("torch", "openvino"):
        engine = create_engine(name, weights, precision="fp32", cache_dir=cache_dir)
        fused, labels = engine(rgb, thermal)
        other_fused, other_labels, confidence = engine.with_confidence(rgb, thermal)
        assert confidence is not None
        assert confidence.dtype == np.uint8 and confidence.shape == (1, *size)
        assert np.abs(confidence - wanted).max() <= 1
        assert np.abs(fused.astype(int) - other_fused).max() <= 1
        assert (labels == other_labels).mean() >= 0.999


def test_engines_give_the_softmax_at_the_temperature() -> None:
    """At no multiple of 32; of logits that are laid out from cells."""
    check_engines(default_weights(), default_cache_dir(), (97, 131))


def test_also_of_logits_that_are_resized(tmp_path: Path) -> None:
    """Large ones, as an untrained network is as sure of one class as of another; by 1.5."""
    weights = tmp_path / "model.safetensors"
    network, info = load_weights(save_untrained(weights, **FEW, subpixel_logits=False))
    assert network.segmentation_decoder is not None
    last = network.segmentation_decoder.head.semantic
    with torch.no_grad():
        last.weight.mul_(300)
        last.bias.zero_()
    save_weights(weights, network, dataclasses.replace(info, confidence={"temperature": 1.5}))
    check_engines(weights, tmp_path / "cache", (61, 93))


def test_an_int8_model_gives_it_and_labels_as_before() -> None:
    engine = create_engine("openvino", default_weights(), cache_dir=default_cache_dir())
    if "int8 at 640x480" not in engine.description:
        pytest.skip("this CPU has no fast int8")
    images = street(480, 640)
    fused, labels = engine(*images)
    other_fused, other_labels, confidence = engine.with_confidence(*images)
    assert np.abs(fused.astype(int) - other_fused).max() <= 1
    assert (labels == other_labels).mean() >= 0.9999
    eager = create_engine("torch", default_weights())
    assert confidence is not None
    exact = eager.with_confidence(*images)[2]
    assert exact is not None
    assert np.abs(confidence.astype(int) - exact).mean() < 4  # of 255


class WithoutConfidence(Engine):
    name, description = "plain", "an engine for tests"

    def __init__(self) -> None:
        self.model_info = read_info(default_weights())

    def run(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        return rgb, thermal


class Confident(WithoutConfidence):
    """Compiles its confidence when it may."""

    gives_confidence = True

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()
        self.fails = False
        self.compiled: list[tuple[int, int]] = []

    def prepare_confidence(self, height: int, width: int) -> None:
        assert self.may.wait(30)
        if self.fails:
            raise RuntimeError("out of memory")
        self.compiled.append((height, width))

    def run_with_confidence(self, rgb: Image, thermal: Image) -> tuple[Image, Image, Image]:
        assert rgb.shape[1:3] in self.compiled
        return rgb, thermal, thermal + 1


def compiler() -> threading.Thread:
    (found,) = [t for t in threading.enumerate() if t.name == "mafs compiler"]
    return found


def black(height: int, width: int) -> tuple[Image, Image]:
    return np.zeros((1, height, width, 3), np.uint8), np.zeros((1, height, width), np.uint8)


def test_frames_go_on_without_it_while_it_compiles() -> None:
    engine = Confident()
    steady = WhileCompiling(engine)
    assert steady.gives_confidence
    for _ in range(3):
        assert steady.with_confidence(*black(48, 64))[2] is None
    assert engine.compiled == []
    thread = compiler()
    engine.may.set()
    thread.join(30)
    assert (steady.with_confidence(*black(48, 64))[2] == 1).all()
    engine.may.clear()
    assert steady.with_confidence(*black(32, 64))[2] is None  # of a new size
    assert engine.compiled == [(48, 64)]
    engine.may.set()


def test_where_it_cannot_be_compiled_frames_go_on(caplog: pytest.LogCaptureFixture) -> None:
    engine = Confident()
    engine.fails = True
    engine.may.set()
    steady = WhileCompiling(engine)
    for _ in range(3):
        fused, labels, confidence = steady.with_confidence(*black(48, 64))
        assert fused.shape == (1, 48, 64, 3) and labels.shape == (1, 48, 64)
        assert confidence is None
        for thread in threading.enumerate():
            if thread.name == "mafs compiler":
                thread.join(30)
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "64x48 images, which come without confidence: out of memory" in warning


def test_an_engine_without_it_says_so() -> None:
    assert not WhileCompiling(WithoutConfidence()).gives_confidence
    with pytest.raises(ValueError, match="'plain' gives no confidence: choose openvino or torch"):
        WithoutConfidence().with_confidence(*black(48, 64))


def test_a_temperature_is_kept_and_checked(tmp_path: Path) -> None:
    network, info = load_weights(default_weights())
    weights = tmp_path / "model.safetensors"
    for temperature in (1.5, 0.0, float("nan")):
        changed = dataclasses.replace(info, confidence={"temperature": temperature})
        save_weights(weights, network, changed)
        if temperature == 1.5:
            assert read_info(weights).temperature == temperature
        else:
            with pytest.raises(WeightsError, match="got confidence temperature"):
                read_info(weights)
    assert dataclasses.replace(info, confidence={}).temperature == 1


def test_checks_survive_another_description(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"before")
    facts = {
        "format": FORMAT,
        "weights_sha256": file_hash(weights),
        "code_sha256": code_hash("openvino"),
        "size": [48, 64],
        "precisions": {"bf16": {"passed": True, "median_ms": 3.0}},
    }
    valid, void = check_file(weights, (48, 64)), check_file(weights, (96, 128))
    valid.write_text(json.dumps(facts))
    void.write_text(json.dumps({**facts, "size": [96, 128], "weights_sha256": "other"}))
    with keep_checks(weights):
        weights.write_bytes(b"after")
    (check,) = read_checks(weights).values()
    assert check.size == (48, 64)
    assert check.facts == {**facts, "weights_sha256": file_hash(weights)}
