"""SegNeXt: MSCAN encoder and light Hamburger decoder (Guo et al., NeurIPS 2022, Tables 2, 9)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.layers import ChannelNorm, resize, without_autocast
from training.teachers.mit import (
    DropPath,
    MixFeedForward,
    drop_path_rates,
    initialise_he,
    rename,
)

WIDTHS = {
    "t": (32, 64, 160, 256),
    "s": (64, 128, 320, 512),
    "b": (64, 128, 320, 512),
    "l": (64, 128, 320, 512),
}
DEPTHS = {"t": (3, 3, 5, 2), "s": (2, 2, 4, 2), "b": (3, 3, 12, 3), "l": (3, 5, 27, 3)}
DROP_PATH = {"t": 0.1, "s": 0.1, "b": 0.1, "l": 0.3}
DIMENSIONS = {"t": 256, "s": 256, "b": 512, "l": 1024}  # of the decoder
RANKS = {"t": 16, "s": 16, "b": 64, "l": 64}  # of the matrix factorisation
EXPANSIONS = (8, 8, 4, 4)
STRIPS = (7, 11, 21)
LAYER_SCALE = 1e-2
DROPOUT = 0.1
NMF_STEPS_TRAINING = 6
NMF_STEPS = 7
NMF_SEED = 0

# Names of the entries in the released files and in mmsegmentation's, as ours.
_RENAMES: tuple[tuple[str, str], ...] = (
    (r"^patch_embed1\.proj\.", "stages.0.embed."),
    (r"^patch_embed(\d)\.proj\.", r"stages.#\1.embed.0."),
    (r"^patch_embed(\d)\.norm\.", r"stages.#\1.embed.1."),
    (r"^block(\d)\.(\d+)\.", r"stages.#\1.blocks.\2."),
    (r"^norm(\d)\.", r"stages.#\1.norm."),
    (r"\.layer_scale_(\d)$", r".scale\1"),
    (r"\.attn\.proj_1\.", ".attention.before."),
    (r"\.attn\.proj_2\.", ".attention.after."),
    (r"\.attn\.spatial_gating_unit\.conv0\.", ".attention.local."),
    (r"\.attn\.spatial_gating_unit\.conv(\d)_(\d)\.", r".attention.strips.\1.#\2."),
    (r"\.attn\.spatial_gating_unit\.conv3\.", ".attention.mix."),
    (r"\.mlp\.fc1\.", ".feed_forward.expand."),
    (r"\.mlp\.dwconv(\.dwconv)?\.", ".feed_forward.depthwise."),
    (r"\.mlp\.fc2\.", ".feed_forward.project."),
)


class Mscan(nn.Module):
    """The encoder: image [B, 3, H, W] to four maps of strides 4, 8, 16, 32 and `widths`.

    size: t, s, b or l.
    """

    family = "MSCAN"

    def __init__(self, size: str) -> None:
        super().__init__()
        self.widths = WIDTHS[size]
        rates = drop_path_rates(DROP_PATH[size], DEPTHS[size])
        embeddings = [_stem(self.widths[0])]
        embeddings += [_downsampling(self.widths[i], self.widths[i + 1]) for i in range(3)]
        self.stages = nn.ModuleList(
            Stage(embeddings[i], self.widths[i], EXPANSIONS[i], rates[i]) for i in range(4)
        )
        self.apply(initialise_he)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    @staticmethod
    def from_published(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Entries of a published encoder in our names; what is not of an encoder stays as is."""
        return rename(weights, _RENAMES)


class Stage(nn.Module):
    """Down-sampling, then MSCAN blocks at that resolution."""

    def __init__(
        self, embed: nn.Module, width: int, expansion: int, drop_rates: list[float]
    ) -> None:
        super().__init__()
        self.embed = embed
        self.blocks = nn.Sequential(*(Block(width, expansion, rate) for rate in drop_rates))
        self.norm = ChannelNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.blocks(self.embed(x)))


