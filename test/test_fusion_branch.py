"""Training of the fusion branch alone, from the pixel-wise maximum."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mafs_ros.labels import load_class_table
from mafs_ros.model import build_model
from mafs_ros.model.weights import ModelInfo, load_weights, save_weights
from training import fusion_branch
from training.fusion_start import start_as_maximum

LUMA = torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]


def test_it_starts_as_the_maximum() -> None:
    torch.manual_seed(0)
    network = build_model("mafs-lite", 4).eval()
    start_as_maximum(network)
    visible, infrared = torch.rand(1, 3, 64, 96), torch.rand(1, 1, 64, 96)
    with torch.no_grad():
        fused = network(visible, infrared).fused
    maximum = torch.maximum((visible * LUMA).sum(1, keepdim=True), infrared)
    assert (fused - maximum).abs().max() < 0.02
    assert (fused - maximum).abs().mean() < 0.002


def test_other_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="like the preset mafs-lite"):
        start_as_maximum(build_model("mafs-lite", 4, linear_output=False))


def test_training_keeps_what_the_labels_depend_on(tmp_path: Path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    for kind, shape in (("vi", (96, 96, 3)), ("ir", (96, 96)), ("label", (96, 96))):
        folder = tmp_path / "street" / "train" / kind
        folder.mkdir(parents=True)
        image = rng.integers(0, 4 if kind == "label" else 256, shape, np.uint8)
        assert cv2.imwrite(str(folder / f"a{'.jpg' if kind == 'vi' else '.png'}"), image)
    torch.manual_seed(0)
    table = load_class_table("street").to_dict()
    start, out = tmp_path / "start.safetensors", tmp_path / "out.safetensors"
    save_weights(start, build_model("mafs-lite", 4), ModelInfo("mafs-lite", {}, table, {"x": 1}))
    options = f"--start {start} --data {tmp_path}/street --out {out} --steps 3 --batch 2 --crop 64"
    options += " --simulated 1"
    monkeypatch.setattr(sys, "argv", ["fusion_branch", *options.split()])
    fusion_branch.main()
    before, after = load_weights(start)[0], load_weights(out)[0]
    images = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(before(*images).logits, after(*images).logits)
        assert not torch.equal(before(*images).fused, after(*images).fused)
    info = load_weights(out)[1]
    assert info.training["x"] == 1 and "3 steps" in info.training["fusion_branch"]
