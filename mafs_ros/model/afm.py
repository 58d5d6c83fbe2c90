"""AFM: adaptive fusion of shallow features (paper, Fig. 3(a))."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mafs_ros.model.layers import ConvNorm, spatial_mean


class ShallowFusion(nn.Module):
    """Fuse shallow features of both modalities by one learned weight per pixel and channel.

    visible, infrared: the convolutions of each modality (see `refining`), from its features
    [B, inputs, H, W] to [B, width, h, w], which is what comes out. Batch normalisation acts on
    pooled 1x1 maps, so training needs a batch of at least 2.
    """

    def __init__(
        self, visible: nn.Sequential, infrared: nn.Sequential, width: int, reduction: int = 4
    ) -> None:
        super().__init__()
        self.visible, self.infrared = visible, infrared
        self.recalibrate = nn.Sequential(
            ConvNorm(2 * width, width // 2, 1, bias=True, activation=nn.ReLU()),
            ConvNorm(width // 2, 2 * width, 1, bias=True, activation=nn.Sigmoid()),
        )
        self.gather = ConvNorm(2 * width, width, 1, bias=True, activation=nn.ReLU())
        self.local_weight = _bottleneck(width, reduction)
        self.global_weight = _bottleneck(width, reduction)

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        visible, infrared = self.visible(visible), self.infrared(infrared)
        means = [spatial_mean(x) for x in (visible, infrared)]
        gain_visible, gain_infrared = (1 + self.recalibrate(torch.cat(means, 1))).chunk(2, 1)
        visible, infrared = visible * gain_visible, infrared * gain_infrared
        gathered = self.gather(torch.cat([visible, infrared], 1))
        pooled = spatial_mean(gathered)
        weight = torch.sigmoid(self.local_weight(gathered) * self.global_weight(pooled))
        return infrared + weight * (visible - infrared)


class MeanFusion(nn.Module):
    """Ablation of AFM: convolve each modality and add them; same shapes as ShallowFusion."""

    def __init__(self, visible: nn.Module, infrared: nn.Module) -> None:
        super().__init__()
        self.visible, self.infrared = visible, infrared

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        return self.visible(visible) + self.infrared(infrared)


def refining(
    inputs: int, width: int, layers: int = 3, kernel: int = 3, stride: int = 1
) -> nn.Sequential:
    """Convolutions of one modality: [B, inputs, H, W] to [B, width, H/stride, W/stride].

    With a stride the first takes cells of stride x stride pixels.
    """
    widths = [inputs] + [width] * layers
    refine = nn.Sequential(
        *(
            ConvNorm(a, b, kernel, activation=nn.ReLU())
            for a, b in zip(widths, widths[1:], strict=False)
        )
    )
    if stride > 1:
        refine[0].conv = nn.Conv2d(inputs, width, stride, stride, bias=False)
    return refine


def _bottleneck(width: int, reduction: int) -> nn.Sequential:
    return nn.Sequential(
        ConvNorm(width, width // reduction, 1, bias=True, activation=nn.ReLU()),
        ConvNorm(width // reduction, width, 1, bias=True),
    )
