"""Stage-2 training: a few steps on a tiny data set, resumed."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mafs_ros.model.weights import load_weights
from training import stage2
from training.data import IGNORE, CropSampler, read_pairs

SIZE = (96, 128)


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """A data set in the layout of street_rgbt with a warm bright square as the person."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("a", "b"):
            rgb = rng.integers(0, 255, (*SIZE, 3), np.uint8)
            thermal, labels = np.full(SIZE, 40, np.uint8), np.zeros(SIZE, np.uint8)
            labels[30:60, 40:80], thermal[30:60, 40:80] = 2, 220
            labels[:5] = 7  # a class the street table does not have
            for kind, image in (("vi", rgb), ("ir", thermal), ("label", labels)):
                folder = tmp_path / "street" / split / kind
                folder.mkdir(parents=True, exist_ok=True)
                suffix = ".jpg" if kind == "vi" else ".png"
                assert cv2.imwrite(str(folder / f"{name}{suffix}"), image)
    return tmp_path / "street"


def test_foreign_classes_are_ignored(street: Path) -> None:
    labels = read_pairs(street / "train")[0].labels[0]
    assert set(np.unique(labels)) == {0, 2, IGNORE}


def test_crops_keep_modalities_and_labels_aligned(street: Path) -> None:
    sampler = CropSampler(read_pairs(street / "train"), crop=64, seed=0)
    rgb, thermal, labels = sampler.batch(8)
    assert rgb.shape == (8, 3, 64, 64) and thermal.shape == (8, 1, 64, 64)
    assert rgb.min() >= 0 and rgb.max() <= 1
    person = labels == 2
    assert person.any()
    for image, where in zip(thermal[:, 0], person, strict=True):
        if 50 < where.sum() < 4000:
            assert image[where].mean() > image[~where].mean() + 0.2


def train(street: Path, out: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage2, "load_imagenet_lite0", lambda network: None)
    options = f"--data {street} --out {out} --steps {steps} --batch 2 --crop 64 --simulated 0"
    monkeypatch.setattr(sys, "argv", ["stage2", *options.split(), "--keep", "2"])
    stage2.main()


def test_trains_resumes_and_writes_a_model_file(street: Path, tmp_path, monkeypatch) -> None:
    out = tmp_path / "run"
    train(street, out, 2, monkeypatch)
    first = torch.load(out / "checkpoint.pt", weights_only=True)
    train(street, out, 4, monkeypatch)
    second = torch.load(out / "checkpoint.pt", weights_only=True)
    assert (first["step"], second["step"]) == (2, 4)
    key = "fusion_decoder.output.weight"
    assert not torch.equal(first["network"][key], second["network"][key])
    _, info = load_weights(out / "model.safetensors")
    assert info.training["steps"] == 4
    assert "pseudo-labels" in info.training["data"]


def test_loss_terms_are_those_of_the_paper() -> None:
    """A fused image equal to the pixel-wise maximum of flat sources has no fusion loss."""
    rgb, thermal = torch.full((1, 3, 16, 16), 0.25), torch.full((1, 1, 16, 16), 0.75)
    logits = torch.zeros(1, 4, 16, 16)
    output = stage2.MafsOutput(torch.full((1, 1, 16, 16), 0.75), logits, ())
    losses = stage2.compute_losses(output, rgb, thermal, torch.zeros(1, 16, 16).long())
    assert losses["intensity"] == 0
    assert losses["gradient"].item() == pytest.approx(0, abs=1e-6)
    assert losses["segmentation"].item() == pytest.approx(np.log(4))
