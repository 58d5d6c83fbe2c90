"""SegFormer's decoder (Xie et al., NeurIPS 2021, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mafs_ros.model.layers import ConvNorm, resize
from training.teachers.mit import initialise_transformer

DIMENSIONS = {"b0": 256, "b1": 256, "b2": 768, "b3": 768, "b5": 768}
DROPOUT = 0.1


class SegFormerHead(nn.Module):
    """All-MLP decoder: four maps of `widths` to logits [B, num_classes, H/4, W/4] (Eq. 4)."""

    def __init__(self, widths: tuple[int, ...], dimension: int, num_classes: int) -> None:
        super().__init__()
        self.unify = nn.ModuleList(nn.Conv2d(width, dimension, 1) for width in widths)
        self.unify.apply(initialise_transformer)
        self.fuse = ConvNorm(len(widths) * dimension, dimension, 1, activation=nn.ReLU())
        self.dropout = nn.Dropout2d(DROPOUT)
        self.predict = nn.Conv2d(dimension, num_classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        height, width = maps[0].shape[-2:]
        unified = [
            resize(unify(x), (height, width)) for unify, x in zip(self.unify, maps, strict=True)
        ]
        return self.predict(self.dropout(self.fuse(torch.cat(unified[::-1], 1))))