def _stem(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width // 2, 3, 2, 1),
        nn.BatchNorm2d(width // 2),
        nn.GELU(),
        nn.Conv2d(width // 2, width, 3, 2, 1),
        nn.BatchNorm2d(width),
    )


def _downsampling(inputs: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, width, 3, 2, 1), nn.BatchNorm2d(width))


class Block(nn.Module):
    """Convolutional attention and Mix-FFN, each on a residual branch with a learned scale."""

    def __init__(self, width: int, expansion: int, drop_rate: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(width)
        self.attention = MultiScaleAttention(width)
        self.scale1 = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.norm2 = nn.BatchNorm2d(width)
        self.feed_forward = MixFeedForward(width, expansion * width)
        self.scale2 = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.drop_path = DropPath(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        # The release adds the normalised map to the attention, inside the scaled branch.
        normed = self.norm1(x)
        attended = self.attention(normed) + normed
        x = x + self.drop_path(self.scale1[:, None, None] * attended)
        return x + self.drop_path(self.scale2[:, None, None] * self.feed_forward(self.norm2(x)))


class MultiScaleAttention(nn.Module):
    """MSCA (Eq. 1, 2): a sum of depthwise strip convolutions, mixed, gates the map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before = nn.Conv2d(width, width, 1)
        self.local = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.strips = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, (1, length), padding=(0, length // 2), groups=width),
                nn.Conv2d(width, width, (length, 1), padding=(length // 2, 0), groups=width),
            )
            for length in STRIPS
        )
        self.mix = nn.Conv2d(width, width, 1)
        self.after = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.before(x))
        local = self.local(x)
        gate = local
        for strip in self.strips:
            gate = gate + strip(local)
        return self.after(self.mix(gate) * x)


class LightHamHead(nn.Module):
    """Light Hamburger decoder: the maps of stages 2 to 4 to logits [B, num_classes, H/8, W/8].

    "Is attention better than matrix decomposition?" (Geng et al., ICLR 2021) between two linear
    layers, as global context.
    """

    def __init__(
        self, widths: tuple[int, ...], dimension: int, rank: int, num_classes: int
    ) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(*_conv_group_norm(sum(widths[1:]), dimension), nn.ReLU())
        self.bread_in = nn.Sequential(nn.Conv2d(dimension, dimension, 1), nn.ReLU())
        self.ham = MatrixFactorisation(rank)
        self.bread_out = nn.Sequential(*_conv_group_norm(dimension, dimension))
        self.align = nn.Sequential(*_conv_group_norm(dimension, dimension), nn.ReLU())
        self.dropout = nn.Dropout2d(DROPOUT)
        self.predict = nn.Conv2d(dimension, num_classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        height, width = maps[1].shape[-2:]
        x = self.squeeze(torch.cat([resize(x, (height, width)) for x in maps[1:]], 1))
        x = F.relu(x + self.bread_out(self.ham(self.bread_in(x))))
        return self.predict(self.dropout(self.align(x)))


def _conv_group_norm(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 1, bias=False), nn.GroupNorm(32, outputs)


class MatrixFactorisation(nn.Module):
    """Low-rank reconstruction of non-negative features [B, C, H, W] by NMF, per sample.

    Multiplicative updates (Lee and Seung, 2000) from random bases: new ones at each training
    step, always the same ones in evaluation, so that an image gives the same labels each time.
    """

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank

    def forward(self, x: Tensor) -> Tensor:
        # The updates divide small products by small products: half precision would break them.
        with without_autocast(x.device.type):
            features = x.flatten(2).float()  # [B, C, N], bases [B, C, R], codes [B, N, R]
            bases = F.normalize(self._initial_bases(features), dim=1)
            codes = (features.mT @ bases).softmax(-1)
            for _ in range(NMF_STEPS_TRAINING if self.training else NMF_STEPS):
                codes = _update(codes, features.mT @ bases, bases)
                bases = _update(bases, features @ codes, codes)
            codes = _update(codes, features.mT @ bases, bases)
            return (bases @ codes.mT).reshape(x.shape).to(x.dtype)

    def _initial_bases(self, features: Tensor) -> Tensor:
        batch, channels, _ = features.shape
        if self.training:
            return features.new_empty(batch, channels, self.rank).uniform_()
        generator = torch.Generator().manual_seed(NMF_SEED)
        bases = torch.rand(1, channels, self.rank, generator=generator, device="cpu")
        return bases.to(features.device).expand(batch, -1, -1)


def _update(factor: Tensor, target: Tensor, other: Tensor) -> Tensor:
    return factor * target / (factor @ (other.mT @ other) + 1e-6)
