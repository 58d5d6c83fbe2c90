"""Train a teacher: segmentation of fused images, or of one modality.

    python -m training.teacher --recipe mfnet --data mfnet=/data/ir_seg_dataset \\
        --fusion runs/fusion/model.safetensors --out runs/teacher

--fusion is a network that fuses (stage 1's, or one that was trained before); a recipe whose
teacher sees other images (teacher.images=visible, infrared, mean or maximum) needs none. Writes
`teacher.safetensors`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from mafs_ros.model.mafs import Mafs
from mafs_ros.model.weights import load_weights
from training.data.batches import Crops
from training.data.datasets import Dataset
from training.data.tensors import Batch, dtype_of, full_precision, images
from training.loop.describe import describe
from training.loop.run import Evaluation, Learner, Run
from training.loop.trainer import fit, make_fabric, setup
from training.loop.validation import PICTURES, own_samples
from training.objectives.segmentation import check_class_weights, segmentation_loss
from training.recipes.options import make_parser, run_training
from training.recipes.recipe import Recipe, TeacherTraining
from training.recipes.sources import open_sources
from training.scoring.means import segmentation_names, segmentation_scores
from training.scoring.pictures import label_tiles
from training.scoring.predict import as_bytes, batch_of, label_map
from training.scoring.scores import Prediction, empty_scores
from training.teachers import Teacher, build_teacher, load_encoder_weights
from training.teachers.file import FILE, save_teacher
from training.teachers.images import teacher_image


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
    for _, sample in own_samples(datasets, fabric):
        visible, infrared = images(batch_of(sample, fabric.device), dtype_of(network))
        fused = None if learner.fusion is None else learner.fusion(visible, infrared).fused
        image = teacher_image(learner.stage.images, visible, infrared, fused)
        predicted = label_map(network(image))
        scores.accumulate(sample, Prediction(None, predicted))
        if len(pictures) < PICTURES:
            pictures.append([as_bytes(image), *label_tiles(sample.labels, predicted, table)])
    assert scores.segmentation is not None
    return Evaluation(segmentation_scores(fabric, scores.segmentation), pictures)


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
    run = setup(fabric, learner, recipe, "teacher", out, crops, resume=resume)
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
