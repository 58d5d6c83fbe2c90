"""Mix Transformer (MiT), the encoder of SegFormer and FeedFormer (Xie et al., NeurIPS 2021).

Written out here instead of taken from `transformers`: FeedFormer and SegNeXt share these blocks,
and that package brings twenty others (a model hub client, tokenizers, web and terminal
libraries, 190 MB) for one network. Weights published in its naming load all the same, and the
maps equal its maps.

Everything is a map [B, C, H, W]; linear layers over channels are 1x1 convolutions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.layers import ChannelNorm

WIDTHS = {
    "b0": (32, 64, 160, 256),
    "b1": (64, 128, 320, 512),
    "b2": (64, 128, 320, 512),
    "b3": (64, 128, 320, 512),
    "b5": (64, 128, 320, 512),
}
DEPTHS = {
    "b0": (2, 2, 2, 2),
    "b1": (2, 2, 2, 2),
    "b2": (3, 4, 6, 3),
    "b3": (3, 4, 18, 3),
    "b5": (3, 6, 40, 3),
}
HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)  # of the side of the keys and values, per stage
EXPANSION = 4
DROP_PATH = 0.1

# Names of the entries in NVlabs/SegFormer's files, then in transformers', as ours.
_RENAMES: tuple[tuple[str, str], ...] = (
    (r"^(segformer\.)?encoder\.", ""),
    (r"^patch_embed(\d)\.proj\.", r"stages.#\1.merge."),
    (r"^patch_embed(\d)\.norm\.", r"stages.#\1.merge_norm."),
    (r"^block(\d)\.(\d+)\.", r"stages.#\1.blocks.\2."),
    (r"^norm(\d)\.", r"stages.#\1.norm."),
    (r"\.attn\.q\.", ".attention.query."),
    (r"\.attn\.kv\.", ".attention.key_value."),
    (r"\.attn\.sr\.", ".attention.reduce."),
    (r"\.attn\.norm\.", ".attention.reduce_norm."),
    (r"\.attn\.proj\.", ".attention.output."),
    (r"^patch_embeddings\.(\d)\.proj\.", r"stages.\1.merge."),
    (r"^patch_embeddings\.(\d)\.layer_norm\.", r"stages.\1.merge_norm."),
    (r"^block\.(\d)\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"^layer_norm\.(\d)\.", r"stages.\1.norm."),
    (r"\.layer_norm_(\d)\.", r".norm\1."),
    (r"\.attention\.self\.(query|key|value)\.", r".attention.\1."),
    (r"\.attention\.self\.sr\.", ".attention.reduce."),
    (r"\.attention\.self\.layer_norm\.", ".attention.reduce_norm."),
    (r"\.attention\.output\.dense\.", ".attention.output."),
    (r"\.mlp\.(fc|dense)1\.", ".feed_forward.expand."),
    (r"\.mlp\.dwconv(\.dwconv)?\.", ".feed_forward.depthwise."),
    (r"\.mlp\.(fc|dense)2\.", ".feed_forward.project."),
)


class MixTransformer(nn.Module):
    """The encoder: image [B, 3, H, W] to four maps of strides 4, 8, 16, 32 and `widths`.

    size: a key of WIDTHS. H and W are multiples of 32.
    """

    family = "MiT"

    def __init__(self, size: str) -> None:
        super().__init__()
        self.widths = WIDTHS[size]
        rates = drop_path_rates(DROP_PATH, DEPTHS[size])
        self.stages = nn.ModuleList(
            Stage(inputs, width, heads, reduction, kernel, rates[i])
            for i, (inputs, width, heads, reduction, kernel) in enumerate(
                zip((3, *self.widths), self.widths, HEADS, REDUCTIONS, (7, 3, 3, 3), strict=False)
            )
        )
        self.apply(initialise_transformer)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    @staticmethod
    def from_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Entries of a published encoder in our names; what is not of an encoder stays as is."""
        named = rename(weights, _RENAMES)
        for key in [key for key in named if ".attention.key." in key]:
            value_key = key.replace(".key.", ".value.")
            if value_key in named:
                pair = torch.cat([named.pop(key), named.pop(value_key)])
                named[key.replace(".key.", ".key_value.")] = pair
        return named


