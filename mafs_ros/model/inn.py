"""Fusion decoder: dense refinement (DSRM), invertible blocks (INN) and the output layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.config import MafsConfig
from mafs_ros.model.layers import at_least_fp32, conv, without_autocast


class DenseRefinement(nn.Module):
    """Densely connected convolutions; [B, width, H, W] in and out.

    Two batch normalisations follow each convolution, as in the release (architecture notes, 7).
    """

    def __init__(self, width: int, blocks: int, *, separable: bool = False) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                conv(width * k, width, bias=False, separable=separable),
                nn.BatchNorm2d(width),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            )
            for k in range(1, blocks + 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        gathered = [x]
        for block in self.blocks:
            gathered.append(block(torch.cat(gathered, 1)))
        return gathered[-1]


class InvertibleConv(nn.Module):
    """Invertible 1x1 convolution with W = P L U (Kingma & Dhariwal, Glow, 2018).

    [B, width, H, W] in and out. Stored matrices are full; the unused triangles are masked.
    """

    permutation: Tensor
    sign: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        orthogonal = torch.linalg.qr(torch.randn(width, width)).Q
        permutation, lower, upper = torch.linalg.lu(orthogonal)
        diagonal = upper.diagonal()
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", diagonal.sign())
        self.log_diagonal = nn.Parameter(diagonal.abs().log())
        self.lower = nn.Parameter(lower)
        self.upper = nn.Parameter(upper)

    def weight(self) -> Tensor:
        """Return W [width, width]."""
        lower = self.lower.tril(-1) + torch.eye(len(self.lower), device=self.lower.device)
        upper = self.upper.triu(1) + torch.diag(self.sign * self.log_diagonal.exp())
        with without_autocast(lower.device.type):
            return self.permutation @ lower @ upper

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.halves(x), 1)

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two channel halves of the output, each [B, width/2, H, W]."""
        first, second = self.weight().to(x.dtype)[:, :, None, None].chunk(2)
        return F.conv2d(x, first), F.conv2d(x, second)


class HalfInstanceNorm(nn.Module):
    """Instance-normalise the first half of the channels, leave the rest; [B, width, H, W].

    Written as one scale and shift, because splitting channels costs engines a copy.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width // 2))
        self.bias = nn.Parameter(torch.zeros(width // 2))
        self.rest = width - width // 2

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype.itemsize < 4:  # autocast: a square may be beyond half precision
            return self(x.float()).to(x.dtype)
        mean = x.mean((2, 3), keepdim=True)
        variance = (x - mean).square().mean((2, 3), keepdim=True)
        half = len(self.weight)
        scale = self.weight[:, None, None] * torch.rsqrt(variance[:, :half] + 1e-5)
        shift = self.bias[:, None, None] - mean[:, :half] * scale
        rest = (0, 0, 0, 0, 0, self.rest)
        return x * F.pad(scale, rest, value=1.0) + F.pad(shift, rest)


class HalfNormUnit(nn.Module):
    """Two 3x3 convolutions, half of the channels instance-normalised between, plus a 1x1 path.

    [B, width, H, W] in and out (HIN block, Chen et al., HINet, 2021).
    """

    def __init__(self, width: int, *, separable: bool = False) -> None:
        super().__init__()
        self.first = conv(width, width, separable=separable)
        self.norm = HalfInstanceNorm(width)
        self.second = conv(width, width, separable=separable)
        self.identity = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.norm(self.first(x)), 0.1)
        return F.leaky_relu(self.second(y), 0.1) + self.identity(x)


class InvertibleBlock(nn.Module):
    """Invertible 1x1, then affine coupling of the two channel halves (paper, Eq. 7).

    [B, width, H, W] in and out. The scale is exp(0.8 (2 sigmoid(.) - 1)), as released.
    """

    def __init__(self, width: int, units: int, *, separable: bool = False) -> None:
        super().__init__()
        self.mix = InvertibleConv(width)
        self.shift_first = _transform(width // 2, units, separable)
        self.shift_second = _transform(width // 2, units, separable)
        self.scale_second = _transform(width // 2, units, separable)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.mix.halves(x)
        first = first + self.shift_first(second)
        scale = torch.exp(0.8 * (2 * torch.sigmoid(self.scale_second(first)) - 1))
        return torch.cat([first, second * scale + self.shift_second(first)], 1)


def _transform(width: int, units: int, separable: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(units):
        layers += [HalfNormUnit(width, separable=separable), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


class FusionDecoder(nn.Module):
    """Turn fused features into the fused luminance (paper, section III-C).

    features, detail [B, fusion_width, H/s, W/s] -> luminance [B, 1, H, W] in 0..1, where s is
    `detail_stride`. A 1x1 gathers the features, the outputs of all but the first `inn_skip`
    blocks and, with `detail_skip`, the detail features. images: what `blend` needs, the
    luminance of the visible and the infrared image, [B, 1, H, W] each in 0..1.
    """

    def __init__(self, config: MafsConfig) -> None:
        super().__init__()
        width = config.fusion_width
        self.skip = min(config.inn_skip, max(config.inn_blocks - 1, 0))
        self.stride = config.detail_stride
        self.detail_skip, self.linear_output = config.detail_skip, config.linear_output
        self.blend = Blend() if config.blend else None
        self.blocks = nn.ModuleList(
            InvertibleBlock(width, config.inn_units, separable=config.separable)
            for _ in range(config.inn_blocks)
        )
        gathered = 1 + config.inn_blocks - self.skip + config.detail_skip
        self.gather = nn.Conv2d(width * gathered, width, 1)
        values = (2 if config.blend else 1) * self.stride**2
        self.output = nn.Conv2d(width, values, 3, padding=int(self.stride == 1))

    def forward(
        self, features: Tensor, detail: Tensor, images: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        gathered, x = [features], features
        if self.detail_skip:
            gathered.append(detail)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index >= self.skip:
                gathered.append(x)
        y = self.gather(torch.cat(gathered, 1))
        if self.stride > 1:  # a black cell around the image would show in its neighbours
            y = F.pixel_shuffle(self.output(with_repeated_border(y)), self.stride)
        else:
            y = self.output(y)
        if self.blend is not None:
            assert images is not None
            y = self.blend(y, *images)
        elif not self.linear_output:
            return (torch.tanh(y) + 1) / 2
        # Unclamped in training, where a clamped pixel would have no gradient.
        return y if self.training else y.clamp(0, 1)


class Blend(nn.Module):
    """Weigh two images pixel by pixel and add a residual.

    values [B, 2, H, W] (a, r) and the images [B, 1, H, W] -> w visible + (1 - w) infrared + r,
    w = sigmoid(4 a). In fp32 whatever the values are: the steps of half precision would show.
    """

    STEEPNESS = 4.0  # a weight of 0 or 1, as at an edge, is near the values of a start

    def forward(self, values: Tensor, visible: Tensor, infrared: Tensor) -> Tensor:
        slope, residual = at_least_fp32(values).chunk(2, 1)
        visible, infrared = at_least_fp32(visible), at_least_fp32(infrared)
        weight = torch.sigmoid(self.STEEPNESS * slope)
        return infrared + weight * (visible - infrared) + residual


def with_repeated_border(x: Tensor) -> Tensor:
    """Repeat the outermost pixels of [B, C, H, W] once on each side.

    Joined, because engines move the whole map several times for F.pad's indices.
    """
    x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)
    return torch.cat([x[..., :1], x, x[..., -1:]], 3)
