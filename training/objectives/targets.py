"""Targets of the auxiliary losses, derived from the labels (data sets ship only labels)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORE = 255
# Band of two pixels to either side of an edge. The release's class weights follow ENet's
# 1 / ln(1.02 + frequency): they tell that 2.3 % of MFNet's pixels are boundary and 8.3 % are
# foreground, 0.28 boundary pixels for one of foreground. On such street labels radius 1, 2 and 3
# give 0.13, 0.25 and 0.37.
BOUNDARY_RADIUS = 2


def binary_target(labels: Tensor) -> Tensor:
    """Foreground or not: 0 for class 0, 1 for any other class, 255 where the label is 255.

    labels: integers [B, H, W]. Returns int64 [B, H, W].
    """
    return torch.where(labels == IGNORE, IGNORE, (labels > 0).long())


def boundary_target(labels: Tensor, radius: int = BOUNDARY_RADIUS) -> Tensor:
    """Boundary or not: 1 where another class lies within `radius` pixels, diagonals included.

    labels: integers [B, H, W]. Returns int64 [B, H, W] of 0, 1 and 255. Ignored pixels are 255;
    so are those near ignored pixels where no other class is seen, because one could be there.
    Nothing is assumed beyond the image. Raises ValueError for a radius below 1.
    """
    if radius < 1:
        raise ValueError(f"boundary radius is {radius}, expected at least 1 pixel")
    ignored = labels == IGNORE
    classes = labels.float()[:, None]  # exact: ids are below 256
    highest = _window_maximum(classes.masked_fill(ignored[:, None], -1.0), radius)
    lowest = -_window_maximum(-classes, radius)  # 255 is above any class
    near_ignored = _window_maximum(ignored.float()[:, None], radius) > 0
    target = (highest != lowest).long()
    unknown = ignored | (near_ignored & (target == 0))
    return target.masked_fill(unknown, IGNORE)


def _window_maximum(image: Tensor, radius: int) -> Tensor:
    """Maximum over the square of 2 radius + 1 pixels; [B, 1, H, W] -> [B, H, W]."""
    return F.max_pool2d(image, 2 * radius + 1, stride=1, padding=radius).squeeze(1)
