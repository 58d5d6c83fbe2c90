"""MAFS: the whole network for infrared-visible fusion and segmentation (IEEE TIP 2025)."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple

from torch import Tensor, nn

from mafs_ros.model.config import PRESETS, MafsConfig
from mafs_ros.model.encoder import Encoded, Encoder
from mafs_ros.model.inn import FusionDecoder
from mafs_ros.model.padding import pad_to_multiple
from mafs_ros.model.segmentation import SegmentationDecoder


class MafsOutput(NamedTuple):
    """Result of the network for images of H x W.

    fused: luminance [B, 1, H, W] in 0..1, None without the fusion task.
    logits: [B, num_classes, H, W], None without the segmentation task.
    aux: auxiliary maps at H x W (see `AuxiliaryHeads`), empty where they are not built.
    """

    fused: Tensor | None
    logits: Tensor | None
    aux: tuple[Tensor, ...]


class Mafs(nn.Module):
    """MAFS network built from a config; any height and width, any device.

    visible [B, 3, H, W] RGB and infrared [B, 1 or more, H, W] in 0..1 (only the first infrared
    channel is used) -> MafsOutput. Sizes that are no multiple of 32 are padded at the right and
    bottom by repeating the border, and cropped back.

    Raises ValueError where the shapes do not fit together.
    """

    def __init__(self, config: MafsConfig) -> None:
        super().__init__()
        if not (config.fusion or config.segmentation):
            raise ValueError("nothing to build: enable fusion, segmentation or both")
        self.config = config
        self.encoder = Encoder(config)
        self.fusion_decoder = FusionDecoder(config) if config.fusion else None
        self.segmentation_decoder = SegmentationDecoder(config) if config.segmentation else None

    def forward(self, visible: Tensor, infrared: Tensor) -> MafsOutput:
        height, width = visible.shape[-2:]
        visible, infrared = _padded(visible, infrared)
        encoded = self.encoder(visible, infrared)
        logits = None
        auxiliary: tuple[Tensor, ...] = ()
        if self.segmentation_decoder is not None:
            logits, auxiliary = self.segmentation_decoder(encoded.shallow, encoded.deep)
            logits = logits[..., :height, :width]
            auxiliary = tuple(maps[..., :height, :width] for maps in auxiliary)
        fused = self._fuse(encoded, visible, infrared)
        return MafsOutput(
            None if fused is None else fused[..., :height, :width], logits, auxiliary
        )

    def predict(self, visible: Tensor, infrared: Tensor) -> tuple[Tensor, Tensor]:
        """Fused luminance and class ids (of the largest logit), both float [B, 1, H, W].

        Raises ValueError for a network that lacks one of the tasks.
        """
        height, width = visible.shape[-2:]
        visible, infrared = _padded(visible, infrared)
        encoded = self.encoder(visible, infrared)
        fused = self._fuse(encoded, visible, infrared)
        if fused is None or self.segmentation_decoder is None:
            raise ValueError("predict needs a network with both fusion and segmentation")
        ids = self.segmentation_decoder.class_ids(encoded.shallow, encoded.deep)
        return fused[..., :height, :width], ids[..., :height, :width]

    def _fuse(self, encoded: Encoded, visible: Tensor, infrared: Tensor) -> Tensor | None:
        if self.fusion_decoder is None or encoded.fusion is None:
            return None
        images = (luminance(visible), infrared) if self.config.blend else None
        return self.fusion_decoder(encoded.fusion, encoded.detail, images)


def build_model(preset: str, num_classes: int | None = None, **overrides: Any) -> Mafs:
    """Build a network from a named preset with fields of `MafsConfig` overridden.

    Raises ValueError that lists the presets or the fields.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}: choose one of {', '.join(PRESETS)}")
    known = [field.name for field in fields(MafsConfig)]
    unknown = sorted(set(overrides) - set(known))
    if unknown:
        raise ValueError(f"unknown config field {unknown[0]!r}: there are {', '.join(known)}")
    values: dict[str, Any] = {**PRESETS[preset], **overrides}
    if num_classes is not None:
        values["num_classes"] = num_classes
    return Mafs(MafsConfig(**values))


def luminance(rgb: Tensor) -> Tensor:
    """Luminance [B, 1, H, W] of rgb [B, 3, H, W] in any one range: 0.299 R + 0.587 G + 0.114 B."""
    red, green, blue = rgb.split(1, 1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _padded(visible: Tensor, infrared: Tensor) -> tuple[Tensor, Tensor]:
    """Both images at a size that the network halves five times, infrared [B, 1, H, W]."""
    _check(visible, infrared)
    return pad_to_multiple(visible), pad_to_multiple(infrared[:, :1])


def _check(visible: Tensor, infrared: Tensor) -> None:
    if visible.ndim != 4 or visible.shape[1] != 3:
        raise ValueError(f"visible must be [B, 3, H, W], got {list(visible.shape)}")
    if infrared.ndim != 4 or infrared.shape[1] < 1:
        raise ValueError(f"infrared must be [B, 1, H, W], got {list(infrared.shape)}")
    if visible.shape[0] != infrared.shape[0] or visible.shape[2:] != infrared.shape[2:]:
        raise ValueError(
            f"visible {list(visible.shape)} and infrared {list(infrared.shape)} must agree in "
            "batch, height and width: register or resize the thermal image first"
        )
