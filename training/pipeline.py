"""The whole training: from data to weights, their scores and a model card.

    python -m training.pipeline --recipe street_lite --data street_rgbt=DIR --out RUN

runs stage 1, `fusion` (where the recipe has that section: the network that makes the teacher's
images), the teacher, stage 2, `finish` (a section too: stage 2 goes on with an augmentation of
its own) and the evaluation, each in its folder RUN/STAGE, and writes RUN/model.safetensors,
scores.json, model_card.md, pictures.png and recipe.yaml. After a break --resume goes on where it
was; stages that are done are skipped.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mafs_ros.base.write import prepare_output_folder, write_bytes
from mafs_ros.model.weights import read_info
from training import stage1, stage2, teacher
from training.loop.checkpoint import CHECKPOINT, read_checkpoint
from training.loop.progress import Progress
from training.recipes.options import make_parser, run_training
from training.recipes.recipe import Finish, LossWeights, Optimisation, Recipe, Stage2
from training.scoring.final_scores import open_data
from training.scoring.model_card import StageReport, recipe_yaml
from training.scoring.results import MODEL, write_results
from training.start.first_weights import ALGORITHM_1
from training.teachers import file

STAGES = ("stage1", "fusion", "teacher", "stage2", "finish")  # their folders
SHOWN_SCORES = ("hidden_error", "VIF", "Qabf", "mIoU")  # of a stage, in the model card


@dataclass(frozen=True)
class Stage:
    """A stage in the folder `name`, which trains by section `section` of its recipe."""

    name: str
    section: str
    recipe: Recipe
    train: Callable[..., dict]

    @property
    def plan(self) -> Optimisation:
        return getattr(self.recipe, self.section).optimisation


def stages_of(recipe: Recipe, out: Path) -> list[Stage]:
    """The stages of a recipe in their order, without those that it has no use for."""
    start = out / "stage1" / MODEL if recipe.network.get("fusion", True) else None
    distils = recipe.stage2.distillation != "none"
    fuser = start if distils and recipe.teacher.images == "fused" else None
    stages = []
    if start is not None:
        stages.append(Stage("stage1", "stage1", recipe, stage1.train))
    if fuser is not None and recipe.fusion is not None:
        alone = fusion_alone(recipe, recipe.fusion.optimisation)
        stages.append(Stage("fusion", "stage2", alone, partial(stage2.train, start=start)))
        fuser = out / "fusion" / MODEL
    taught = None
    if distils:
        stages.append(Stage("teacher", "teacher", recipe, partial(teacher.train, fusion=fuser)))
        taught = out / "teacher" / file.FILE
    joint = partial(stage2.train, start=start, teacher=taught)
    stages.append(Stage("stage2", "stage2", recipe, joint))
    if recipe.finish is not None:
        own = partial(stage2.train, start=out / "stage2" / MODEL)
        stages.append(Stage("finish", "stage2", finishing(recipe, recipe.finish), own))
    return stages


def fusion_alone(recipe: Recipe, plan: Optimisation) -> Recipe:
    """The recipe of a stage 2 that only fuses, by Eq. 15 and 16: one task, nothing to balance.

    What the recipe sets for segmentation is not in it, so that it may change after this stage.
    """
    weights = recipe.stage2.weights
    stage = Stage2(
        optimisation=plan,
        weights=LossWeights(intensity=weights.intensity, gradient=weights.gradient),
        distillation="none",
        balancing="equal",
    )
    network = {**recipe.network, "segmentation": False}
    return dataclasses.replace(recipe, network=network, stage2=stage)


def finishing(recipe: Recipe, finish: Finish) -> Recipe:
    """The recipe of a stage 2 that goes on from its own weights, see `Finish`."""
    weights = dataclasses.replace(recipe.stage2.weights, **dict.fromkeys(stage2.AUXILIARY, 0.0))
    stage = dataclasses.replace(
        recipe.stage2,
        optimisation=finish.optimisation,
        weights=weights,
        segmentation=finish.segmentation,
        distillation="none",
    )
    return dataclasses.replace(recipe, augmentation=finish.augmentation, stage2=stage)


# Before the start.


def steps_done(stages: Sequence[Stage], steps: Mapping[str, int], out: Path) -> dict[str, int]:
    """Steps that lie in the folder of each stage.

    Raises ValueError where what lies there is not of this recipe, or not of each other.
    """
    done = {}
    for stage in stages:
        path = out / stage.name / CHECKPOINT
        state = read_checkpoint(path, stage.recipe, stage.section) if path.exists() else None
        done[stage.name] = 0 if state is None else state["step"]
    names = [stage.name for stage in stages]
    others = [name for name in STAGES if name not in names]
    if extra := [name for name in others if (out / name / CHECKPOINT).exists()]:
        raise ValueError(
            f"{out / extra[0]}: is of a stage that this recipe does not have; resume with the "
            "recipe of this run, or choose another --out"
        )
    for name, later in zip(names, [*names[1:], None], strict=True):
        begun = later is not None and done[later] > 0
        if done[name] > steps[name] or (begun and done[name] < steps[name]):
            next_one = f", and {out / later} goes on from there" if later and begun else ""
            raise ValueError(
                f"{out / name}: has {done[name]} steps, but the recipe asks for {steps[name]}"
                f"{next_one}; resume with the length of this run, or choose another --out"
            )
    return done


# The program.


def train(
    recipe: Recipe, folders: Mapping[str, Path], out: Path, *, resume: bool = False
) -> dict[str, dict[str, float]]:
    """Run what is left of all stages and the evaluation; returns the scores of each test source.

    Of several processes (torchrun) the first one evaluates, the others return nothing. Raises
    ValueError or OSError that says what is wrong, nearly always before anything runs.
    """
    first = os.environ.get("RANK", "0") == "0"
    data = open_data(recipe, folders)
    stages = stages_of(recipe, out)
    if not resume and (begun := [n for n in STAGES if (out / n / CHECKPOINT).exists()]):
        raise FileExistsError(
            f"{out / begun[0]}: a run lies here; add --resume, or choose another --out"
        )
    samples = sum(len(entry.dataset) for entry in data if entry.use == "train")
    steps = {stage.name: stage.plan.total_steps(samples) for stage in stages}
    done = steps_done(stages, steps, out)
    prepare_output_folder(out)
    if first:
        write_bytes(out / "recipe.yaml", recipe_yaml(recipe).encode())
    progress = Progress(steps, done) if first else None
    for stage in stages:
        if done[stage.name] < steps[stage.name]:
            train_stage(stage, folders, out, progress)
    if progress is None:
        return {}
    progress.close()
    reports = [
        StageReport(
            stage.name,
            takes(recipe, stage.name, [stage.name for stage in stages]),
            stage.plan,
            steps[stage.name],
            last_scores(out / stage.name),
        )
        for stage in stages
    ]
    return write_results(recipe, data, reports, out)


def train_stage(
    stage: Stage, folders: Mapping[str, Path], out: Path, progress: Progress | None
) -> None:
    """Train a stage to its end, from its checkpoint where there is one."""
    on_step = None
    if progress is not None:
        progress.start(stage.name)
        on_step = progress.step
    stage.train(stage.recipe, folders, out / stage.name, resume=True, on_step=on_step)


def takes(recipe: Recipe, name: str, stages: Sequence[str]) -> str:
    """What a stage begins with, in words."""

    def weights(file: str | None) -> str:
        return "random weights" if file is None else f"ImageNet weights ({Path(file).name})"

    begins = weights(recipe.imagenet)
    if name == "teacher":
        of = {"fused": f" of {'fusion' if 'fusion' in stages else 'stage1'}"}
        seen = recipe.teacher.images
        return f"{weights(recipe.teacher.encoder_weights)}; sees {seen} images{of.get(seen, '')}"
    if name == "finish":
        begins = "all of stage2"
    elif name != "stage1" and "stage1" in stages:
        begins += f"; {', '.join(ALGORITHM_1)} of stage1"
    if name == "stage2" and "teacher" in stages:
        begins += "; distils from teacher"
    return begins


def last_scores(folder: Path) -> dict[str, float]:
    """Those scores of a stage's last evaluation that tell most."""
    if (folder / file.FILE).exists():
        scores = file.load_teacher(folder / file.FILE)[1]["scores"]
    else:
        scores = read_info(folder / MODEL).scores
    return {name: scores[name] for name in SHOWN_SCORES if name in scores}


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the options say."""
    return run_training(train, make_parser("pipeline", __doc__).parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
