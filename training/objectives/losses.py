"""Losses of the MAFS paper (section III-E) and their variants in the authors' release.

Images are [B, 1, H, W] in 0..1, logits [B, K, H, W], labels and targets int64 [B, H, W] with 255
ignored. Every function is pure and returns a scalar unless it says otherwise. Where the paper and
the release differ, the paper's form is the default.

With several processes the batch is that of all together: their mean gradient is that of one
process with the whole batch. What selects or weights pixels looks at all processes for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from mafs_ros.model.layers import at_least_fp32, without_autocast
from training.objectives.processes import from_all_processes, mean_over_processes
from training.objectives.targets import IGNORE

# Class weights that the release names in comments, for MFNet's (off, on) pixels.
BINARY_WEIGHTS_MFNET = (1.5121, 10.2388)
BOUNDARY_WEIGHTS_MFNET = (1.4459, 23.7228)
# Weights of the positive class in PSFusion's binary loss (`one_hot_bce`), per channel.
BINARY_POSITIVE_WEIGHTS_PSFUSION = (1.4548, 19.8962)
SOBEL_X = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))
# Smoothing, first and second derivative of the 5x5 second-order Sobel filters.
_SMOOTH = (1.0, 4.0, 6.0, 4.0, 1.0)
_FIRST = (-1.0, -2.0, 0.0, 2.0, 1.0)
_SECOND = (1.0, 0.0, -2.0, 0.0, 1.0)
TwoChannelTask = Literal["binary", "boundary"]


def sobel(image: Tensor) -> tuple[Tensor, Tensor]:
    """Absolute Sobel responses along x and y, zero padded; [B, 1, H, W] each."""
    along_x = torch.tensor(SOBEL_X)
    filtered = _filter(F.pad(image, (1, 1, 1, 1)), torch.stack([along_x, along_x.T.flip(0)]))
    x, y = filtered.abs().chunk(2, 1)
    return x, y


def intensity_loss(
    fused: Tensor, visible: Tensor, infrared: Tensor, salient: Tensor | None = None
) -> Tensor:
    """Mean distance of the fused luminance to the brighter source (Eq. 15).

    L = mean |F - max(V, I)|. With a salient mask m [B, 1, H, W] in 0..1, the release's variant,
    which wants the infrared inside the mask:
    L = mean |F (1 - m) - max(V, I) (1 - m)| + mean |F m - I m|.
    """
    brighter = torch.maximum(visible, infrared)
    if salient is None:
        return F.l1_loss(fused, brighter)
    rest = 1 - salient
    return F.l1_loss(fused * rest, brighter * rest) + F.l1_loss(
        fused * salient, infrared * salient
    )


def gradient_loss(fused: Tensor, visible: Tensor, infrared: Tensor) -> Tensor:
    """Mean distance of the fused gradient to the stronger source's, per direction (Eq. 16).

    L = sum over d in (x, y) of mean | |S_d F| - max(|S_d V|, |S_d I|) |, S the Sobel filter.
    """
    triples = zip(sobel(fused), sobel(visible), sobel(infrared), strict=True)
    return torch.stack([F.l1_loss(f, torch.maximum(v, i)) for f, v, i in triples]).sum()


def fusion_loss(
    fused: Tensor,
    visible: Tensor,
    infrared: Tensor,
    salient: Tensor | None = None,
    intensity_weight: float = 1.0,
) -> Tensor:
    """Intensity and gradient together: L = w L_int + L_grad; the release has w = 5."""
    intensity = intensity_loss(fused, visible, infrared, salient)
    return intensity_weight * intensity + gradient_loss(fused, visible, infrared)


def ohem_cross_entropy(
    logits: Tensor, labels: Tensor, thresh: float = 0.75, n_min: int | None = None
) -> Tensor:
    """Cross-entropy of the hard pixels of the batch (L_seg; the release's OhemCELoss).

    Mean over the pixels whose true class has a probability below `thresh` if they are more than
    `n_min`, else over the `n_min` worst pixels. Ignored pixels count as pixels of loss 0.
    n_min: None takes a sixteenth of the batch's pixels, as PSFusion's trainer does.
    """
    loss = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none").flatten()
    everywhere = from_all_processes(loss)
    pixels, processes = everywhere.numel(), everywhere.numel() // loss.numel()
    wanted = max(1, pixels // 16) if n_min is None else min(n_min, pixels)
    hard = everywhere > -math.log(thresh)
    if hard.sum() > wanted:
        return processes * loss[loss > -math.log(thresh)].sum() / hard.sum()
    least = everywhere.topk(wanted).values[-1]  # of those that are equal to it, a share
    above, equal = everywhere > least, everywhere == least
    share = (wanted - above.sum()) / equal.sum()
    total = loss[loss > least].sum() + share * loss[loss == least].sum()
    return processes * total / wanted


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    temperature: float = 4.0,
    variant: Literal["paper", "release"] = "paper",
) -> Tensor:
    """Pixel-wise knowledge distillation (Eq. 19); p = softmax over classes of logits / T.

    paper: KL(p_student || p_teacher), summed over the pixels of an image, mean over the batch.
    release: T^2 KL(p_teacher || p_student), mean over all pixels. The paper's is some H W / T^2
    times larger, so the two need different weights. No gradient flows to the teacher.
    Raises ValueError for another variant.
    """
    log_student = F.log_softmax(student / temperature, 1)
    log_teacher = F.log_softmax(teacher.detach() / temperature, 1)
    if variant == "paper":
        return F.kl_div(log_teacher, log_student, reduction="batchmean", log_target=True)
    if variant == "release":
        divergence = F.kl_div(log_student, log_teacher, reduction="none", log_target=True)
        return temperature**2 * divergence.sum(1).mean()
    raise ValueError(f"distillation variant is {variant!r}, expected 'paper' or 'release'")


def channel_distillation_loss(
    student: Tensor, teacher: Tensor, temperature: float = 4.0
) -> Tensor:
    """Channel-wise distillation (the release's CriterionCWD): where each class map is active.

    L = T^2 mean over samples and channels of KL(q_teacher || q_student), q = softmax over the
    pixels of one channel of logits / T. No gradient flows to the teacher.
    """
    log_student = F.log_softmax(student.flatten(2) / temperature, 2)
    log_teacher = F.log_softmax(teacher.detach().flatten(2) / temperature, 2)
    divergence = F.kl_div(log_student, log_teacher, reduction="none", log_target=True)
    return temperature**2 * divergence.sum(2).mean()


def cross_entropy(
    logits: Tensor, target: Tensor, weights: Sequence[float] | Tensor | None = None
) -> Tensor:
    """Class-weighted cross-entropy: sum of w_t (-log p_t) over the sum of w_t, t the target class.

    Serves the boundary and the binary loss (K = 2, weights per class (off, on)) and plain
    semantic losses. A batch without one valid pixel gives 0, not NaN.
    """
    logits = at_least_fp32(logits)
    w = logits.new_ones(logits.shape[1]) if weights is None else _like(logits, weights)
    total = F.cross_entropy(logits, target, w, ignore_index=IGNORE, reduction="sum")
    weight = mean_over_processes(w[target[target != IGNORE]].sum())
    return total / weight.clamp_min(torch.finfo(w.dtype).tiny)


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """One minus the soft Dice overlap, mean over the classes that the labels have.

    L = 1 - mean over k of 2 sum p_k y_k / (sum p_k + sum y_k), sums over the valid pixels of the
    whole batch, p = softmax of the logits, y = one-hot labels (Milletari et al., V-Net, 2016). A
    batch without one valid pixel gives 0.
    """
    valid = (labels != IGNORE)[:, None]
    probability = at_least_fp32(logits).softmax(1) * valid
    classes = torch.arange(logits.shape[1], device=labels.device)[:, None, None]
    wanted = (labels[:, None] == classes).to(probability)
    overlap, predicted, labelled = mean_over_processes(
        torch.stack([maps.sum((0, 2, 3)) for maps in (probability * wanted, probability, wanted)])
    )
    size, there = predicted + labelled, labelled > 0
    losses = 1 - 2 * overlap / size.clamp_min(1e-6)
    return (losses * there).sum() / there.sum().clamp_min(1)


def one_hot_bce(
    logits: Tensor, target: Tensor, positive_weights: Sequence[float] | Tensor | None = None
) -> Tensor:
    """PSFusion's boundary and binary loss: binary cross-entropy of every channel against one-hot.

    L = mean over valid pixels and channels k of -(w_k y_k log s_k + (1 - y_k) log(1 - s_k)),
    s = sigmoid(logits), y = one-hot target, w = positive weight per channel (1 where None).
    """
    valid = target != IGNORE
    chosen = at_least_fp32(logits).movedim(1, -1)[valid]
    wanted = F.one_hot(target[valid], logits.shape[1]).to(chosen)
    w = None if positive_weights is None else _like(chosen, positive_weights)
    total = F.binary_cross_entropy_with_logits(chosen, wanted, pos_weight=w, reduction="sum")
    return total / max(chosen.numel(), 1)


def auxiliary_losses(
    aux: Sequence[Tensor],
    labels: Tensor,
    binary: Tensor,
    boundary: Tensor,
    *,
    binary_weights: Sequence[float] | Tensor | None = BINARY_WEIGHTS_MFNET,
    boundary_weights: Sequence[float] | Tensor | None = None,
    two_channel: Sequence[TwoChannelTask] = ("binary", "binary", "boundary"),
    thresh: float = 0.75,
    n_min: int | None = None,
) -> dict[str, Tensor]:
    """Multi-scale auxiliary losses of the segmentation (L_aux of Eq. 18), summed per kind.

    aux: `MafsOutput.aux`, pairs of a 2-channel and a K-channel map, coarse to fine.
    binary, boundary: targets of `training.objectives.targets`. Returns "semantic" (OHEM over
    all scales), "binary" (weighted cross-entropy) and "boundary" (cross-entropy); L_aux is their
    sum.
    two_channel: what the 2-channel map of each scale predicts. Neither the paper nor the release
    says which; thin boundaries survive only at the finest scale, so that one has them.
    Raises ValueError where the numbers of maps do not fit.
    """
    if len(aux) != 2 * len(two_channel):
        raise ValueError(
            f"got {len(aux)} auxiliary maps for {len(two_channel)} scales, expected two per "
            "scale: build the model with auxiliary=True and call it in training mode"
        )
    semantic = [ohem_cross_entropy(logits, labels, thresh, n_min) for logits in aux[1::2]]
    losses = {"semantic": torch.stack(semantic).sum()}
    targets = {"binary": (binary, binary_weights), "boundary": (boundary, boundary_weights)}
    for logits, task in zip(aux[::2], two_channel, strict=True):
        loss = cross_entropy(logits, *targets[task])
        losses[task] = losses[task] + loss if task in losses else loss
    return losses


def second_order_gradient(image: Tensor) -> Tensor:
    """Sum of the absolute second derivatives xx, xy and yy; [B, 1, H, W].

    5x5 Sobel filters, replicate padding, each kernel divided by the sum of its absolute values
    (64, 36, 64) as kornia 0.7.3 does; later versions divide xy by 64.
    """
    smooth, first, second = (torch.tensor(k) for k in (_SMOOTH, _FIRST, _SECOND))
    along_xx = torch.outer(smooth, second)
    kernels = torch.stack([along_xx, torch.outer(first, first), along_xx.T])
    kernels = kernels / kernels.abs().sum((1, 2), keepdim=True)
    padded = F.pad(image, (2, 2, 2, 2), mode="replicate")
    return _filter(padded, kernels).abs().sum(1, keepdim=True)


def reconstruction_intensity_loss(
    reconstruction: Tensor, image: Tensor, hidden: Tensor | None = None
) -> Tensor:
    """Distance to the image on the masked pixels (of Eq. 10 to 12): L = mean |R m - I m|.

    The mean is over all pixels. m = hidden [B, 1, H, W], 1 where masked; None compares all.
    """
    if hidden is None:
        return F.l1_loss(reconstruction, image)
    return F.l1_loss(reconstruction * hidden, image * hidden)


def reconstruction_gradient_loss(
    reconstruction: Tensor,
    image: Tensor,
    hidden: Tensor | None = None,
    variant: Literal["paper", "per_sample", "release"] = "paper",
) -> Tensor:
    """Distance of the second-order gradients g on the masked pixels (Eq. 13).

    paper: L = mean |g(R m) - g(I m)|, the gradient of the masked images.
    per_sample: L = mean |g(R) m - g(I) m|, what the release means.
    release: the same with its broadcast, g [B, H, W] times m [B, 1, H, W], which masks every
    sample by every other sample's mask; equal to per_sample for B = 1.
    """
    if hidden is None:
        return F.l1_loss(second_order_gradient(reconstruction), second_order_gradient(image))
    if variant == "paper":
        masked = second_order_gradient(reconstruction * hidden)
        return F.l1_loss(masked, second_order_gradient(image * hidden))
    difference = (second_order_gradient(reconstruction) - second_order_gradient(image)).abs()
    if variant == "per_sample":
        return (difference * hidden).mean()
    if variant == "release":
        return (difference.squeeze(1) * hidden).mean()
    raise ValueError(
        f"gradient variant is {variant!r}, expected 'paper', 'per_sample' or 'release'"
    )


def reconstruction_loss(
    reconstruction: Tensor,
    image: Tensor,
    hidden: Tensor | None = None,
    variant: Literal["paper", "per_sample", "release"] = "paper",
    intensity_weight: float = 5.0,
    gradient_weight: float = 5.0,
) -> Tensor:
    """Stage-1 loss of one modality, L = 5 L_int + 5 L_grad (Eq. 10 to 13); stage 1 adds both."""
    intensity = reconstruction_intensity_loss(reconstruction, image, hidden)
    gradient = reconstruction_gradient_loss(reconstruction, image, hidden, variant)
    return intensity_weight * intensity + gradient_weight * gradient


def _filter(padded: Tensor, kernels: Tensor) -> Tensor:
    """Responses [B, N, H, W] of one channel to kernels [N, k, k].

    In float32 even under autocast: the differences that a gradient loss looks at are below
    bfloat16's step.
    """
    padded = at_least_fp32(padded)
    with without_autocast(padded.device.type):
        return F.conv2d(padded, kernels[:, None].to(padded))


def _like(logits: Tensor, weights: Sequence[float] | Tensor) -> Tensor:
    return torch.as_tensor(weights, dtype=logits.dtype, device=logits.device)
