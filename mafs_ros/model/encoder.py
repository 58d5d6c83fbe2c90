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
from mafs_ros.model.layers import conv, resize
from mafs_ros.model.phf import AddedFusion, ProgressiveFusion
from mafs_ros.model.sfe import ShallowFeatures

DEEP = (6, 5, 4, 3)


class Encoded(NamedTuple):
    """What the decoders read.

    fusion: refined features [B, fusion_width, H/s, W/s], s = `detail_stride`; None without fusion.
    detail: the same from before PHF and refinement (with `deep_only` from before refinement).
    shallow: PHF features [B, fusion_width, H/t, W/t], t = `shallow_stride`.
    deep: fused F3 to F6 [B, segmentation_width, H/4.. H/32, ..]; without segmentation as many of
        them as PHF needs.
    """

    fusion: Tensor | None
    detail: Tensor | None
    shallow: Tensor
    deep: list[Tensor]


class Encoder(nn.Module):
    """Extract, exchange and fuse the features of both modalities (paper, section III-B).

    visible [B, 3, H, W] and infrared [B, 1, H, W] in 0..1, H and W multiples of 32 -> Encoded.
    The stages that only one task needs are built with that task alone. Raises ValueError for
    levels of PHF that there cannot be.
    """

    def __init__(self, config: MafsConfig) -> None:
        super().__init__()
        _check_levels(config)
        stem_channels = (None, None) if config.own_stem else (3, 1)
        self.visible_trunk = build_backbone(config.backbone, stem_channels[0])
        self.infrared_trunk = build_backbone(config.backbone, stem_channels[1])
        stem_width, widths = self.visible_trunk.stem_width, self.visible_trunk.widths
        self.levels = config.phf_levels
        self.depth = 4 if config.segmentation else max(self.levels, default=2) - 2
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
        width, deep_width = config.fusion_width, config.segmentation_width
        kernel = config.fusion_kernel
        self.deep_progressive = nn.ModuleList(
            progressive(deep_width, deep_width, kernel) for _ in self.levels[1:]
        )
        self.strides = (config.shallow_stride, config.detail_stride)
        self.deep_only, self.fusion = config.deep_only, config.fusion
        if config.deep_only:
            self.project = conv(deep_width, width, 1)
        else:
            self.stem_fusion = _shallow_fusion(stem_width, config, config.shallow_stride // 2)
            if self.levels:
                self.stem_progressive = progressive(width, deep_width, kernel)
        if config.fusion:
            if not config.deep_only:
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
        stem = None if self.deep_only else self.stem_fusion(v, i)
        deep = []
        for stage in range(self.depth):
            v = self.visible_trunk.stage(stage, v)
            i = self.infrared_trunk.stage(stage, i)
            v, i = self._interact(stage + 1, v, i)
            deep.append(self.deep_fusion[stage](v, i))
        condition = self._through_deep_levels(deep)
        if stem is None:
            alone = self.project(condition)
            sizes = [(visible.shape[-2] // s, visible.shape[-1] // s) for s in self.strides]
            shallow, detail = (resize(alone, size) for size in sizes)
            return Encoded(self.refinement(detail) if self.fusion else None, detail, shallow, deep)
        shallow = stem if condition is None else self.stem_progressive(stem, condition)
        if not self.fusion:
            return Encoded(None, None, shallow, deep)
        detail = self.detail_fusion(visible_detail, infrared_detail)
        refined = self.refinement(self.detail_progressive(detail, shallow))
        return Encoded(refined, detail, shallow, deep)

    def _through_deep_levels(self, deep: list[Tensor]) -> Tensor | None:
        """What the deep levels of PHF come to, each conditioned on the one before."""
        features = [deep[level - 3] for level in self.levels]
        if not features:
            return None
        condition = features[0]
        for progressive, finer in zip(self.deep_progressive, features[1:], strict=True):
            condition = progressive(finer, condition)
        return condition

    def _interact(self, level: int, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        return self.interaction[str(level)](v, i) if str(level) in self.interaction else (v, i)


def _check_levels(config: MafsConfig) -> None:
    levels: object = config.phf_levels
    if not isinstance(levels, tuple | list) or list(levels) != [n for n in DEEP if n in levels]:
        raise ValueError(f"phf_levels is {levels}: expected a list of some of 6, 5, 4, 3 in order")
    if config.deep_only and not levels:
        raise ValueError("deep_only needs a deep feature: phf_levels=[3]; got none")


def _shallow_fusion(inputs: int, config: MafsConfig, stride: int = 1) -> nn.Module:
    """AFM, or its ablation, for features of `inputs` channels."""
    width = config.fusion_width
    visible, infrared = (
        refining(inputs, width, config.afm_layers, config.fusion_kernel, stride) for _ in range(2)
    )
    if not config.afm:
        return MeanFusion(visible, infrared)
    return ShallowFusion(visible, infrared, width, config.afm_reduction)
