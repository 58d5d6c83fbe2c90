"""Losses of the MAFS paper (section III-E). Images are [B, 1, H, W] in 0..1."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SOBEL_X = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


def sobel(image: Tensor) -> tuple[Tensor, Tensor]:
    """Absolute Sobel responses along x and y, zero padded; [B, 1, H, W] each."""
    kernel = torch.tensor(SOBEL_X, dtype=image.dtype, device=image.device)
    kernels = torch.stack([kernel, kernel.T.flip(0)])[:, None]
    along_x, along_y = F.conv2d(image, kernels, padding=1).abs().chunk(2, 1)
    return along_x, along_y


def intensity_loss(fused: Tensor, visible: Tensor, infrared: Tensor) -> Tensor:
    """Mean distance of the fused luminance to the brighter source (Eq. 15)."""
    return F.l1_loss(fused, torch.maximum(visible, infrared))


def gradient_loss(fused: Tensor, visible: Tensor, infrared: Tensor) -> Tensor:
    """Mean distance of the fused gradient to the stronger source's, per direction (Eq. 16)."""
    triples = zip(sobel(fused), sobel(visible), sobel(infrared), strict=True)
    return torch.stack([F.l1_loss(f, torch.maximum(v, i)) for f, v, i in triples]).sum()
