"""MST: multi-scale transformer of the segmentation decoder (paper, Eq. 9 and Fig. 4).

Stages follow InvPT (Ye & Xu, ECCV 2022); attention over channels follows Restormer (Zamir et
al., CVPR 2022), the feed-forward part is locally enhanced (LeFF).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.config import MafsConfig
from mafs_ros.model.layers import (
    ChannelNorm,
    ConvNorm,
    at_least_fp32,
    mix_channels,
    pixel_rows,
    pool_factor,
    pooled,
    resize,
    scale_size,
    without_autocast,
)


class ChannelAttention(nn.Module):
    """Multi-head attention between channels; [B, width, H, W] in and out (MDTA).

    pool: queries and keys, of which only sums over the map are used, are taken from the map
    averaged down by this factor or the next smaller half that divides it.
    """

    other_head: Tensor

    def __init__(self, width: int, pool: int = 1, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.pool = heads, pool
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Sequential(
            nn.Conv2d(width, 3 * width, 1, bias=False),
            nn.Conv2d(3 * width, 3 * width, 3, padding=1, groups=3 * width, bias=False),
        )
        self.project = nn.Conv2d(width, width, 1, bias=False)
        head = torch.arange(heads).repeat_interleave(width // heads)
        self.register_buffer("other_head", head[:, None] != head, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self._query_key_value(x)
        # In fp32, whatever the features are: the sums over a map are beyond half precision.
        query, key = (at_least_fp32(pixel_rows(part)) for part in (query, key))
        lengths = [rows.norm(dim=1).clamp_min(1e-12) for rows in (query, key)]
        with without_autocast(x.device.type):
            products = query.transpose(1, 2) @ key
        similarity = products / (lengths[0][:, :, None] * lengths[1][:, None])
        attention = torch.softmax(self._within_heads(similarity), -1).to(x.dtype)
        # Projection and attention both mix channels: multiplied first, they pass the map once.
        mixing = self.project.weight.flatten(1) @ attention
        return mix_channels(value, mixing)

    def _within_heads(self, similarity: Tensor) -> Tensor:
        """Scale [B, width, width] by each head's temperature; -inf between channels of two."""
        scaled = similarity.unflatten(1, (self.heads, -1)) * self.temperature
        return scaled.flatten(1, 2).masked_fill(self.other_head, float("-inf"))

    def _query_key_value(self, x: Tensor) -> list[Tensor]:
        """Each [B, width, H, W]; split by weights, as engines copy split maps."""
        mixed, spread_out = cast(tuple[nn.Conv2d, nn.Conv2d], tuple(self.qkv))
        pointwise, depthwise = mixed.weight.chunk(3), spread_out.weight.chunk(3)
        width = x.shape[1]
        small = pooled(x, pool_factor(x, self.pool))
        return [
            F.conv2d(F.conv2d(source, mix), spread, padding=1, groups=width)
            for source, mix, spread in zip((small, small, x), pointwise, depthwise, strict=True)
        ]


def channel_norm(config: MafsConfig) -> type[nn.Module]:
    """The normalisation of the transformer, made with a number of channels."""
    return nn.BatchNorm2d if config.mst_batch_norm else ChannelNorm


class LocalFeedForward(nn.Module):
    """Pointwise, depthwise 3x3 and pointwise convolution, activated, plus the input (LeFF)."""

    def __init__(self, width: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 1),
            activation(),
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            activation(),
            nn.Conv2d(width, width, 1),
            activation(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class TransformerBlock(nn.Module):
    """Channel attention and feed-forward, each on normalised input and residual."""

    def __init__(self, width: int, config: MafsConfig) -> None:
        super().__init__()
        norm = channel_norm(config)
        self.norm_attention = norm(width)
        self.attention = ChannelAttention(width, config.attention_pool)
        self.norm_feed_forward = norm(width)
        self.feed_forward = LocalFeedForward(width, nn.ReLU if config.mst_relu else nn.GELU)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_attention(x))
        return x + self.feed_forward(self.norm_feed_forward(x))


class Upsampling(nn.Module):
    """Double the resolution, then dilated convolutions; [B, width, H, W] -> [.., 2H, 2W]."""

    def __init__(self, width: int, layers: int, *, separable: bool = False) -> None:
        super().__init__()
        self.refine = nn.Sequential(
            *(
                ConvNorm(width, width, dilation=2, separable=separable, activation=nn.ReLU())
                for _ in range(layers)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.refine(resize(x, scale_size(x, 2)))


class MultiScaleTransformer(nn.Module):
    """Refine F5 through three stages of growing resolution and sum them.

    x [B, width, H/16, W/16]; skips [B, width, H/8, ..] and [B, width, H/4, ..] are added at the
    second and third stage. Returns [B, width, H/16 * scale, W/16 * scale].
    """

    def __init__(self, config: MafsConfig) -> None:
        super().__init__()
        width, separable = config.segmentation_width, config.separable
        self.scale, self.sum = 16 // config.segmentation_stride, config.mst_sum
        self.blocks = nn.ModuleList(TransformerBlock(width, config) for _ in range(3))
        self.norms = nn.ModuleList(channel_norm(config)(width) for _ in range(3))
        self.upsampling = nn.ModuleList(
            Upsampling(width, config.mst_refine, separable=separable) for _ in range(2)
        )
        self.head = ConvNorm(width, width, bias=True, separable=separable, activation=nn.ReLU())

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        size = scale_size(x, self.scale)
        stages = []
        for index, (block, norm) in enumerate(zip(self.blocks, self.norms, strict=True)):
            if index:
                x = self.upsampling[index - 1](x) + skips[index - 1]
            x = norm(block(x))
            if self.sum or index == 2:
                stages.append(resize(x, size))
        return self.head(sum(stages[1:], stages[0]))


class SummedScales(nn.Module):
    """Ablation of MST: resize F5 and both skips, add and convolve; same interface."""

    def __init__(self, config: MafsConfig) -> None:
        super().__init__()
        width, separable = config.segmentation_width, config.separable
        self.scale = 16 // config.segmentation_stride
        self.head = ConvNorm(width, width, bias=True, separable=separable, activation=nn.ReLU())

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        size = scale_size(x, self.scale)
        return self.head(sum((resize(level, size) for level in skips), resize(x, size)))
