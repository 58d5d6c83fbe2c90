"""Encoder: two trunks with interaction, and the fusion of their features."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from mafs_ros.model.afm import MeanFusion, ShallowFusion, refining
from mafs_ros.model.backbones import build_backbone
from mafs_ros.model.cam import DeepFusion, SumFusion
from mafs_ros.model.config import MafsConfig
from mafs_ros.model.dem import ModalityInteraction
from mafs_ros.model.inn import DenseRefinement
from mafs_ros.model.phf import AddedFusion, ProgressiveFusion
from mafs_ros.model.sfe import ShallowFeatures


class Encoded(NamedTuple):
    """What the decoders read.

    fusion: refined features [B, fusion_width, H/s, W/s], s = `detail_stride`; None without fusion.
    detail: the same from before PHF and refinement.
    shallow: PHF features [B, fusion_width, H/t, W/t], t = `shallow_stride`.
    deep: fused F3 (and F4 to F6 with segmentation) [B, segmentation_width, H/4.. H/32, ..].
    """

    fusion: Tensor | None
    detail: Tensor | None
    shallow: Tensor
    deep: list[Tensor]


class Encoder(nn.Module):
    """Extract, exchange and fuse the features of both modalities (paper, section III-B).

    visible [B, 3, H, W] and infrared [B, 1, H, W] in 0..1, H and W multiples of 32 -> Encoded.
    The stages that only one task needs are built with that task alone.
    """

    def __init__(self, config: MafsConfig) -> None:
        super().__init__()
        stem_channels = (None, None) if config.own_stem else (3, 1)
        self.visible_trunk = build_backbone(config.backbone, stem_channels[0])
        self.infrared_trunk = build_backbone(config.backbone, stem_channels[1])
        stem_width, widths = self.visible_trunk.stem_width, self.visible_trunk.widths
        self.depth = 4 if config.segmentation else 1
        for trunk in (self.visible_trunk, self.infrared_trunk):
            del trunk.stages[self.depth :]
        self.visible_sfe = ShallowFeatures(3, stem_width, config)
        self.infrared_sfe = ShallowFeatures(1, stem_width, config)
        levels = (stem_width, *widths)
        self.interaction = nn.ModuleDict(
            {
                str(level): ModalityInteraction(
                    levels[level], config.dem_kernel, released_gate=config.released_dem_gate
                )
                for level in config.dem_levels
                if level <= min(self.depth, 3)
            }
        )
        deep = DeepFusion if config.cam else SumFusion
        self.deep_fusion = nn.ModuleList(
            deep(
                stage_width,
                config.segmentation_width,
                separable=config.separable,
                pool=config.attention_pool,
            )
            for stage_width in widths[: self.depth]
        )
        progressive = ProgressiveFusion if config.phf else AddedFusion
        width, kernel = config.fusion_width, config.fusion_kernel
        self.stem_fusion = _shallow_fusion(stem_width, config, config.shallow_stride // 2)
        self.stem_progressive = progressive(width, config.segmentation_width, kernel)
        self.fusion = config.fusion
        if config.fusion:
            self.detail_fusion = _shallow_fusion(config.detail_width, config)
            self.detail_progressive = progressive(width, width, kernel)
            self.refinement = DenseRefinement(
                width, config.dsrm_blocks, separable=config.separable
            )

    def forward(self, visible: Tensor, infrared: Tensor) -> Encoded:
        visible_detail, visible_stem = self.visible_sfe(visible)
        infrared_detail, infrared_stem = self.infrared_sfe(infrared)
        v = self.visible_trunk.stem(visible_stem)
        i = self.infrared_trunk.stem(infrared_stem)
        v, i = self._interact(0, v, i)
        stem = self.stem_fusion(v, i)
        deep = []
        for stage in range(self.depth):
            v = self.visible_trunk.stage(stage, v)
            i = self.infrared_trunk.stage(stage, i)
            v, i = self._interact(stage + 1, v, i)
            deep.append(self.deep_fusion[stage](v, i))
        shallow = self.stem_progressive(stem, deep[0])
        if not self.fusion:
            return Encoded(None, None, shallow, deep)
        detail = self.detail_fusion(visible_detail, infrared_detail)
        refined = self.refinement(self.detail_progressive(detail, shallow))
        return Encoded(refined, detail, shallow, deep)

    def _interact(self, level: int, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        return self.interaction[str(level)](v, i) if str(level) in self.interaction else (v, i)


def _shallow_fusion(inputs: int, config: MafsConfig, stride: int = 1) -> nn.Module:
    """AFM, or its ablation, for features of `inputs` channels."""
    width = config.fusion_width
    visible, infrared = (
        refining(inputs, width, config.afm_layers, config.fusion_kernel, stride) for _ in range(2)
    )
    if not config.afm:
        return MeanFusion(visible, infrared)
    return ShallowFusion(visible, infrared, width, config.afm_reduction)
