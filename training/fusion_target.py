"""What the fusion branch of the light network learns: the brighter source, made clearer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# The darker half of the grey scale gets 6 % more contrast, white stays white.
DARK_SLOPE, KNEE = 1.06, 0.5
# Each pixel moves away from the mean of its neighbourhood by 8 % of their difference.
SHARPENING, SIGMA, REACH = 0.08, 2.0, 4


def bright_line() -> tuple[float, float]:
    """Slope and offset of `tone` above the knee."""
    slope = (1 - DARK_SLOPE * KNEE) / (1 - KNEE)
    return slope, 1 - slope


def tone(image: Tensor) -> Tensor:
    """Raise dark and middle grey levels; any shape, 0..1 in and out."""
    slope, offset = bright_line()
    return torch.minimum(DARK_SLOPE * image, slope * image + offset)


def sharpening_kernel() -> Tensor:
    """Unsharp mask [2 REACH + 1, 2 REACH + 1] with sum 1: a Gaussian of SIGMA pixels."""
    distance = torch.arange(-REACH, REACH + 1, dtype=torch.float32)
    line = torch.exp(-(distance**2) / (2 * SIGMA**2))
    blur = torch.outer(line, line)
    kernel = -SHARPENING * blur / blur.sum()
    kernel[REACH, REACH] += 1 + SHARPENING
    return kernel


def clear_maximum(visible: Tensor, infrared: Tensor) -> Tensor:
    """The brighter of both sources, toned and sharpened; [B, 1, H, W] in 0..1, not clamped."""
    brighter = tone(torch.maximum(visible, infrared))
    padded = F.pad(brighter, (REACH,) * 4, mode="replicate")
    return F.conv2d(padded, sharpening_kernel()[None, None].to(brighter))
