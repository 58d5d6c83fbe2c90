"""Segmentation decoder: pyramid, context, multi-scale transformer, head, auxiliary heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.arm import AuxiliaryFusion, Classifier, DilatedBlock
from mafs_ros.model.aspp import DilatedContext
from mafs_ros.model.config import MafsConfig
from mafs_ros.model.layers import ConvNorm, conv, pooled, resize, scale_size
from mafs_ros.model.mst import MultiScaleTransformer, SummedScales
from mafs_ros.model.pixel_decoder import PixelDecoder


class SegmentationHead(nn.Module):
    """Logits from features weighted by a learned foreground map.

    [B, width, h, w] -> [B, num_classes, h * stride, w * stride]. subpixel: every pixel of a cell
    has logits of its own, else they are resized.
    """

    def __init__(self, width: int, num_classes: int, stride: int, *, subpixel: bool) -> None:
        super().__init__()
        self.stride, self.subpixel = stride, subpixel
        self.binary_features = ConvNorm(width, width // 4, 1, activation=nn.ReLU6())
        self.binary = nn.Conv2d(width // 4, 2, 3, padding=1)
        self.semantic_features = ConvNorm(width, width, 1, activation=nn.ReLU6())
        pixels = stride**2 if subpixel else 1
        self.semantic = conv(width, num_classes * pixels, separable=subpixel)

    def forward(self, x: Tensor) -> Tensor:
        logits = self._small_logits(x)
        return F.pixel_shuffle(logits, self.stride) if self.subpixel else self._resized(logits)

    def class_ids(self, x: Tensor) -> Tensor:
        """The class of the largest logit, the first of equal ones: float [B, 1, H, W]."""
        if not self.subpixel:
            return first_largest(self._resized(self._small_logits(x)).split(1, 1))
        # A convolution per class, as engines copy split maps; and compared before the cells are
        # laid out, which moves one map instead of one per class.
        spread_out, classify = self.semantic.children()  # separable
        assert isinstance(classify, nn.Conv2d) and classify.bias is not None
        x = spread_out(self._weighted(x))
        weights, biases = (
            values.split(self.stride**2) for values in (classify.weight, classify.bias)
        )
        logits = [F.conv2d(x, *values) for values in zip(weights, biases, strict=True)]
        return F.pixel_shuffle(first_largest(logits), self.stride)

    def _small_logits(self, x: Tensor) -> Tensor:
        return self.semantic(self._weighted(x))

    def _weighted(self, x: Tensor) -> Tensor:
        # The release divides exponentials, which overflow; the sigmoid of the difference of the
        # two maps is the same number, and the convolution is linear: it can give the difference.
        assert self.binary.bias is not None
        weight, bias = (
            foreground - background
            for background, foreground in (self.binary.weight.chunk(2), self.binary.bias.chunk(2))
        )
        contrast = F.conv2d(self.binary_features(x), weight, bias, padding=1)
        return self.semantic_features(x * torch.sigmoid(contrast))

    def _resized(self, logits: Tensor) -> Tensor:
        return resize(logits, scale_size(logits, self.stride), align_corners=True)


class AuxiliaryHeads(nn.Module):
    """Training-only predictions at three scales (paper, L_aux in Eq. 18; architecture notes, 9.2).

    features F3 to F6 and the coarsest pyramid level -> six maps at the input's resolution, coarse
    to fine: 2-channel, num_classes, 2-channel, num_classes, 2-channel, num_classes.
    """

    def __init__(self, config: MafsConfig) -> None:
        super().__init__()
        width, separable = config.segmentation_width, config.separable
        self.fusions = nn.ModuleList(AuxiliaryFusion(width, separable=separable) for _ in range(3))
        scales = ((4, 4), (4, 2), (2, 2))
        self.binary = nn.ModuleList(
            Classifier(width, 2, *scale, separable=separable) for scale in scales
        )
        self.semantic = nn.ModuleList(
            Classifier(width, config.num_classes, *scale, separable=separable) for scale in scales
        )

    def forward(self, features: list[Tensor], coarsest: Tensor) -> tuple[Tensor, ...]:
        outputs: list[Tensor] = []
        coarse, high = features[3], coarsest
        for level, low in enumerate((features[2], features[1], features[0])):
            coarse, high = self.fusions[level](low, coarse, high)
            outputs += [self.binary[level](coarse), self.semantic[level](high)]
        return tuple(outputs)


class SegmentationDecoder(nn.Module):
    """Segment from fused features (paper, section III-D).

    shallow: PHF features [B, fusion_width, H/t, W/t], t = `shallow_stride`; features: F3 to F6
    [B, segmentation_width, H/4..H/32, ..]. Returns (logits [B, num_classes, H, W], auxiliary
    maps as in `AuxiliaryHeads`, empty where the config leaves them out).
    """

    def __init__(self, config: MafsConfig) -> None:
        super().__init__()
        width, separable = config.segmentation_width, config.separable
        self.pixel_decoder = PixelDecoder(width, config.norm_groups, separable=separable)
        self.context = DilatedContext(width, config.aspp_dilations, separable=separable)
        scales = MultiScaleTransformer if config.mst else SummedScales
        self.scales = scales(config)
        self.preliminary = nn.Sequential(
            *(ConvNorm(width, width, separable=separable, activation=nn.ReLU()) for _ in range(2))
        )
        self.dilated = DilatedBlock(
            config.fusion_width + width, width, config.arm_dilations, separable=separable
        )
        self.head = SegmentationHead(
            width,
            config.num_classes,
            config.segmentation_stride,
            subpixel=config.subpixel_logits,
        )
        self.auxiliary = AuxiliaryHeads(config) if config.auxiliary else None
        self.pool = config.segmentation_stride // config.shallow_stride

    def forward(
        self, shallow: Tensor, features: list[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        pyramid = self.pixel_decoder(features)
        auxiliary = self.auxiliary(features, pyramid[0]) if self.auxiliary is not None else ()
        return self.head(self._last_features(shallow, features, pyramid)), auxiliary

    def class_ids(self, shallow: Tensor, features: list[Tensor]) -> Tensor:
        """The class of each pixel, float [B, 1, H, W]."""
        pyramid = self.pixel_decoder(features)
        return self.head.class_ids(self._last_features(shallow, features, pyramid))

    def _last_features(
        self, shallow: Tensor, features: list[Tensor], pyramid: list[Tensor]
    ) -> Tensor:
        skips = [self.context(level) for level in pyramid[2:]]
        x = self.preliminary(self.scales(features[2], skips))
        return self.dilated(torch.cat([pooled(shallow, self.pool), x], 1))


def first_largest(maps: Sequence[Tensor]) -> Tensor:
    """Index of the largest of two or more maps, per value; the first of equal ones. Floats.

    What argmax gives, as comparisons: engines do them in one pass.
    """
    largest = maps[0]
    index: Tensor | float = 0.0
    for number, values in enumerate(maps[1:], 1):
        index = torch.where(values > largest, float(number), index)
        largest = torch.maximum(largest, values)
    return torch.as_tensor(index)
