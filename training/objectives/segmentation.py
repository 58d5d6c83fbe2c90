"""The loss of a segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from training.objectives.losses import cross_entropy, dice_loss, ohem_cross_entropy


@dataclass(frozen=True)
class Segmentation:
    """Loss of logits against labels.

    loss: 'ohem' (paper) or 'cross_entropy', then with class_weights. thresh, n_min: of OHEM.
    dice: weight of a soft Dice loss that is added.
    """

    loss: Literal["ohem", "cross_entropy"] = "ohem"
    class_weights: tuple[float, ...] | None = None
    thresh: float = 0.75
    n_min: int | None = None
    dice: float = 0.0


def segmentation_loss(logits: Tensor, labels: Tensor, how: Segmentation) -> Tensor:
    """OHEM or class-weighted cross-entropy of logits [B, K, H, W], with Dice if asked for."""
    if how.loss == "ohem":
        loss = ohem_cross_entropy(logits, labels, how.thresh, how.n_min)
    else:
        loss = cross_entropy(logits, labels, how.class_weights)
    return loss + how.dice * dice_loss(logits, labels) if how.dice else loss


def check_class_weights(how: Segmentation, num_classes: int) -> None:
    """Raise ValueError where the class weights are not one for each class."""
    if how.class_weights is not None and len(how.class_weights) != num_classes:
        raise ValueError(
            f"{len(how.class_weights)} class_weights for {num_classes} classes with background"
        )
