"""Training of the fusion branch alone, from the clearer maximum of both images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from layouts import make_layout

from mafs_ros.labels import load_class_table
from mafs_ros.model import build_model
from mafs_ros.model.weights import ModelInfo, load_weights, save_weights
from training import fusion_branch
from training.fusion_start import start_as_clear_maximum
from training.fusion_target import SHARPENING, clear_maximum, sharpening_kernel, tone

LUMA = torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]


def test_the_tone_curve_keeps_the_ends_and_the_order() -> None:
    grey = torch.linspace(0, 1, 256)
    toned = tone(grey)
    assert toned[0] == 0 and torch.isclose(toned[-1], torch.tensor(1.0))
    assert (toned.diff() > 0).all() and (toned >= grey - 1e-6).all()
    assert (toned - grey).max() < 0.031


def test_sharpening_keeps_flat_areas_and_steepens_edges() -> None:
    assert torch.isclose(sharpening_kernel().sum(), torch.tensor(1.0))
    step = torch.full((1, 1, 32, 32), 0.2)
    step[..., 16:] = 0.6
    sharp = clear_maximum(step, torch.zeros_like(step))
    assert torch.allclose(sharp[..., :4], tone(torch.tensor(0.2)), atol=1e-6)
    height = tone(torch.tensor(0.6)) - tone(torch.tensor(0.2))
    rise = sharp[0, 0, 16, 16] - sharp[0, 0, 16, 15]
    assert height < rise < height * (1 + SHARPENING)


def test_it_starts_as_the_clear_maximum() -> None:
    torch.manual_seed(0)
    network = build_model("mafs-lite", 4).eval()
    start_as_clear_maximum(network)
    # Smooth images: the start's sharpening ends at the next cell.
    visible, infrared = (
        torch.nn.functional.interpolate(
            torch.rand(1, channels, 8, 12), (64, 96), mode="bicubic", align_corners=False
        ).clamp(0, 1)
        for channels in (3, 1)
    )
    with torch.no_grad():
        fused = network(visible, infrared).fused
    wanted = clear_maximum((visible * LUMA).sum(1, keepdim=True), infrared).clamp(0, 1)
    assert (fused - wanted).abs().max() < 0.03
    assert (fused - wanted).abs().mean() < 0.004


def test_other_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="like the preset mafs-lite"):
        start_as_clear_maximum(build_model("mafs-lite", 4, linear_output=False))


@pytest.mark.parametrize("fusion", [True, False], ids=["with a branch", "without"])
def test_training_keeps_what_the_labels_depend_on(tmp_path: Path, fusion: bool) -> None:
    data = make_layout("street_rgbt", tmp_path / "street", size=(96, 96))
    torch.manual_seed(0)
    table = load_class_table("street").to_dict()
    start, out = tmp_path / "start.safetensors", tmp_path / "out"
    config = {} if fusion else {"fusion": False}
    save_weights(
        start,
        build_model("mafs-lite", 4, **config),
        ModelInfo("mafs-lite", config, table, {"x": 1}, {"mIoU": 0.5}),
    )
    options = [f"--start={start}", f"--out={out}", "--recipe=street_lite", "--data"]
    options += [f"street_rgbt={data}", "--set", "fusion_branch.optimisation.steps=3"]
    options += ["fusion_branch.optimisation.batch=2", "augmentation.crop=64", "workers=0"]
    options += ["train=[{kind: street_rgbt}]"]
    assert fusion_branch.main(options) == 0
    before, after = load_weights(start)[0], load_weights(out / "model.safetensors")[0]
    images = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(before(*images).logits, after(*images).logits)
        assert after(*images).fused is not None
    info = load_weights(out / "model.safetensors")[1]
    assert info.training["x"] == 1 and info.training["fusion_branch"]["steps"] == 3
    assert info.scores["mIoU"] == 0.5 and info.scores["EN"] > 0
