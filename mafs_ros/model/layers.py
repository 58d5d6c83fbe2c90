"""Building blocks that several modules of the network share."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    *,
    dilation: int = 1,
    bias: bool = True,
    separable: bool = False,
) -> nn.Module:
    """Return a stride-1 convolution that keeps the spatial size.

    `separable` gives a depthwise convolution followed by a pointwise one (Howard et al.,
    MobileNets, 2017) where the kernel is larger than one pixel.
    """
    padding = dilation * (kernel // 2)
    if not separable or kernel == 1:
        return nn.Conv2d(inputs, outputs, kernel, 1, padding, dilation, bias=bias)
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, kernel, 1, padding, dilation, groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1, bias=bias),
    )


class ConvNorm(nn.Module):
    """Convolution, batch normalisation and an optional activation.

    Input [B, inputs, H, W], output [B, outputs, H, W].
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        dilation: int = 1,
        bias: bool = False,
        separable: bool = False,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = conv(
            inputs, outputs, kernel, dilation=dilation, bias=bias, separable=separable
        )
        self.norm = nn.BatchNorm2d(outputs)
        self.activation = activation if activation is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x)))


class FReLU(nn.Module):
    """Funnel activation max(x, BN(depthwise 3x3(x))); shape is kept (Ma et al., ECCV 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(x, self.norm(self.conv(x)))


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel; [B, C, H, W] in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype.itemsize < 4:  # autocast: a square may be beyond half precision
            return self(x.float()).to(x.dtype)
        # Written out: engines copy the map twice for a layer norm over the first axis.
        centred = x - x.mean(1, keepdim=True)
        scale = torch.rsqrt(centred.square().mean(1, keepdim=True) + 1e-5)
        weight, bias = self.weight[:, None, None], self.bias[:, None, None]
        return centred * scale * weight + bias


def spatial_mean(x: Tensor) -> Tensor:
    """Return the mean [B, C, 1, 1] of every map of [B, C, H, W], summed in fp32.

    The sum over a map may be beyond what half precision holds. Of four dimensions, because
    engines lay the whole map out anew for a mean of two.
    """
    return at_least_fp32(x).mean((2, 3), keepdim=True).to(x.dtype)


def at_least_fp32(x: Tensor) -> Tensor:
    """Return half precision as fp32, anything else as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def without_autocast(device_type: str) -> AbstractContextManager[object]:
    """Return a context in which products of fp32 tensors are of fp32, under autocast too.

    Nothing where autocast is off or a graph is exported: a context would become part of it.
    """
    if (
        torch.compiler.is_exporting()
        or not torch.amp.is_autocast_available(device_type)  # device "meta"
        or not torch.is_autocast_enabled(device_type)
    ):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


def pixel_rows(x: Tensor) -> Tensor:
    """Return [B, C, H, W] as the channels of each pixel, [B, H * W, C].

    Engines keep the channels of a pixel together in memory, so that this moves nothing there.
    """
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def pooled(x: Tensor, factor: int) -> Tensor:
    """Return [B, C, H, W] averaged over cells of factor x factor; 1 is a no-op."""
    return F.avg_pool2d(x, factor) if factor > 1 else x


def pool_factor(x: Tensor, most: int) -> int:
    """Return the largest of `most`, `most` / 2, .. 1 that divides height and width of `x`."""
    factor = most
    while factor > 1 and any(size % factor for size in x.shape[-2:]):
        factor //= 2
    return factor


def mix_channels(x: Tensor, weights: Tensor) -> Tensor:
    """Return a 1x1 convolution of [B, C, H, W] with weights [B, outputs, C] of each sample."""
    return (x.permute(0, 2, 3, 1) @ weights.transpose(1, 2)[:, None]).permute(0, 3, 1, 2)


def resize(x: Tensor, size: tuple[int, int], *, align_corners: bool = False) -> Tensor:
    """Resize [B, C, h, w] bilinearly to `size` (height, width); the same size is a no-op."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def scale_size(x: Tensor, factor: int) -> tuple[int, int]:
    """Return the spatial size of `x` times `factor` as (height, width)."""
    return x.shape[-2] * factor, x.shape[-1] * factor
