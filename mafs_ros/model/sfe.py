"""SFE: shallow feature extraction, one per modality (paper, Fig. 2(a))."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.config import MafsConfig
from mafs_ros.model.layers import FReLU


class ShallowFeatures(nn.Module):
    """Take detail features at the fusion resolution and the input of the backbone's stem.

    image [B, inputs, H, W] in 0..1 -> (detail [B, detail_width, H/s, W/s],
    stem input [B, stem_width, H/2, W/2] or, without an own stem, the image itself),
    where s is the config's `detail_stride`. Where nothing reads the detail features (no fusion,
    no own stem) they are the image's cells.
    """

    def __init__(self, inputs: int, stem_width: int, config: MafsConfig) -> None:
        super().__init__()
        self.stride = config.detail_stride
        width = config.detail_width
        channels, kernel = inputs * self.stride**2, config.detail_kernel
        layers: list[nn.Module] = []
        for _ in range(config.detail_layers if config.fusion or config.own_stem else 0):
            layers += [
                nn.Conv2d(channels, width, kernel, padding=kernel // 2),
                nn.BatchNorm2d(width),
                FReLU(width),
            ]
            channels, kernel = width, 3
        self.detail = nn.Sequential(*layers)
        self.stem: nn.Module | None = None
        if config.own_stem:
            self.stem = nn.Sequential(
                nn.Conv2d(width, stem_width, 3, stride=2 // self.stride, padding=1),
                nn.BatchNorm2d(stem_width),
                FReLU(stem_width),
                nn.Conv2d(stem_width, stem_width, 3, padding=1),
            )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        cells = F.pixel_unshuffle(image, self.stride) if self.stride > 1 else image
        detail = self.detail(cells)
        return detail, image if self.stem is None else self.stem(detail)
