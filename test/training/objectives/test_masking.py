"""Masks of stage 1: statistics against the formulas, disjointness, determinism."""

from __future__ import annotations

import pytest
import torch

from training.objectives.masking import (
    fixed_grids,
    hide,
    keep_probability,
    make_masks,
    random_grids,
    swap_half,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_keep_rates_before_the_swap(p: float) -> None:
    first, second = random_grids(torch.full((64,), p), 40, 40, seeded())
    q = p * p
    # 102,400 patches: the standard error is below 0.0016.
    assert first.float().mean().item() == pytest.approx(q + (1 - q) ** 2 * q, abs=0.007)
    assert second.float().mean().item() == pytest.approx(q + (1 - q) ** 2 * (1 - q), abs=0.007)
    assert (first | second).all()


def test_keep_rates_after_the_swap_are_equal() -> None:
    p = 0.5
    generator = seeded()
    grids = swap_half(*random_grids(torch.full((4096,), p), 4, 4, generator), generator)
    for grid in grids:  # both (1 + p^4) / 2
        assert grid.float().mean().item() == pytest.approx((1 + p**4) / 2, abs=0.01)
    assert (grids[0] | grids[1]).all()


def test_keep_probability_is_uniform_in_its_range() -> None:
    p = keep_probability(20_000, seeded())
    assert 0.1 <= p.min() < 0.101
    assert 0.992 < p.max() < 0.1 + 1 / 1.12
    assert p.mean().item() == pytest.approx(0.1 + 0.5 / 1.12, abs=0.01)
    assert p.std().item() == pytest.approx(1 / 1.12 / 12**0.5, abs=0.01)


def test_every_sample_has_its_own_ratio_and_its_own_masks() -> None:
    first, second = make_masks(64, 256, 256, seeded())
    assert first.mean((1, 2, 3)).std() > 0.1  # one p for all would give 0.06
    assert len({tuple(mask[0, ::32, ::32].flatten().tolist()) for mask in first}) > 60
    assert not torch.equal(first, second)


@pytest.mark.parametrize("patch", [16, 32, 64])
@pytest.mark.parametrize("ratio", [None, 0.25, 0.5])
def test_masks_are_whole_patches_and_never_hide_both(patch: int, ratio: float | None) -> None:
    for mask in (masks := make_masks(8, 256, 128, seeded(1), patch=patch, ratio=ratio)):
        assert mask.shape == (8, 1, 256, 128)
        assert mask.dtype == torch.float32
        patches = mask.reshape(8, 256 // patch, patch, 128 // patch, patch)
        assert torch.equal(patches.amin((2, 4)), patches.amax((2, 4)))
        assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert torch.maximum(*masks).min() == 1


def test_fixed_ratio_hides_the_same_share_everywhere() -> None:
    for mask in make_masks(16, 256, 256, seeded(), ratio=0.25):
        assert (mask.mean((1, 2, 3)) == 0.75).all()
    first, second = fixed_grids(500, 3, 3, 0.5, seeded())  # 9 patches: 4 and 4 hidden
    for grid in (first, second):
        assert (grid.sum((1, 2)) == 5).all()
        assert grid.float().mean(0).sub(5 / 9).abs().max() < 0.1  # every place alike
    assert (first | second).all()


@pytest.mark.parametrize(("ratio", "hidden"), [(0.5, 32), (0.7, 45), (0.999, 63)])
def test_above_one_half_as_little_as_possible_is_hidden_in_both(ratio: float, hidden: int) -> None:
    first, second = fixed_grids(200, 8, 8, ratio, seeded())
    for grid in (first, second):
        assert ((~grid).sum((1, 2)) == hidden).all()
        assert grid.float().mean(0).sub(1 - hidden / 64).abs().max() < 0.15  # every place alike
    assert ((~first & ~second).sum((1, 2)) == 2 * hidden - 64).all()
    assert all(grid.all() for grid in fixed_grids(2, 1, 1, ratio, seeded()))  # one patch stays


def test_sizes_that_no_patch_fits() -> None:
    first, second = make_masks(2, 50, 70, seeded(), patch=32, ratio=0.5)
    assert first.shape == second.shape == (2, 1, 50, 70)
    assert (first[..., 32:, 64:] == first[..., 32:33, 64:65]).all()
    everything, _ = make_masks(1, 20, 20, seeded(), patch=32, ratio=0.5)
    assert everything.all()  # a single patch cannot be hidden in half


def test_hidden_pixels_are_independent_uniform_noise() -> None:
    image = torch.full((4, 3, 64, 64), 0.25)
    mask, _ = make_masks(4, 64, 64, seeded(3), patch=16, ratio=0.5)
    noisy = hide(image, mask, seeded(4))
    visible = mask.expand_as(image) > 0
    assert (noisy[visible] == 0.25).all()
    noise = noisy[~visible]
    assert noise.min() >= 0
    assert noise.max() <= 1
    assert noise.mean().item() == pytest.approx(0.5, abs=0.02)
    assert noise.var().item() == pytest.approx(1 / 12, abs=0.01)
    channels = noisy.movedim(1, 0)[:, mask[:, 0] == 0]
    assert torch.corrcoef(channels).triu(1).abs().max() < 0.05


def test_the_generator_decides_everything() -> None:
    def draw(seed: int) -> list[torch.Tensor]:
        generator = seeded(seed)
        masks = make_masks(4, 64, 64, generator, patch=16)
        return [*masks, hide(torch.zeros(4, 1, 64, 64), masks[0], generator)]

    torch.manual_seed(0)
    once = draw(5)
    torch.manual_seed(1)
    assert all(torch.equal(a, b) for a, b in zip(once, draw(5), strict=True))
    assert not torch.equal(once[0], draw(6)[0])


def test_impossible_requests_say_why() -> None:
    for ratio in (-0.1, 1.0):
        with pytest.raises(ValueError, match=f"ratio is {ratio}, expected a share from 0 to"):
            make_masks(1, 64, 64, seeded(), ratio=ratio)
    with pytest.raises(ValueError, match="patch is 0"):
        make_masks(1, 64, 64, seeded(), patch=0)
