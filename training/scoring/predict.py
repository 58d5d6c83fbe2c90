"""What is scored: the images and labels of networks, teachers and folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from mafs_ros.engine.graph import fused_image
from mafs_ros.perception.classes import ClassTable
from training.data.samples import Sample
from training.data.tensors import dtype_of, images, to_tensors
from training.scoring.scores import Image, Prediction, Scores, empty_scores
from training.teachers.images import teacher_image


def score(
    samples: Iterable[Sample],
    predict: Callable[[Sample], Prediction],
    table: ClassTable | None,
) -> Scores:
    """Scores of `predict` over samples."""
    scores = empty_scores(table)
    for sample in samples:
        scores.accumulate(sample, predict(sample))
    return scores


@torch.no_grad()
def predict_with_network(
    network: nn.Module, sample: Sample, device: torch.device | None = None
) -> Prediction:
    """The colour image and the labels that a network in evaluation gives when it is deployed."""
    batch = batch_of(sample, device)
    output = network(*images(batch, dtype_of(network)))
    fused = None
    if output.fused is not None:
        fused = fused_image(batch["rgb"].float(), output.fused.float())[0].cpu().numpy()
    return Prediction(fused, None if output.logits is None else label_map(output.logits))


@torch.no_grad()
def predict_with_teacher(teacher: nn.Module, image: Tensor) -> Prediction:
    """Labels of an image [1, 3, H, W] in 0..1."""
    return Prediction(None, label_map(teacher(image)))


def batch_of(sample: Sample, device: torch.device | None = None) -> dict[str, Tensor]:
    """A sample as a batch of one."""
    return {name: value[None].to(device) for name, value in to_tensors(sample).items()}


def grey(fused: Tensor) -> Image:
    """uint8 [H,W] of a luminance [1, 1, H, W] in 0..1, clipped and rounded, not stretched."""
    return (fused[0, 0] * 255).round().clamp(0, 255).byte().cpu().numpy()


def label_map(logits: Tensor) -> Image:
    """uint8 [H,W] of the likeliest classes of logits [1, K, H, W]."""
    return logits[0].argmax(0).byte().cpu().numpy()


def as_image(rgb: Image) -> Tensor:
    """rgb uint8 [H,W,3] as [1, 3, H, W] in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float() / 255


def as_bytes(image: Tensor) -> Image:
    """rgb uint8 [H,W,3] of the first of images [B, 3, H, W] in 0..1; undoes `as_image`."""
    rgb = (image[0] * 255).round().byte().permute(1, 2, 0)
    return np.ascontiguousarray(rgb.cpu().numpy())


def teacher_input(kind: str, sample: Sample, fused: Image | None) -> Tensor:
    """What a teacher sees of a sample, [1, 3, H, W] in 0..1; kind as in `TeacherTraining`."""
    if kind == "fused" and fused is not None:
        return as_image(fused)
    return teacher_image(kind, *images(batch_of(sample)), None)
