"""Train a teacher: segmentation of fused images, or of one modality.

    python -m training.teacher --recipe mfnet --data mfnet=/data/ir_seg_dataset \\
        --fusion runs/fusion/model.safetensors --out runs/teacher

--fusion is a network that fuses (stage 1's, or one that was trained before); a recipe whose
teacher sees other images (teacher.images=visible, infrared, mean or maximum) needs none. Writes
`teacher.safetensors`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from mafs_ros.files import write_bytes
from mafs_ros.labels import ClassTable
from mafs_ros.metrics import ConfusionMatrix
from mafs_ros.model.mafs import Mafs
from mafs_ros.model.weights import WeightsError, load_weights
from training.batches import Batch, Crops, dtype_of, full_precision, images, open_sources, preload
from training.datasets import IGNORE, Dataset
from training.evaluate import (
    Prediction,
    as_bytes,
    batch_of,
    empty_scores,
    label_map,
    teacher_image,
)
from training.losses import cross_entropy, dice_loss, ohem_cross_entropy
from training.program import make_parser, run_training
from training.recipe import Recipe, Segmentation, TeacherTraining
from training.stage1 import describe
from training.teachers import Teacher, build_teacher, load_encoder_weights
from training.trainer import Evaluation, Learner, Run, fit, make_fabric, setup

PICTURES = 4
FILE = "teacher.safetensors"


class TeacherLearner(Learner):
    """A teacher, and the frozen network that makes the fused images it sees (or None)."""

    def __init__(self, teacher: Teacher, fusion: Mafs | None, stage: TeacherTraining) -> None:
        super().__init__()
        self.network = teacher
        self.fusion = fusion
        self.stage = stage
        if fusion is not None:
            fusion.requires_grad_(False)

    def train(self, mode: bool = True) -> TeacherLearner:
        super().train(mode)
        if self.fusion is not None:
            self.fusion.eval()
        return self

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        visible, infrared = images(batch)
        with torch.no_grad():
            fused = None if self.fusion is None else self.fusion(visible, infrared).fused
        image = teacher_image(self.stage.images, visible, infrared, fused)
        labels = batch["labels"].long()
        logits = full_precision(self.network(image))
        loss = segmentation_loss(logits, labels, self.stage.segmentation)
        return loss, {"segmentation": loss}


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


def validate(
    learner: TeacherLearner, datasets: Sequence[Dataset], fabric: Fabric, network: nn.Module
) -> Evaluation:
    """mIoU (with and without background) and pictures of a teacher; none without data sets."""
    if not datasets:
        return Evaluation({})
    table = datasets[0].class_table
    if table is None:
        raise ValueError("a teacher is evaluated on labelled pairs")
    scores = empty_scores(table)
    pictures: list[list[Any]] = []
    samples = [(dataset, i) for dataset in datasets for i in range(len(dataset))]
    for n in range(fabric.global_rank, len(samples), fabric.world_size):
        sample = samples[n][0][samples[n][1]]
        visible, infrared = images(batch_of(sample, fabric.device), dtype_of(network))
        fused = None if learner.fusion is None else learner.fusion(visible, infrared).fused
        image = teacher_image(learner.stage.images, visible, infrared, fused)
        predicted = label_map(network(image))
        scores.accumulate(sample, Prediction(None, predicted))
        if len(pictures) < PICTURES:
            pictures.append([as_bytes(image), *label_tiles(sample.labels, predicted, table)])
    assert scores.segmentation is not None
    return Evaluation(segmentation_scores(fabric, scores.segmentation), pictures)


def segmentation_scores(fabric: Fabric, matrix: ConfusionMatrix) -> dict[str, float]:
    """IoU per class and both means in 0..1 of the matrices of all processes together."""
    total: Any = fabric.all_reduce(torch.from_numpy(matrix.matrix), reduce_op="sum")
    matrix.matrix = np.asarray(total.cpu().numpy())
    return iou_scores(matrix)


def iou_scores(matrix: ConfusionMatrix) -> dict[str, float]:
    """Both means and the IoU per class by name, in 0..1; NaN where there is none."""
    values = [matrix.miou(), matrix.miou(background=False), *map(float, matrix.iou())]
    return dict(zip(segmentation_names(matrix.class_names), values, strict=True))


def segmentation_names(classes: Sequence[str]) -> list[str]:
    """Names of what `iou_scores` gives for these classes."""
    return ["mIoU", "mIoU_without_background", *(f"IoU_{name}" for name in classes)]


def label_tiles(
    labels: NDArray[np.uint8] | None, predicted: NDArray[np.uint8], table: ClassTable
) -> list[NDArray[np.uint8]]:
    """Labels and prediction in class colours; ignored pixels grey in the first."""
    palette = table.palette.copy()
    palette[IGNORE] = 90
    return [palette[image] for image in (labels, predicted) if image is not None]


def save_teacher(path: Path, teacher: nn.Module, about: Mapping[str, Any]) -> None:
    """Write a teacher with its description, atomically. Raises OSError."""
    tensors = {key: value.cpu().contiguous() for key, value in teacher.state_dict().items()}
    write_bytes(path, to_safetensors(tensors, {"teacher": json.dumps(dict(about))}))


def load_teacher(path: Path | str) -> tuple[Teacher, dict[str, Any]]:
    """A teacher in evaluation mode, and its description: name, images, class_table, training.

    Raises WeightsError for a file that cannot be read or is none of `save_teacher`.
    """
    path = Path(path)
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["teacher"])
        teacher = build_teacher(about["name"], len(about["class_table"]["classes"]))
        teacher.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise WeightsError(f"{path}: there is no such file") from None
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path}: not a teacher that `python -m training.teacher` wrote ({error!r})"
        ) from error
    return teacher.eval(), about


def write(run: Run, scores: dict[str, float], file: str = FILE) -> None:
    """Write the teacher."""
    recipe = run.recipe
    about = {
        "name": recipe.teacher.name,
        "images": recipe.teacher.images,
        "class_table": recipe.class_table.to_dict(),
        "training": describe(run),
        "scores": {name: value for name, value in scores.items() if value == value},
    }
    save_teacher(run.out / file, run.result, about)


def train(
    recipe: Recipe,
    folders: Mapping[str, Path],
    out: Path,
    *,
    fusion: Path | None = None,
    resume: bool = False,
    on_step: Callable[[], None] | None = None,
) -> dict:
    """Train a teacher; returns the last scores. on_step: see `fit`.

    Raises ValueError or OSError before it starts.
    """
    stage = recipe.teacher
    if (fusion is None) == (stage.images == "fused"):
        raise ValueError(
            f"the teacher of this recipe sees {stage.images} images: "
            + ("give --fusion model.safetensors" if fusion is None else "leave --fusion out")
        )
    network = None if fusion is None else load_weights(fusion)[0]
    if network is not None and network.fusion_decoder is None:
        raise ValueError(f"{fusion}: this network does not fuse")
    datasets = open_sources(recipe, recipe.train, folders)
    evaluation = open_sources(recipe, recipe.evaluation, folders)
    return train_on(
        recipe, datasets, evaluation, out, fusion=network, resume=resume, on_step=on_step
    )


def train_on(
    recipe: Recipe,
    datasets: Sequence[Dataset],
    evaluation: Sequence[Dataset],
    out: Path,
    *,
    fusion: Mafs | None = None,
    made: bool = False,
    resume: bool = False,
    on_step: Callable[[], None] | None = None,
) -> dict:
    """Train a teacher on open data sets; returns the last scores. on_step: see `fit`.

    made: the visible images of the data sets are already what recipe.teacher.images says.
    Raises ValueError or OSError before it starts.
    """
    stage = recipe.teacher
    check_class_weights(stage.segmentation, recipe.class_table.num_classes)
    fabric = make_fabric(stage.optimisation)
    torch.manual_seed(recipe.seed)
    teacher = build_teacher(stage.name, recipe.class_table.num_classes)
    if stage.encoder_weights is not None:
        load_encoder_weights(teacher, stage.encoder_weights)
    learner = TeacherLearner(teacher, fusion, replace(stage, images="visible") if made else stage)
    crops = Crops(datasets, recipe.augmentation, recipe.seed)
    run = setup(fabric, learner, recipe, "teacher", out, len(crops), resume=resume)
    if recipe.cache:
        preload(datasets)
    names = segmentation_names(recipe.class_table.names) if evaluation else []
    return fit(run, crops, partial(validate, learner, evaluation), write, names, on_step)


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the options say."""
    parser = make_parser("teacher", __doc__)
    parser.add_argument("--fusion", type=Path, help="model file of a network that fuses")
    args = parser.parse_args(argv)
    return run_training(train, args, fusion=args.fusion)


if __name__ == "__main__":
    sys.exit(main())
