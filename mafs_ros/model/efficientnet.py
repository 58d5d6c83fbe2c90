"""EfficientNet-Lite trunks: MobileNet-v2 blocks without squeeze-excitation (Tan & Le, 2019).

Strided convolutions pad as TensorFlow's "SAME" does for even sizes, because the ImageNet weights
were trained so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.trunk import Trunk


class Blocks(NamedTuple):
    """One row of the architecture table: blocks of equal width, the first one strided."""

    outputs: int
    kernel: int
    stride: int
    expansion: int
    depth: int


LITE0 = (
    Blocks(16, 3, 1, 1, 1),
    Blocks(24, 3, 2, 6, 2),
    Blocks(40, 5, 2, 6, 2),
    Blocks(80, 3, 2, 6, 3),
    Blocks(112, 5, 1, 6, 3),
    Blocks(192, 5, 2, 6, 4),
)
# Lite0's with 1.1 times the width and 1.2 times the depth.
LITE2 = (
    Blocks(16, 3, 1, 1, 1),
    Blocks(24, 3, 2, 6, 3),
    Blocks(48, 5, 2, 6, 3),
    Blocks(88, 3, 2, 6, 4),
    Blocks(120, 5, 1, 6, 4),
    Blocks(208, 5, 2, 6, 5),
)
STAGE_ROWS = ((0, 1), (2,), (3, 4), (5,))  # rows that end at strides 4, 8, 16 and 32


def same_pad(x: Tensor, kernel: int) -> Tensor:
    """Zero-pad [B, C, H, W] of even size so that a stride-2 convolution halves it exactly."""
    before, after = (kernel - 2) // 2, (kernel - 1) // 2
    return F.pad(x, (before, after, before, after))


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; residual where shapes agree.

    [B, inputs, H, W] -> [B, outputs, H/stride, W/stride].
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        width = inputs * expansion
        self.kernel, self.strided = kernel, stride == 2
        self.residual = stride == 1 and inputs == outputs
        self.expand = nn.Sequential()
        if expansion != 1:
            self.expand.append(nn.Conv2d(inputs, width, 1, bias=False))
            self.expand.append(_norm(width))
            self.expand.append(nn.ReLU6())
        padding = 0 if self.strided else kernel // 2
        self.depthwise = nn.Sequential(
            nn.Conv2d(width, width, kernel, stride, padding, groups=width, bias=False),
            _norm(width),
            nn.ReLU6(),
        )
        self.project = nn.Sequential(nn.Conv2d(width, outputs, 1, bias=False), _norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.expand(x)
        y = same_pad(y, self.kernel) if self.strided else y
        y = self.project(self.depthwise(y))
        return x + y if self.residual else y


class EfficientNetLite(Trunk):
    """EfficientNet-Lite as a trunk: `stem` at stride 2, then four stages at strides 4 to 32.

    image_channels: channels of the image (0..1) that the stem's first convolution reads.
    table: `LITE0` or `LITE2`. depths: blocks kept of each of its rows, None for all; the last ones
    of a row are residual and go first.
    """

    stem_width = 32

    def __init__(
        self,
        image_channels: int | None,
        table: Sequence[Blocks] = LITE0,
        depths: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if image_channels is None:
            raise ValueError(
                "EfficientNet-Lite keeps its own stem: set own_stem=False in the config"
            )
        self.stem = Stem(image_channels, self.stem_width)
        self.table = tuple(table)
        self.depths = tuple(row.depth for row in table) if depths is None else tuple(depths)
        rows = [row._replace(depth=depth) for row, depth in zip(table, self.depths, strict=True)]
        self.widths = tuple(rows[indices[-1]].outputs for indices in STAGE_ROWS)
        inputs = self.stem_width
        for indices in STAGE_ROWS:
            stage = nn.Sequential()
            for index in indices:
                outputs, kernel, stride, expansion, depth = rows[index]
                for position in range(depth):
                    stage.append(
                        InvertedResidual(
                            inputs, outputs, kernel, 1 if position else stride, expansion
                        )
                    )
                    inputs = outputs
            self.stages.append(stage)


class Stem(nn.Module):
    """First convolution; [B, channels, H, W] in 0..1 -> [B, outputs, H/2, W/2]."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, outputs, 3, 2, bias=False)
        self.norm = _norm(outputs)

    def forward(self, image: Tensor) -> Tensor:
        # On [B, H, W, channels], as images come: engines would otherwise lay it out twice.
        normalised = (image.permute(0, 2, 3, 1) * (255 / 128) - 127 / 128).permute(0, 3, 1, 2)
        return F.relu6(self.norm(self.conv(same_pad(normalised, 3))))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
