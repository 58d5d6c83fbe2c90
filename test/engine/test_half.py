"""The deployed graph in half precision against fp32, both on the CPU."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mafs_ros.base.resources import default_weights
from mafs_ros.engine.graph import DeployedGraph
from mafs_ros.model import build_model
from mafs_ros.model.inn import InvertibleConv
from mafs_ros.model.mafs import Mafs
from mafs_ros.model.weights import load_weights
from mafs_ros.perception.thermal import ThermalScaler
from mafs_ros.simulation import StreetSimulation

PAIRS = ("01190N", "01194N")


def compare(network: Mafs, rgb: np.ndarray, thermal: np.ndarray) -> tuple[int, float]:
    """Largest difference of the fused images in grey levels, share of equal labels."""
    images = torch.from_numpy(rgb)[None], torch.from_numpy(thermal)[None]
    with torch.inference_mode():
        fused, labels = DeployedGraph(network)(*images)
        half_fused, half_labels = DeployedGraph(network, "fp16")(*images)
    difference = (fused.int() - half_fused.int()).abs().max().item()
    return int(difference), (labels == half_labels).float().mean().item()


@pytest.fixture(scope="module")
def shipped() -> Mafs:
    return load_weights(default_weights())[0]


def test_on_the_simulated_street(shipped: Mafs) -> None:
    frame = StreetSimulation(seed=5, height=240, width=320).frame(1.0)
    difference, equal = compare(
        shipped, frame.rgb, ThermalScaler("percentile")(frame.thermal, 0.0)
    )
    assert difference <= 2 and equal >= 0.995


@pytest.mark.parametrize("name", PAIRS)
def test_on_real_pairs(name: str, shipped: Mafs, shared_data: Path) -> None:
    folder = shared_data / "street_rgbt" / "test"
    rgb = cv2.imread(str(folder / "vi" / f"{name}.jpg"))[:, :, ::-1].copy()
    thermal = cv2.imread(str(folder / "ir" / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
    difference, equal = compare(shipped, rgb, thermal)
    assert difference <= 2 and equal >= 0.995


def test_half_does_not_touch_the_network_it_is_made_of(shipped: Mafs) -> None:
    before = {key: value.clone() for key, value in shipped.state_dict().items()}
    DeployedGraph(shipped, "fp16")
    after = shipped.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_what_is_half_and_what_is_not() -> None:
    graph = DeployedGraph(build_model("mafs-lite", 4), "fp16")
    for name, module in graph.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            assert module.weight.dtype == torch.float16, name
        if isinstance(module, (torch.nn.GroupNorm, InvertibleConv)):
            assert {p.dtype for p in module.parameters()} == {torch.float32}, name


def test_large_statistics_survive() -> None:
    """A variance beyond half: plain half weights would divide by infinity."""
    torch.manual_seed(0)
    network = build_model("mafs-lite", 4).eval()
    trunk = network.encoder.visible_trunk
    for module in trunk.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.mul_(1e6)
            module.weight.data.mul_(1e3)
    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    difference, equal = compare(network, rgb, rgb[:, :, 0].copy())
    assert difference <= 2 and equal >= 0.995


def test_another_precision_is_named() -> None:
    with pytest.raises(ValueError, match="one of fp32, fp16, got 'fp8'"):
        DeployedGraph(build_model("mafs-lite", 4), "fp8")
