"""Batches as tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from training.data.samples import IGNORE, Sample

Batch = dict[str, Tensor]


def to_tensors(sample: Sample) -> Batch:
    """Tensors of one sample, as `Crops` has them; they share the sample's memory."""
    labels = sample.labels
    if labels is None:
        labels = np.full(sample.thermal.shape, IGNORE, np.uint8)
    return {
        "rgb": torch.from_numpy(sample.rgb).permute(2, 0, 1),
        "thermal": torch.from_numpy(sample.thermal)[None],
        "labels": torch.from_numpy(labels),
    }


def images(batch: Batch, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
    """visible [B, 3, H, W] and infrared [B, 1, H, W], floats in 0..1, of uint8 tensors.

    dtype: None for the default one, which Lightning Fabric sets by the precision of the run.
    """
    dtype = dtype or torch.get_default_dtype()
    visible = batch["rgb"].to(dtype).div(255)
    return visible, batch["thermal"].to(dtype).div(255)


def full_precision(x: Tensor) -> Tensor:
    """Of a network's output under autocast, for the losses: in the default type."""
    return x.to(torch.get_default_dtype())


def dtype_of(network: nn.Module) -> torch.dtype:
    """The type of a network's weights."""
    return next(network.parameters()).dtype