class Stage(nn.Module):
    """Overlapped patch merging, then transformer blocks at that resolution."""

    def __init__(
        self,
        inputs: int,
        width: int,
        heads: int,
        reduction: int,
        kernel: int,
        drop_rates: list[float],
    ) -> None:
        super().__init__()
        self.merge = nn.Conv2d(inputs, width, kernel, kernel // 2 + 1, kernel // 2)
        self.merge_norm = ChannelNorm(width)
        self.blocks = nn.Sequential(*(Block(width, heads, reduction, rate) for rate in drop_rates))
        self.norm = ChannelNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.blocks(self.merge_norm(self.merge(x))))


class Block(nn.Module):
    """Efficient self-attention and Mix-FFN, each on a residual branch."""

    def __init__(self, width: int, heads: int, reduction: int, drop_rate: float) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(width)
        self.attention = EfficientSelfAttention(width, heads, reduction)
        self.norm2 = ChannelNorm(width)
        self.feed_forward = MixFeedForward(width, EXPANSION * width)
        self.drop_path = DropPath(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attention(self.norm1(x)))
        return x + self.drop_path(self.feed_forward(self.norm2(x)))


class EfficientSelfAttention(nn.Module):
    """Self-attention whose keys and values come from a map smaller by `reduction` per side."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Conv2d(width, width, 1)
        self.key_value = nn.Conv2d(width, 2 * width, 1)
        self.output = nn.Conv2d(width, width, 1)
        self.reduce: nn.Module = nn.Identity()
        self.reduce_norm: nn.Module = nn.Identity()
        if reduction > 1:
            self.reduce = nn.Conv2d(width, width, reduction, reduction)
            self.reduce_norm = ChannelNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce_norm(self.reduce(x))
        return self.output(attend(self.query(x), self.key_value(reduced), self.heads))


class MixFeedForward(nn.Module):
    """Mix-FFN: a 3x3 depthwise convolution inside a two-layer perceptron (Eq. 3)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, hidden, 1)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.project = nn.Conv2d(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(F.gelu(self.depthwise(self.expand(x))))


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., 2016): drops the branch of whole samples in training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        return x * x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(keep) / keep


def drop_path_rates(last: float, depths: tuple[int, ...]) -> list[list[float]]:
    """Rates per stage and block, rising linearly from 0 to `last`."""
    rates = iter(torch.linspace(0, last, sum(depths), device="cpu").tolist())
    return [[next(rates) for _ in range(depth)] for depth in depths]


def attend(query: Tensor, key_value: Tensor, heads: int) -> Tensor:
    """Multi-head attention of a map [B, C, H, W] over another, [B, 2C, h, w] (keys, values)."""

    def split(x: Tensor) -> Tensor:
        return x.flatten(2).unflatten(1, (heads, -1)).transpose(2, 3)

    key, value = key_value.chunk(2, 1)
    attended = F.scaled_dot_product_attention(split(query), split(key), split(value))
    return attended.transpose(2, 3).reshape(query.shape)


def initialise_transformer(module: nn.Module) -> None:
    """Initialise as SegFormer does: small linear layers, He for the other convolutions."""
    if not isinstance(module, nn.Conv2d):
        return
    if module.kernel_size == (1, 1):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    else:
        initialise_he(module)


def initialise_he(module: nn.Module) -> None:
    """Normal weights of variance 2 / fan-out for a convolution, zero bias."""
    if isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def rename(
    weights: Mapping[str, Tensor], renames: tuple[tuple[str, str], ...]
) -> dict[str, Tensor]:
    """Rename entries by patterns applied in order; `#n` then counts from 0 instead of 1."""
    named = {}
    for key, value in weights.items():
        for pattern, replacement in renames:
            key = re.sub(pattern, replacement, key)
        named[re.sub(r"#(\d)", lambda m: str(int(m[1]) - 1), key)] = value
    return named
