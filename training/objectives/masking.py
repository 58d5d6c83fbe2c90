"""Masks of stage 1 (masked autoencoder): which patches of the two images the network sees.

A mask is float [B, 1, H, W], 1 where the image is visible, 0 where it is hidden. No patch is
hidden in both images, so each hidden patch can be reconstructed from the other modality; the loss
is taken where the own image is hidden, on 1 - mask. All randomness comes from the given
generator: the same generator state gives the same masks and noise.

A fixed ratio above one half (0.7 in Table X of the paper, which does not say more) cannot do
without: as few patches as possible are hidden in both, 2 ratio - 1 of all. Those are guessed from
what surrounds them, with both images as the target of the one reconstruction.
"""

from __future__ import annotations

import torch
from torch import Tensor

PATCH = 32


def make_masks(
    batch: int,
    height: int,
    width: int,
    generator: torch.Generator,
    *,
    patch: int = PATCH,
    ratio: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Masks of the visible and of the infrared image, [B, 1, H, W] each.

    patch: side of the square patches in pixels, cut at the right and bottom where they do not fit.
    ratio: None draws a different ratio for every sample, as the release does; a number from 0 to
    below 1 hides that share of the patches (rounded to whole patches) in each image.
    Raises ValueError for another ratio.
    """
    if patch < 1:
        raise ValueError(f"patch is {patch}, expected a positive number of pixels (16, 32, 64)")
    rows, columns = -(-height // patch), -(-width // patch)
    if ratio is None:
        grids = random_grids(keep_probability(batch, generator), rows, columns, generator)
        grids = swap_half(*grids, generator)
    else:
        grids = fixed_grids(batch, rows, columns, ratio, generator)
    first, second = (_upsample(grid, patch)[..., :height, :width] for grid in grids)
    return first, second


def hide(image: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
    """Replace hidden pixels by uniform noise in 0..1, independent per pixel and channel.

    image: [B, C, H, W] in 0..1; mask: [B, 1, H, W].
    """
    noise = torch.rand(
        image.shape, generator=generator, device=generator.device, dtype=torch.float32
    )
    return torch.where(mask > 0, image, noise.to(image))


def keep_probability(batch: int, generator: torch.Generator) -> Tensor:
    """One p per sample, uniform in 0.1..0.993: p = 0.1 + U / 1.12. Returns [B]."""
    uniform = torch.rand(batch, generator=generator, device=generator.device)
    return 0.1 + uniform / 1.12


def random_grids(
    p: Tensor, rows: int, columns: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Patch grids bool [B, rows, columns] (True: visible) of the release, before its swap.

    p: [B]. Each grid keeps a patch with q = p^2 (the product of two draws). A patch that both
    lose is given back to the first with q, else to the second. Keep rates: q + (1 - q)^2 q and
    q + (1 - q)^2 (1 - q).
    """
    shape = (len(p), rows, columns)

    def draw() -> Tensor:
        uniform = torch.rand((2, *shape), generator=generator, device=generator.device)
        return (uniform < p[:, None, None]).all(0)

    first, second, to_first = draw(), draw(), draw()
    lost = ~(first | second)
    return first | (lost & to_first), second | (lost & ~to_first)


def swap_half(first: Tensor, second: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Exchange the two grids [B, rows, columns] of each sample with probability 1/2."""
    uniform = torch.rand((len(first), 1, 1), generator=generator, device=generator.device)
    swap = uniform < 0.5
    return torch.where(swap, second, first), torch.where(swap, first, second)


def fixed_grids(
    batch: int, rows: int, columns: int, ratio: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Patch grids bool [B, rows, columns] (True: visible), each with the same number hidden.

    Up to a ratio of 0.5 the hidden patches of the two are disjoint, above it they overlap as
    little as they can; each keeps one patch at least. Raises ValueError for a ratio that is not
    from 0 to below 1.
    """
    if not 0 <= ratio < 1:
        raise ValueError(f"masking ratio is {ratio}, expected a share from 0 to below 1")
    patches = rows * columns
    hidden = min(round(ratio * patches), patches // 2 if ratio <= 0.5 else patches - 1)
    first = min(hidden, patches - hidden)  # rank from which the second hides
    uniform = torch.rand((batch, patches), generator=generator, device=generator.device)
    rank = uniform.argsort(1).argsort(1).reshape(batch, rows, columns)
    return rank >= hidden, (rank < first) | (rank >= first + hidden)


def _upsample(grid: Tensor, patch: int) -> Tensor:
    pixels = grid.repeat_interleave(patch, 1).repeat_interleave(patch, 2)
    return pixels[:, None].float()
