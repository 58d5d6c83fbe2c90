"""ResNet trunks (He et al., CVPR 2016; stride on the 3x3 convolution, "v1.5").

Parameter names below the stages are torchvision's, so that its ImageNet weights load after
renaming `layer1..layer4` to `stages.0..stages.3` (`mafs_ros.model.backbones`).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.trunk import Trunk


class Bottleneck(nn.Module):
    """Residual bottleneck of 1x1, 3x3 and 1x1 convolutions; [B, C, H, W] -> [B, 4w, H/s, W/s]."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(Trunk):
    """Bottleneck ResNet as a trunk: `stem` at stride 2, then four stages at strides 4 to 32.

    blocks: bottlenecks per stage, e.g. (3, 8, 36, 3) for ResNet-152.
    image_channels: None where another module replaces the first convolution (the stem is then
        batch normalisation and ReLU on 64 channels, as in MAFS), else channels of the image.
    """

    stem_width = 64
    widths = (256, 512, 1024, 2048)

    def __init__(self, blocks: Sequence[int], image_channels: int | None) -> None:
        super().__init__()
        stem: list[nn.Module] = [nn.BatchNorm2d(64), nn.ReLU()]
        if image_channels is not None:
            stem.insert(0, nn.Conv2d(image_channels, 64, 7, 2, 3, bias=False))
        self.stem = nn.Sequential(*stem)
        self.pool = nn.MaxPool2d(3, 2, 1)
        inputs = self.stem_width
        for index, (depth, outputs) in enumerate(zip(blocks, self.widths, strict=True)):
            width = outputs // Bottleneck.expansion
            stride = 1 if index == 0 else 2
            stage = [Bottleneck(inputs, width, stride)]
            stage += [Bottleneck(outputs, width, 1) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*stage))
            inputs = outputs

    def stage(self, index: int, x: Tensor) -> Tensor:
        return super().stage(index, self.pool(x) if index == 0 else x)
