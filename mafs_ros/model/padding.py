"""Images are padded to sizes that the network halves five times."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

MULTIPLE = 32  # stride of the deepest trunk stage


def pad_to_multiple(image: Tensor) -> Tensor:
    """Repeat the right and bottom border of [B, C, H, W] up to multiples of 32."""
    height, width = image.shape[-2:]
    right, bottom = -width % MULTIPLE, -height % MULTIPLE
    return F.pad(image, (0, right, 0, bottom), mode="replicate") if right or bottom else image
