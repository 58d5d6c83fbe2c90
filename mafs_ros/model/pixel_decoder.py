"""Pixel decoder: a feature pyramid with group normalisation (Cheng et al., MaskFormer, 2021)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.layers import conv


class PixelDecoder(nn.Module):
    """Pass information from coarse to fine levels.

    features: F3 to F6, [B, width, H/4.., W/4..] to 1/32. Returns four maps of the same width,
    coarse (1/32) to fine (1/4).
    """

    def __init__(self, width: int, groups: int, *, separable: bool = False) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            _conv_group_norm(width, 1, groups, separable) for _ in range(3)
        )
        self.output = nn.ModuleList(
            nn.Sequential(_conv_group_norm(width, 3, groups, separable), nn.ReLU())
            for _ in range(4)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        pyramid = [self.output[3](features[3])]
        for level in (2, 1, 0):
            lateral = self.lateral[level](features[level])
            coarse = F.interpolate(pyramid[-1], size=lateral.shape[-2:], mode="nearest")
            pyramid.append(self.output[level](lateral + coarse))
        return pyramid


def _conv_group_norm(width: int, kernel: int, groups: int, separable: bool) -> nn.Sequential:
    return nn.Sequential(
        conv(width, width, kernel, bias=False, separable=separable),
        nn.GroupNorm(groups, width) if groups else nn.BatchNorm2d(width),
    )
