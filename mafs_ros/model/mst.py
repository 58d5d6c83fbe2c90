"""MST: multi-scale transformer of the segmentation decoder (paper, Eq. 9 and Fig. 4).

Stages follow InvPT (Ye & Xu, ECCV 2022); attention over channels follows Restormer (Zamir et
al., CVPR 2022), the feed-forward part is locally enhanced (LeFF).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.layers import ChannelNorm, ConvNorm, at_least_fp32, resize, scale_size


class ChannelAttention(nn.Module):
    """Multi-head attention between channels; [B, width, H, W] in and out (MDTA)."""

    def __init__(self, width: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Sequential(
            nn.Conv2d(width, 3 * width, 1, bias=False),
            nn.Conv2d(3 * width, 3 * width, 3, padding=1, groups=3 * width, bias=False),
        )
        self.project = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self._query_key_value(x)
        # In fp32, whatever the features are: the sums over a map are beyond half precision.
        query, key = (F.normalize(at_least_fp32(rows), dim=-1) for rows in (query, key))
        attention = torch.softmax(query @ key.transpose(-2, -1) * self.temperature, -1)
        attention = attention.to(x.dtype)
        return self.project((attention @ value).reshape(x.shape))

    def _query_key_value(self, x: Tensor) -> list[Tensor]:
        """Each [B, heads, width / heads, H W]; split by weights, as engines copy split maps."""
        mixed, spread_out = cast(tuple[nn.Conv2d, nn.Conv2d], tuple(self.qkv))
        pointwise, depthwise = mixed.weight.chunk(3), spread_out.weight.chunk(3)
        width = x.shape[1]
        return [
            F.conv2d(F.conv2d(x, mix), spread, padding=1, groups=width)
            .unflatten(1, (self.heads, -1))
            .flatten(3)
            for mix, spread in zip(pointwise, depthwise, strict=True)
        ]


class LocalFeedForward(nn.Module):
    """Pointwise, depthwise 3x3 and pointwise convolution with GELU, plus the input (LeFF)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 1),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.GELU(),
            nn.Conv2d(width, width, 1),
            nn.GELU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class TransformerBlock(nn.Module):
    """Channel attention and feed-forward, each on normalised input and residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_attention = ChannelNorm(width)
        self.attention = ChannelAttention(width)
        self.norm_feed_forward = ChannelNorm(width)
        self.feed_forward = LocalFeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_attention(x))
        return x + self.feed_forward(self.norm_feed_forward(x))


class Upsampling(nn.Module):
    """Double the resolution, then two dilated convolutions; [B, width, H, W] -> [.., 2H, 2W]."""

    def __init__(self, width: int, *, separable: bool = False) -> None:
        super().__init__()
        self.refine = nn.Sequential(
            *(
                ConvNorm(width, width, dilation=2, separable=separable, activation=nn.ReLU())
                for _ in range(2)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.refine(resize(x, scale_size(x, 2)))


class MultiScaleTransformer(nn.Module):
    """Refine F5 through three stages of growing resolution and sum them.

    x [B, width, H/16, W/16]; skips [B, width, H/8, ..] and [B, width, H/4, ..] are added at the
    second and third stage. Returns [B, width, H/16 * scale, W/16 * scale].
    """

    def __init__(self, width: int, scale: int, *, separable: bool = False) -> None:
        super().__init__()
        self.scale = scale
        self.blocks = nn.ModuleList(TransformerBlock(width) for _ in range(3))
        self.norms = nn.ModuleList(ChannelNorm(width) for _ in range(3))
        self.upsampling = nn.ModuleList(Upsampling(width, separable=separable) for _ in range(2))
        self.head = ConvNorm(width, width, bias=True, separable=separable, activation=nn.ReLU())

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        size = scale_size(x, self.scale)
        stages = []
        for index, (block, norm) in enumerate(zip(self.blocks, self.norms, strict=True)):
            if index:
                x = self.upsampling[index - 1](x) + skips[index - 1]
            x = norm(block(x))
            stages.append(resize(x, size))
        return self.head(stages[0] + stages[1] + stages[2])


class SummedScales(nn.Module):
    """Ablation of MST: resize F5 and both skips, add and convolve; same interface."""

    def __init__(self, width: int, scale: int, *, separable: bool = False) -> None:
        super().__init__()
        self.scale = scale
        self.head = ConvNorm(width, width, bias=True, separable=separable, activation=nn.ReLU())

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        size = scale_size(x, self.scale)
        return self.head(sum((resize(level, size) for level in skips), resize(x, size)))
