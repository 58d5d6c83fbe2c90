"""FeedFormer's decoder (Shim et al., AAAI 2023).

The three deeper encoder maps are the queries, the shallowest one is key and value for all of
them. Self-attention is left to the encoder's blocks (the paper's reformation trick), so that a
decoder block is cross-attention and a Mix-FFN.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.layers import ChannelNorm, ConvNorm, resize
from training.teachers.mit import (
    EXPANSION,
    HEADS,
    DropPath,
    MixFeedForward,
    attend,
    initialise_transformer,
)

# The release has B0 and B2; B1 has SegFormer-B1's width.
DIMENSIONS = {"b0": 128, "b1": 256, "b2": 768}
DROPOUT = 0.1
DROP_PATH = 0.1
POOLS = (2, 4, 8)  # of the shallowest map, so that it feeds each query at a size near its own


class FeedFormerHead(nn.Module):
    """Feature-query decoder: four maps of `widths` to logits [B, num_classes, H/4, W/4]."""

    def __init__(self, widths: tuple[int, ...], dimension: int, num_classes: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            CrossBlock(width, widths[0], heads, pool)
            for width, heads, pool in zip(widths[1:], HEADS[1:], POOLS, strict=True)
        )
        self.blocks.apply(initialise_transformer)
        self.fuse = ConvNorm(sum(widths), dimension, 1, activation=nn.ReLU())
        self.dropout = nn.Dropout2d(DROPOUT)
        self.predict = nn.Conv2d(dimension, num_classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        lowest, *queries = maps
        height, width = lowest.shape[-2:]
        fed = [block(query, lowest) for block, query in zip(self.blocks, queries, strict=True)]
        fed = [resize(x, (height, width)) for x in reversed(fed)]
        return self.predict(self.dropout(self.fuse(torch.cat([*fed, lowest], 1))))


class CrossBlock(nn.Module):
    """A decoder block: query [B, width, h, w] enhanced by lowest [B, source_width, H, W]."""

    def __init__(self, width: int, source_width: int, heads: int, pool: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(width)
        self.source_norm = ChannelNorm(source_width)
        self.attention = CrossAttention(width, source_width, heads, pool)
        self.norm2 = ChannelNorm(width)
        self.feed_forward = MixFeedForward(width, EXPANSION * width)
        self.drop_path = DropPath(DROP_PATH)

    def forward(self, query: Tensor, lowest: Tensor) -> Tensor:
        fed = self.attention(self.norm1(query), self.source_norm(lowest))
        query = query + self.drop_path(fed)
        return query + self.drop_path(self.feed_forward(self.norm2(query)))


class CrossAttention(nn.Module):
    """Attention of the query map over the pooled shallowest map."""

    def __init__(self, width: int, source_width: int, heads: int, pool: int) -> None:
        super().__init__()
        self.heads = heads
        self.pool = pool
        self.query = nn.Conv2d(width, width, 1, bias=False)
        self.reduce = nn.Conv2d(source_width, source_width, 1)
        self.reduce_norm = ChannelNorm(source_width)
        self.key_value = nn.Conv2d(source_width, 2 * width, 1, bias=False)
        self.output = nn.Conv2d(width, width, 1)

    def forward(self, query: Tensor, lowest: Tensor) -> Tensor:
        pooled = self.reduce(F.avg_pool2d(lowest, self.pool))
        source = self.key_value(F.gelu(self.reduce_norm(pooled)))
        return self.output(attend(self.query(query), source, self.heads))
