"""Teachers: published sizes, costs and weights, any image size, training and evaluation."""

from __future__ import annotations

import re

import pytest
import torch
from released_teachers import image
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from training.teachers import TEACHERS, build_teacher
from training.teachers.segnext import MatrixFactorisation

SMALLEST = ("segnext-t", "segformer-b0", "feedformer-b0")
ADE20K_CLASSES = 150

# Parameters in millions and GMAC at 512x512 with ADE20K's 150 classes: SegNeXt Tables 2 and 9
# (SegFormer's figures are in Table 9 too; B5: SegFormer's Table 1, at 640x640). FeedFormer's
# abstract: B0 computes 7.1 % less than SegFormer-B0.
PUBLISHED = {
    "segnext-t": (4.3, 6.6),
    "segnext-s": (13.9, 15.9),
    "segnext-b": (27.6, 34.9),
    "segnext-l": (48.9, 70.0),
    "segformer-b0": (3.8, 8.4),
    "segformer-b1": (13.7, 15.9),
    "segformer-b2": (27.5, 62.4),
    "segformer-b3": (47.3, 79.0),
    "segformer-b5": (84.7, 183.3),
    "feedformer-b0": (None, 8.4 * (1 - 0.071)),
}
# Parameters of the decoder, counted with the release's own FeedFormerHead.
FEEDFORMER_DECODERS = {"feedformer-b0": 1_095_734, "feedformer-b2": 4_896_726}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown teacher 'segnext-x'") as error:
        build_teacher("segnext-x", 9)
    assert all(name in str(error.value) for name in TEACHERS)


def test_a_single_class_is_refused() -> None:
    with pytest.raises(ValueError, match="num_classes is 1"):
        build_teacher("segnext-t", 1)


@pytest.mark.parametrize("name", PUBLISHED)
def test_size_and_cost_are_those_of_the_papers(name: str) -> None:
    parameters, gmac = PUBLISHED[name]
    with torch.device("meta"):
        teacher = build_teacher(name, ADE20K_CLASSES).eval()
        side = 640 if name == "segformer-b5" else 512
        picture = torch.empty(1, 3, side, side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        logits = teacher(picture)
    if parameters is not None:
        count = sum(p.numel() for p in teacher.parameters()) / 1e6
        assert count == pytest.approx(parameters, abs=0.051)  # the tables have one decimal
    counted = counter.get_total_flops() / 2
    if name.startswith("segnext"):
        counted += 4 * logits.numel()  # the tool of its authors counts the last interpolation
    assert counted / 1e9 == pytest.approx(gmac, rel=0.01)


@pytest.mark.parametrize("name", FEEDFORMER_DECODERS)
def test_feedformer_decoder_has_the_size_of_the_release(name: str) -> None:
    with torch.device("meta"):
        decoder = build_teacher(name, ADE20K_CLASSES).decoder
    assert sum(p.numel() for p in decoder.parameters()) == FEEDFORMER_DECODERS[name]


@pytest.mark.parametrize("name", sorted(set(TEACHERS) - set(PUBLISHED)))
def test_the_other_names_give_logits_too(name: str) -> None:
    with torch.device("meta"):
        logits = build_teacher(name, 5).eval()(torch.empty(1, 3, 64, 64))
    assert logits.shape == (1, 5, 64, 64)


@pytest.mark.parametrize("name", SMALLEST)
@pytest.mark.parametrize("size", [(64, 64), (70, 45), (9, 33)])
def test_logits_have_the_size_of_the_image(name: str, size: tuple[int, int]) -> None:
    teacher = build_teacher(name, 4).eval()
    with torch.no_grad():
        logits = teacher(image(*size))
    assert logits.shape == (2, 4, *size)
    assert logits.isfinite().all()
    assert logits.std() > 0


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (3, 64, 64)])
def test_an_image_without_three_channels_is_refused(shape: tuple[int, ...]) -> None:
    teacher = build_teacher("segformer-b0", 4)
    with pytest.raises(ValueError, match=r"\[B, 3, H, W\].*got " + re.escape(str(list(shape)))):
        teacher(torch.zeros(shape))


@pytest.mark.parametrize("name", SMALLEST)
def test_evaluation_repeats_itself_and_keeps_samples_apart(name: str) -> None:
    teacher = build_teacher(name, 4).eval()
    pictures = image(64, 48)
    with torch.no_grad():
        first, again, alone = teacher(pictures), teacher(pictures), teacher(pictures[1:])
    assert torch.equal(first, again)
    torch.testing.assert_close(first[1:], alone, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(first[0], first[1], atol=1e-3)


@pytest.mark.parametrize("name", SMALLEST)
def test_training_reaches_every_weight_and_lowers_the_loss(name: str) -> None:
    teacher = build_teacher(name, 3)
    pictures = image()
    labels = (pictures.mean(1) > 0.5).long()
    labels[:, :8] = 2
    optimiser = torch.optim.AdamW(teacher.parameters(), lr=1e-3)
    losses = []
    for step in range(8):
        loss = F.cross_entropy(teacher(pictures), labels)
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            # Stochastic depth may drop a branch of all samples, whose gradient is then zero.
            gradients = {n: p.grad for n, p in teacher.named_parameters()}
            assert [n for n, g in gradients.items() if g is None or not g.isfinite().all()] == []
        optimiser.step()
    assert losses[-1] < 0.8 * losses[0]


def test_the_factorisation_rebuilds_features_of_its_rank() -> None:
    ham = MatrixFactorisation(rank=4).eval()
    bases, codes = torch.rand(1, 16, 2), torch.rand(1, 2, 64)
    features = (bases @ codes).reshape(1, 16, 8, 8)
    rebuilt = ham(features)
    assert rebuilt.min() >= 0
    assert (rebuilt - features).norm() < 0.2 * features.norm()  # 0.37 to 0.58 without updates
    matrix_rank = torch.linalg.matrix_rank(ham(torch.rand(1, 16, 8, 8)).flatten(2), rtol=1e-4)
    assert matrix_rank <= 4


def test_the_factorisation_starts_anew_in_training_and_alike_in_evaluation() -> None:
    ham = MatrixFactorisation(rank=4)
    features = torch.rand(2, 16, 4, 4)
    torch.manual_seed(1)
    first, second = ham(features), ham(features)
    torch.manual_seed(1)
    assert torch.equal(ham(features), first)
    assert not torch.equal(first, second)
    ham.eval()
    state = torch.get_rng_state()
    assert torch.equal(ham(features), MatrixFactorisation(rank=4).eval()(features))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_factorisation_stays_in_full_precision_under_autocast() -> None:
    ham = MatrixFactorisation(rank=4).eval()
    features = torch.rand(1, 16, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = ham(features)
        half = ham(features.bfloat16())
    assert torch.equal(under_autocast, ham(features))
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), ham(features), atol=0.03, rtol=0.03)
