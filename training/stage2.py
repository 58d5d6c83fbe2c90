"""Stage 2: joint training of fusion and segmentation.

    python -m training.stage2 --recipe mfnet --data mfnet=/data/ir_seg_dataset --out runs/stage2 \\
        --start runs/stage1/model.safetensors --teacher runs/teacher/teacher.safetensors

Fusion loss (Eq. 15, 16), segmentation with distillation and auxiliary losses (Eq. 17 to 19), the
two tasks balanced (Eq. 20, 21). --start takes what Algorithm 1 names from stage 1, or everything
from an earlier stage 2 (`training.start.first_weights`). Writes `model.safetensors`, which the
node runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from mafs_ros.evaluation.metrics import FUSION_METRICS
from mafs_ros.model.mafs import Mafs, MafsOutput, luminance
from mafs_ros.model.weights import save_weights
from training.data.batches import Crops
from training.data.datasets import Dataset
from training.data.tensors import Batch, full_precision, images
from training.loop.describe import model_info
from training.loop.run import Evaluation, Learner, Run
from training.loop.trainer import fit, make_fabric, setup
from training.loop.validation import PICTURES, own_samples
from training.objectives.balancing import FairGrad, make_balancing
from training.objectives.losses import (
    auxiliary_losses,
    channel_distillation_loss,
    distillation_loss,
    gradient_loss,
    intensity_loss,
)
from training.objectives.segmentation import check_class_weights, segmentation_loss
from training.objectives.targets import binary_target, boundary_target
from training.recipes.options import make_parser, run_training
from training.recipes.recipe import LossWeights, Recipe, Stage2
from training.recipes.sources import open_sources
from training.scoring.means import mean_fusion_scores, segmentation_names, segmentation_scores
from training.scoring.pictures import picture_row
from training.scoring.predict import predict_with_network
from training.scoring.scores import empty_scores
from training.start.first_weights import start_from
from training.start.imagenet import load_imagenet_trunks
from training.teachers import Teacher
from training.teachers.file import load_teacher
from training.teachers.images import teacher_image

TASKS = ("fusion", "segmentation")
AUXILIARY = ("semantic", "binary", "boundary")


class JointLearner(Learner):
    """Network, teacher and balancing; the loss of stage 2.

    teacher_images: what the teacher sees, see `TeacherTraining`.
    """

    network: Mafs

    def __init__(
        self, network: Mafs, teacher: Teacher | None, teacher_images: str, stage: Stage2
    ) -> None:
        super().__init__()
        self.network = network
        self.teacher = teacher
        self.teacher_images = teacher_images
        self.stage = stage
        tasks = tasks_of(network)
        self.balance = make_balancing(stage.balancing, stage.balancing_options, tasks)
        self.learns = teacher is not None and stage.teacher == "joint"
        self._shared: list[nn.Parameter] | None = None
        if teacher is not None:
            teacher.requires_grad_(self.learns)

    def train(self, mode: bool = True) -> JointLearner:
        super().train(mode)
        if self.teacher is not None and not self.learns:
            self.teacher.eval()
        return self

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        visible, infrared = images(batch)
        labels = batch["labels"].long()
        output = in_full_precision(self.network(visible, infrared))
        terms = fusion_terms(output, visible, infrared, self.stage.weights)
        terms |= segmentation_terms(output, labels, self.stage)
        teacher_loss = None
        if self.teacher is not None and output.logits is not None:
            fused = None if output.fused is None else output.fused.detach()
            image = teacher_image(self.teacher_images, visible, infrared, fused)
            taught = full_precision(self.teacher(image))
            weight = self.stage.weights.distillation
            terms["distillation"] = weight * distil(output.logits, taught, self.stage)
            if self.learns:
                teacher_loss = segmentation_loss(taught, labels, self.stage.segmentation)
        losses = {task: total for task, total in task_losses(terms).items() if total is not None}
        total = self.balance(losses, self.shared_parameters(losses))
        if teacher_loss is not None:  # no parameter of the tasks is in it
            total, terms["teacher"] = total + teacher_loss, teacher_loss
        return total, terms

    def shared_parameters(self, losses: Mapping[str, Tensor]) -> list[nn.Parameter]:
        """The parameters that all tasks use; found once, and only where balancing needs them."""
        if not isinstance(self.balance, FairGrad):
            return []
        if self._shared is None:
            parameters = [p for p in self.network.parameters() if p.requires_grad]
            used = [
                torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
                for loss in losses.values()
            ]
            columns = zip(*used, strict=True)
            self._shared = [
                parameter
                for parameter, gradients in zip(parameters, columns, strict=True)
                if all(gradient is not None for gradient in gradients)
            ]
        return self._shared


def tasks_of(network: Mafs) -> tuple[str, ...]:
    """The tasks that a network is built for."""
    built = (network.config.fusion, network.config.segmentation)
    return tuple(task for task, has in zip(TASKS, built, strict=True) if has)


def in_full_precision(output: MafsOutput) -> MafsOutput:
    """The output for the losses: not in the half precision of autocast."""
    fused, logits, aux = output
    return MafsOutput(
        None if fused is None else full_precision(fused),
        None if logits is None else full_precision(logits),
        tuple(full_precision(maps) for maps in aux),
    )


def fusion_terms(
    output: MafsOutput, visible: Tensor, infrared: Tensor, weights: LossWeights
) -> dict[str, Tensor]:
    """Weighted intensity and gradient terms (Eq. 15, 16); visible is [B, 3, H, W] in 0..1."""
    if output.fused is None:
        return {}
    y = luminance(visible)
    return {
        "intensity": weights.intensity * intensity_loss(output.fused, y, infrared),
        "gradient": weights.gradient * gradient_loss(output.fused, y, infrared),
    }


def segmentation_terms(output: MafsOutput, labels: Tensor, stage: Stage2) -> dict[str, Tensor]:
    """Weighted terms of logits and auxiliary maps against labels int64 (Eq. 17, 18)."""
    if output.logits is None:
        return {}
    weights, how = stage.weights, stage.segmentation
    terms = {"segmentation": weights.segmentation * segmentation_loss(output.logits, labels, how)}
    if output.aux:
        losses = auxiliary_losses(
            output.aux,
            labels,
            binary_target(labels),
            boundary_target(labels),
            binary_weights=stage.binary_weights,
            boundary_weights=stage.boundary_weights,
            two_channel=stage.two_channel,
            thresh=how.thresh,
            n_min=how.n_min,
        )
        terms |= {name: getattr(weights, name) * loss for name, loss in losses.items()}
    return terms


def distil(student: Tensor, taught: Tensor, stage: Stage2) -> Tensor:
    """The distillation loss of a recipe (Eq. 19)."""
    if stage.distillation == "channel":
        return channel_distillation_loss(student, taught, stage.temperature)
    if stage.distillation == "none":
        raise ValueError("stage2.distillation is none: nothing to distil")
    return distillation_loss(student, taught, stage.temperature, stage.distillation)


def task_losses(terms: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """The terms summed for each task, None for a task without terms."""
    fusion = [value for name, value in terms.items() if name in ("intensity", "gradient")]
    rest = [value for name, value in terms.items() if name not in ("intensity", "gradient")]
    return {
        task: torch.stack(values).sum() if values else None
        for task, values in zip(TASKS, (fusion, rest), strict=True)
    }


def validate(datasets: Sequence[Dataset], fabric: Fabric, network: nn.Module) -> Evaluation:
    """Fusion scores, mIoU and pictures: rgb, thermal, fused, labels, prediction."""
    table = next((d.class_table for d in datasets if d.class_table is not None), None)
    scores = empty_scores(table)
    pictures: list[list[Any]] = []
    for _, sample in own_samples(datasets, fabric):
        prediction = predict_with_network(network, sample, fabric.device)
        scores.accumulate(sample, prediction)
        if len(pictures) < PICTURES:
            pictures.append(picture_row(sample, prediction, table))
    values = mean_fusion_scores(fabric, scores.fusion.per_image)
    if scores.segmentation is not None:
        values |= segmentation_scores(fabric, scores.segmentation)
    return Evaluation(values, pictures)


def score_names(network: Mafs, datasets: Sequence[Dataset]) -> list[str]:
    """What `validate` can score; first that by which weights are kept as the best."""
    names = []
    table = next((d.class_table for d in datasets if d.class_table is not None), None)
    if network.config.segmentation and table is not None:
        names += segmentation_names(table.names)
    if network.config.fusion:
        names += ["VIF", *(name for name in FUSION_METRICS if name != "VIF")]
    return names


def write(
    run: Run, scores: dict[str, float], file: str = "model.safetensors", *, start: Path | None
) -> None:
    """Write the network as the model file that the node runs."""
    config = {k: v for k, v in run.recipe.network_overrides.items() if k != "auxiliary"}
    info = model_info(run, config, scores)
    if start is not None:
        begun = start.name if start.parent == Path() else "/".join(start.parts[-2:])
        info.training["start"] = begun
    save_weights(run.out / file, run.result, info)  # type: ignore[arg-type]


def make_learner(
    recipe: Recipe, start: Path | None = None, teacher_file: Path | None = None
) -> JointLearner:
    """Network with its first weights, and teacher. Raises ValueError or OSError."""
    stage, table = recipe.stage2, recipe.class_table
    check_class_weights(stage.segmentation, table.num_classes)
    distils = stage.distillation != "none"
    if distils != (teacher_file is not None):
        raise ValueError(
            "this recipe distils from a teacher: give --teacher FILE (python -m training.teacher "
            "makes it), or --set stage2.distillation=none"
            if distils
            else "a teacher is given, but stage2.distillation is none"
        )
    torch.manual_seed(recipe.seed)
    weights = stage.weights
    wanted = any(getattr(weights, name) for name in AUXILIARY)
    network = recipe.build_network(**{} if wanted else {"auxiliary": False})
    load_imagenet_trunks(network, recipe.imagenet)
    if start is not None:
        start_from(network, start)
    teacher, images_kind = None, "fused"
    if teacher_file is not None:
        teacher, about = load_teacher(teacher_file)
        images_kind = about["images"]
        if about["class_table"] != table.to_dict():
            raise ValueError(
                f"{teacher_file}: knows the classes of {about['class_table']['name']}, this "
                f"recipe trains with those of {table.name}"
            )
    return JointLearner(network, teacher, images_kind, stage)


def train(
    recipe: Recipe,
    folders: Mapping[str, Path],
    out: Path,
    *,
    start: Path | None = None,
    teacher: Path | None = None,
    resume: bool = False,
    on_step: Callable[[], None] | None = None,
) -> dict:
    """Run stage 2; returns the last scores. on_step: see `fit`.

    Raises ValueError or OSError before it starts.
    """
    fabric = make_fabric(recipe.stage2.optimisation)
    datasets = open_sources(recipe, recipe.train, folders)
    evaluation = open_sources(recipe, recipe.evaluation, folders)
    learner = make_learner(recipe, start, teacher)
    crops = Crops(datasets, recipe.augmentation, recipe.seed)
    run = setup(fabric, learner, recipe, "stage2", out, crops, resume=resume)
    names = score_names(learner.network, evaluation)
    writes = partial(write, start=start)
    return fit(run, crops, partial(validate, evaluation), writes, names, on_step)


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the options say."""
    parser = make_parser("stage2", __doc__)
    parser.add_argument("--start", type=Path, help="model file to take first weights from")
    parser.add_argument("--teacher", type=Path, help="teacher.safetensors to distil from")
    args = parser.parse_args(argv)
    return run_training(train, args, start=args.start, teacher=args.teacher)


if __name__ == "__main__":
    sys.exit(main())
