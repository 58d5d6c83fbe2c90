"""SFE: shallow feature extraction, one per modality (paper, Fig. 2(a))."""

from __future__ import annotations

from torch import Tensor, nn

from mafs_ros.model.config import MafsConfig
from mafs_ros.model.layers import FReLU, conv


class ShallowFeatures(nn.Module):
    """Take detail features at the fusion resolution and the input of the backbone's stem.

    image [B, inputs, H, W] in 0..1 -> (detail [B, detail_width, H/s, W/s],
    stem input [B, stem_width, H/2, W/2] or, without an own stem, the image itself),
    where s is the config's `detail_stride`. Where nothing reads the detail features (no own
    stem, and no fusion or a deep_only one) they are the image.
    """

    def __init__(self, inputs: int, stem_width: int, config: MafsConfig) -> None:
        super().__init__()
        width, stride = config.detail_width, config.detail_stride
        layers: list[nn.Module] = []
        read = config.own_stem or (config.fusion and not config.deep_only)
        for index in range(config.detail_layers if read else 0):
            layers += [
                _first_convolution(inputs, config) if index == 0 else conv(width, width),
                nn.BatchNorm2d(width),
                FReLU(width),
            ]
        self.detail = nn.Sequential(*layers)
        self.stem: nn.Module | None = None
        if config.own_stem:
            self.stem = nn.Sequential(
                nn.Conv2d(width, stem_width, 3, stride=2 // stride, padding=1),
                nn.BatchNorm2d(stem_width),
                FReLU(stem_width),
                nn.Conv2d(stem_width, stem_width, 3, padding=1),
            )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        detail = self.detail(image)
        return detail, image if self.stem is None else self.stem(detail)


def _first_convolution(inputs: int, config: MafsConfig) -> nn.Module:
    """Keep the size, or take each cell of `detail_stride` x `detail_stride` pixels as one."""
    width, stride = config.detail_width, config.detail_stride
    if stride > 1:
        return nn.Conv2d(inputs, width, stride, stride)
    return conv(inputs, width, config.detail_kernel)
