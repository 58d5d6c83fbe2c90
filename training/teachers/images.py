"""What a teacher sees: either image, their mean or maximum, or the fused one."""

from __future__ import annotations

import torch
from torch import Tensor

from mafs_ros.engine.graph import replace_luminance
from mafs_ros.model.mafs import luminance


def teacher_image(kind: str, visible: Tensor, infrared: Tensor, fused: Tensor | None) -> Tensor:
    """[B, 3, H, W] in 0..1 of a batch; kind as in `TeacherTraining`.

    visible; infrared three times; fused in colour; mean or maximum of luminance and infrared, in
    the colours of the visible image as the fused one is. Raises ValueError for fused images
    where there are none.
    """
    if kind == "visible":
        return visible
    if kind == "infrared":
        return infrared.expand(-1, 3, -1, -1)
    if kind == "mean":
        fused = (luminance(visible) + infrared) / 2
    elif kind == "maximum":
        fused = torch.maximum(luminance(visible), infrared)
    elif fused is None:
        raise ValueError("the teacher sees fused images, and this network fuses none")
    return replace_luminance(visible, fused).clamp(0, 1)
