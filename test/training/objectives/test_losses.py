"""Losses against the release's values (test/golden/public_losses.npz) and against hand sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from training.objectives import losses
from training.objectives.targets import binary_target, boundary_target

GOLDEN = dict(np.load(Path(__file__).parents[2] / "golden" / "public_losses.npz"))
Inputs = dict[str, Tensor]


def reconstruction(part: str, variant: str, masked: bool) -> Callable[[Inputs], Tensor]:
    function = {
        "total": losses.reconstruction_loss,
        "grad": losses.reconstruction_gradient_loss,
        "int": losses.reconstruction_intensity_loss,
    }[part]
    options = {} if part == "int" else {"variant": variant}
    return lambda d: function(d["fused"], d["vi_y"], d["hide_vi"] if masked else None, **options)


def fused(d: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    return d["fused"], d["vi_y"], d["ir"]


# Every loss of the file, with the call that must give its value.
RELEASE: dict[str, Callable[[Inputs], Tensor]] = {
    "loss_fusion_intensity_nomask": lambda d: losses.intensity_loss(*fused(d)),
    "loss_fusion_grad": lambda d: losses.gradient_loss(*fused(d)),
    "loss_fusion_total_nomask": lambda d: losses.fusion_loss(*fused(d), intensity_weight=5),
    "loss_fusion_intensity_salmask": lambda d: losses.intensity_loss(*fused(d), d["sal_mask"]),
    "loss_fusion_total_salmask": lambda d: losses.fusion_loss(*fused(d), d["sal_mask"], 5),
    "loss_ohem_a_t0.75_n500": lambda d: losses.ohem_cross_entropy(
        d["logits9"], d["label"], 0.75, 500
    ),
    "loss_ohem_b_t0.7_n2000": lambda d: losses.ohem_cross_entropy(
        d["logits9"], d["label"], 0.7, 2000
    ),
    "loss_ohem_c_t0.05_n300": lambda d: losses.ohem_cross_entropy(
        d["logits9"], d["label"], 0.05, 300
    ),
    "loss_boundary_ce_plain": lambda d: losses.cross_entropy(d["logits2a"], d["boundary"]),
    "loss_boundary_ce_weighted_1.4459_23.7228": lambda d: losses.cross_entropy(
        d["logits2a"], d["boundary"], losses.BOUNDARY_WEIGHTS_MFNET
    ),
    "loss_binary_ce_weighted_1.5121_10.2388": lambda d: losses.cross_entropy(
        d["logits2b"], d["binary"], losses.BINARY_WEIGHTS_MFNET
    ),
    "loss_psfusion_boundary_bce_onehot": lambda d: losses.one_hot_bce(
        d["logits2a"], d["boundary"]
    ),
    "loss_psfusion_binary_bce_onehot_posw_1.4548_19.8962": lambda d: losses.one_hot_bce(
        d["logits2b"], d["binary"], losses.BINARY_POSITIVE_WEIGHTS_PSFUSION
    ),
    "loss_kd_T4_batchmean": lambda d: losses.distillation_loss(
        d["logits9"], d["logits9_teacher"], variant="release"
    ),
    "loss_kd_T1_batchmean": lambda d: losses.distillation_loss(
        d["logits9"], d["logits9_teacher"], 1.0, "release"
    ),
    "loss_cwd_T4_channel": lambda d: losses.channel_distillation_loss(
        d["logits9"], d["logits9_teacher"]
    ),
    **{
        f"loss_re_{name}_{part}": reconstruction(part, variant, masked)
        for part in ("total", "int", "grad")
        for name, variant, masked in (
            ("nomask", "paper", False),
            ("masked_persample", "per_sample", True),
            ("masked_bchw_quirk", "release", True),
        )
    },
    "loss_re_eq13_grad_of_masked": reconstruction("grad", "paper", True),
}


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    arrays = {name: torch.from_numpy(a) for name, a in GOLDEN.items() if a.ndim}
    return {n: a.long() if a.dtype == torch.int16 else a for n, a in arrays.items()}


def test_every_loss_of_the_release_is_covered() -> None:
    assert set(RELEASE) == {name for name in GOLDEN if name.startswith("loss_")}


@pytest.mark.parametrize("name", sorted(RELEASE))
def test_equal_to_the_release(name: str, inputs: Inputs) -> None:
    assert RELEASE[name](inputs).item() == pytest.approx(float(GOLDEN[name]), abs=1e-5, rel=0)


def test_sobel_of_a_ramp() -> None:
    ramp = torch.arange(6.0).expand(1, 1, 5, 6)
    along_x, along_y = losses.sobel(ramp)
    assert (along_x[..., 1:-1, 1:-1] == 8).all()
    assert (along_y[..., 1:-1, 1:-1] == 0).all()


def test_second_order_gradient_of_parabola_and_saddle() -> None:
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    # [1,0,-2,0,1] on x^2 gives 8, smoothing sums to 16, normalised by 64; [-1,-2,0,2,1] on x
    # gives 8, squared and normalised by 36.
    parabola = losses.second_order_gradient((x * x)[None, None])
    torch.testing.assert_close(parabola[inner], torch.full((1, 1, 5, 5), 8 * 16 / 64))
    saddle = losses.second_order_gradient((x * y)[None, None])
    torch.testing.assert_close(saddle[inner], torch.full((1, 1, 5, 5), 64 / 36))
    flat = losses.second_order_gradient(torch.full((1, 1, 6, 6), 0.25))
    torch.testing.assert_close(flat, torch.zeros(1, 1, 6, 6), rtol=0, atol=1e-7)


def test_masked_reconstruction_looks_at_masked_pixels_only() -> None:
    image = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    hidden = torch.zeros_like(image)
    hidden[..., :16] = 1
    wrong_where_visible = image.clone()
    wrong_where_visible[..., 20:] = 0  # beyond the gradient filter's reach
    for variant in ("paper", "per_sample", "release"):
        loss = losses.reconstruction_loss(wrong_where_visible, image, hidden, variant)
        assert loss == 0
        assert losses.reconstruction_loss(0 * image, image, hidden, variant) > 0


def test_release_broadcast_is_per_sample_for_one_sample(inputs: Inputs) -> None:
    fused, image, hidden = (inputs[name][:1] for name in ("fused", "vi_y", "hide_vi"))
    torch.testing.assert_close(
        losses.reconstruction_gradient_loss(fused, image, hidden, "release"),
        losses.reconstruction_gradient_loss(fused, image, hidden, "per_sample"),
    )


def test_unknown_variants_are_named() -> None:
    image, logits = torch.rand(1, 1, 8, 8), torch.rand(1, 3, 4, 4)
    with pytest.raises(ValueError, match="'eq13'"):
        losses.reconstruction_gradient_loss(image, image, image, "eq13")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'reverse'"):
        losses.distillation_loss(logits, logits, 4.0, "reverse")  # type: ignore[arg-type]


def test_ohem_by_hand() -> None:
    # Losses of two-class pixels with the true class at probability p: -log p.
    p = torch.tensor([0.9, 0.8, 0.6, 0.3])
    logits = torch.stack([p.log(), (1 - p).log()])[None, :, None]
    labels = torch.zeros(1, 1, 4, dtype=torch.int64)
    hard = -(math.log(0.6) + math.log(0.3)) / 2
    assert losses.ohem_cross_entropy(logits, labels, 0.7, 1).item() == pytest.approx(hard)
    # Two are below 0.7, which is not more than 2 or 3: the worst 2 or 3.
    assert losses.ohem_cross_entropy(logits, labels, 0.7, 2).item() == pytest.approx(hard)
    worst3 = -(math.log(0.8) + math.log(0.6) + math.log(0.3)) / 3
    assert losses.ohem_cross_entropy(logits, labels, 0.7, 3).item() == pytest.approx(worst3)
    everything = -p.log().mean().item()
    assert losses.ohem_cross_entropy(logits, labels, 0.7, 99).item() == pytest.approx(everything)
    labels[..., 3] = 255
    one = losses.ohem_cross_entropy(logits, labels, 0.7, 1)
    assert one.item() == pytest.approx(-math.log(0.6))


def test_dice_by_hand() -> None:
    """Two classes, one of two pixels each, equal logits: p = 1/2 everywhere."""
    labels = torch.tensor([[[0, 1, losses.IGNORE]]])
    even = torch.zeros(1, 2, 1, 3)
    assert losses.dice_loss(even, labels).item() == pytest.approx(1 - 2 * 0.5 / (1 + 1))
    right = torch.tensor([[[[50.0, -50.0, -50.0]], [[-50.0, 50.0, 50.0]]]])
    assert losses.dice_loss(right, labels).item() == pytest.approx(0, abs=1e-6)
    # A class that the labels lack does not count, the pixels given to it do.
    absent = torch.tensor([[[0, 0]]])
    assert losses.dice_loss(torch.zeros(1, 2, 1, 2), absent).item() == pytest.approx(1 - 2 / 3)


def test_distillation_of_the_paper_by_hand() -> None:
    student = torch.tensor([0.8, 0.2]).log().mul(4).reshape(1, 2, 1, 1).expand(2, 2, 3, 5)
    teacher = torch.tensor([0.5, 0.5]).log().mul(4).reshape(1, 2, 1, 1).expand(2, 2, 3, 5)
    pixel = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    assert losses.distillation_loss(student, teacher).item() == pytest.approx(15 * pixel)
    pixel = 0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2)
    release = losses.distillation_loss(student, teacher, variant="release")
    assert release.item() == pytest.approx(16 * pixel)


@pytest.mark.parametrize(
    "distill",
    [
        losses.distillation_loss,
        lambda s, t: losses.distillation_loss(s, t, variant="release"),
        losses.channel_distillation_loss,
    ],
)
def test_distillation_teaches_the_student_only(distill: Callable[..., Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(2, 3, 4, 5, generator=generator, requires_grad=True)
    teacher = torch.randn(2, 3, 4, 5, generator=generator, requires_grad=True)
    distill(student, teacher).backward()
    assert student.grad is not None
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None
    assert distill(teacher.detach(), teacher).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.one_hot_bce])
def test_ignored_pixels_do_not_count(loss: Callable[..., Tensor]) -> None:
    logits = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    target = torch.zeros(2, 4, 4, dtype=torch.int64)
    target[:, 1] = 1
    target[1] = 255
    torch.testing.assert_close(
        loss(logits, target, (1.5, 10.0)), loss(logits[:1], target[:1], (1.5, 10.0))
    )


@pytest.mark.parametrize(
    "loss",
    [losses.cross_entropy, losses.one_hot_bce, losses.ohem_cross_entropy, losses.dice_loss],
)
def test_nothing_but_ignored_pixels_is_zero_with_zero_gradient(
    loss: Callable[..., Tensor],
) -> None:
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    value = loss(logits, torch.full((1, 4, 4), 255))
    value.backward()
    assert value == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_auxiliary_losses_are_the_sums_over_the_scales() -> None:
    generator = torch.Generator().manual_seed(0)
    aux = [torch.randn(2, n, 8, 8, generator=generator) for n in (2, 4, 2, 4, 2, 4)]
    labels = torch.randint(0, 4, (2, 8, 8), generator=generator)
    labels[0, 0] = 255
    binary, boundary = binary_target(labels), boundary_target(labels, 1)
    got = losses.auxiliary_losses(aux, labels, binary, boundary)
    assert list(got) == ["semantic", "binary", "boundary"]
    weights = losses.BINARY_WEIGHTS_MFNET
    expected = {
        "semantic": sum(losses.ohem_cross_entropy(aux[i], labels) for i in (1, 3, 5)),
        "binary": sum(losses.cross_entropy(aux[i], binary, weights) for i in (0, 2)),
        "boundary": losses.cross_entropy(aux[4], boundary),
    }
    torch.testing.assert_close(got, expected)
    three: list[losses.TwoChannelTask] = ["boundary"] * 3
    assert set(losses.auxiliary_losses(aux, labels, binary, boundary, two_channel=three)) == {
        "semantic",
        "boundary",
    }
    with pytest.raises(ValueError, match="got 0 auxiliary maps for 3 scales"):
        losses.auxiliary_losses((), labels, binary, boundary)


def test_gradients_reach_the_images(inputs: Inputs) -> None:
    image = inputs["fused"].clone().requires_grad_()
    total = losses.fusion_loss(image, inputs["vi_y"], inputs["ir"])
    total = total + losses.reconstruction_loss(image, inputs["vi_y"], inputs["hide_vi"])
    total.backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert (image.grad != 0).float().mean() > 0.9


def test_gradient_losses_keep_float32_under_autocast(inputs: Inputs) -> None:
    triple = fused(inputs)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = losses.gradient_loss(*triple), losses.reconstruction_loss(*triple[:2])
    full = losses.gradient_loss(*triple), losses.reconstruction_loss(*triple[:2])
    torch.testing.assert_close(mixed, full, rtol=0, atol=0)
