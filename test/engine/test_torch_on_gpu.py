"""The torch engine on a GPU, over a stand-in: half precision, one launch a frame, fp32 as fp32."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import gpu_stub
import numpy as np
import pytest
import torch
from gpu_stub import Gpu

from mafs_ros.engine import create_engine
from mafs_ros.engine.cuda import frame
from mafs_ros.engine.graph import DeployedGraph
from mafs_ros.engine.torch import KEPT_SIZES
from mafs_ros.model import build_model
from mafs_ros.model.weights import ModelInfo, load_weights, save_weights
from mafs_ros.perception.classes import load_class_table

SHAPE = (1, 32, 64)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "model.safetensors"
    table = load_class_table("mfnet").to_dict()
    torch.manual_seed(0)
    save_weights(file, build_model("mafs-lite", 9), ModelInfo("mafs-lite", {}, table))
    return file


@pytest.fixture
def gpu() -> Iterator[Gpu]:
    with gpu_stub.installed() as stub, mock.patch.object(frame, "WARM_UP", 1):
        yield stub


def pair(seed: int, shape: tuple[int, ...] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (*shape, 3), np.uint8)
    return rgb, rng.integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_frames_are_one_launch_and_equal_the_graph(
    gpu: Gpu, weights: Path, precision: str
) -> None:
    engine = create_engine("torch", weights, precision=precision)
    used = "fp16" if precision == "auto" else "fp32"
    assert f"{used} on cuda" in engine.description
    graph = DeployedGraph(load_weights(weights)[0], used)
    with torch.inference_mode():
        expected = [graph(*map(torch.from_numpy, pair(seed))) for seed in range(2)]
    results = [(seed, engine(*pair(seed))) for seed in (0, 1, 0, 1)]
    for seed, (fused, labels) in results:
        assert np.abs(fused.astype(int) - expected[seed][0].numpy()).max() <= 1
        assert (labels == expected[seed][1].numpy()).mean() >= 0.99
    assert gpu.replays == 3  # all but the first frame
    before = gpu.launches
    engine(*pair(0))
    assert gpu.launches - before == 4  # two copies in, two out


def test_a_size_that_is_prepared_is_recorded(gpu: Gpu, weights: Path) -> None:
    engine = create_engine("torch", weights)
    engine.prepare(32, 64)
    replays = gpu.replays
    engine(*pair(0))
    assert gpu.replays == replays + 1


def test_confidence_is_computed_in_the_precision_of_the_labels(gpu: Gpu, weights: Path) -> None:
    engine = create_engine("torch", weights)
    fused, labels = engine(*pair(3))
    for _ in range(2):
        also_fused, also_labels, confidence = engine.with_confidence(*pair(3))
        assert np.array_equal(fused, also_fused) and np.array_equal(labels, also_labels)
        assert confidence is not None and confidence.shape == SHAPE and confidence.max() > 0


def test_few_sizes_are_held(gpu: Gpu, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create_engine("torch", weights)
    monkeypatch.setattr(engine._graph, "forward", lambda rgb, thermal: (rgb + 1, thermal % 9))  # type: ignore[attr-defined]
    for width in range(32, 32 + 8 * (KEPT_SIZES + 2), 8):
        engine(*pair(0, (1, 32, width)))
    assert len(engine._frames._kept) == KEPT_SIZES  # type: ignore[attr-defined]


def test_fp32_is_not_tf32(gpu: Gpu, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, seen = create_engine("torch", weights, precision="fp32"), []
    assert torch.backends.cudnn.allow_tf32  # torch's default
    run = engine._graph.forward  # type: ignore[attr-defined]

    def forward(*images: torch.Tensor) -> object:
        seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
        return run(*images)

    monkeypatch.setattr(engine._graph, "forward", forward)  # type: ignore[attr-defined]
    for _ in range(2):
        engine(*pair(0))
    assert seen and set(seen) == {(False, False)}


def test_auto_takes_the_cpu_where_the_gpu_does_not_compute(
    gpu: Gpu, weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert create_engine("auto", weights).name == "torch"
    gpu.no_kernel = "no kernel image is available for execution on the device"
    assert create_engine("auto", weights).name == "openvino"
    assert "no kernel image" in caplog.text
    engine = create_engine("torch", weights)
    assert "fp32 on cpu" in engine.description
    engine(*pair(0))


def test_half_precision_needs_a_gpu(weights: Path) -> None:
    with pytest.raises(ValueError, match="fp16 on an NVIDIA GPU alone"):
        create_engine("torch", weights, precision="fp16")
