"""What a study is made of: rows of overrides, planned as independent runs of the trainers.

Planning starts nothing: a `Job` is a command, the folder it writes and the folders it needs.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import sys
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from training.loop.checkpoint import flatten
from training.recipes.parse import parse, read_mapping
from training.recipes.recipe import CONFIGS, Recipe, load_recipe

STUDIES = CONFIGS / "studies"
Stage = Literal["stage1", "teacher", "stage2"]
STAGES: tuple[Stage, ...] = typing.get_args(Stage)
FILES = {"stage1": "model.safetensors", "teacher": "teacher.safetensors"}
# Settings that change no number of a run.
NO_MATTER = ("workers", "cache", "about", "licence", "tests", "fusion", "finish")
NO_MATTER_OF_PLAN = ("evaluate_every", "checkpoint_every", "best")
# Fields of the network that stage 1, which has no segmentation, does not read.
SEGMENTATION_FIELDS = (
    *("mst", "mst_batch_norm", "mst_relu", "mst_refine", "mst_sum", "norm_groups", "auxiliary"),
    *("aspp_dilations", "arm_dilations", "segmentation_stride", "subpixel_logits"),
)


@dataclass(frozen=True)
class Row:
    """A row of the table: its name and how it differs from the study.

    overrides: `key.key=value`, after those of the study. stages: None for the study's.
    paper: published scores by column of the table, IoU in percent.
    """

    name: str
    overrides: tuple[str, ...] = ()
    stages: tuple[Stage, ...] | None = None
    paper: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A recipe trained in several ways, which `python -m training.study` compares.

    base: name of the row to which differences are taken; the teacher that sees fused images sees
    those of its stage 1. overrides: of all rows. stages: what is run for a row; one that distils
    needs teacher. split: of the recipe's evaluation, None for what the recipe says. about: what
    the table says of itself. Raises ValueError for names that are missing or alike.
    """

    recipe: str
    base: str
    rows: tuple[Row, ...]
    overrides: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = STAGES
    split: str | None = None
    about: str = ""

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        if self.base not in names:
            raise ValueError(f"base is {self.base!r}: expected one of the rows {', '.join(names)}")
        folders = [folder_name(name) for name in names]
        if twice := [n for n, f in zip(names, folders, strict=True) if folders.count(f) > 1]:
            raise ValueError(f"rows need names that make folders of their own; got {twice}")
        for row in self.rows:
            if "stage2" not in self.stages_of(row):
                raise ValueError(f"row {row.name!r} lacks stage2, of which the scores come")

    @property
    def base_row(self) -> Row:
        return next(row for row in self.rows if row.name == self.base)

    def stages_of(self, row: Row) -> tuple[Stage, ...]:
        return self.stages if row.stages is None else row.stages

    def overrides_of(self, row: Row, seed: int) -> list[str]:
        """All overrides of a run of that row."""
        overrides = [*self.overrides]
        if self.split is not None:
            sources = [
                {**dataclasses.asdict(source), "split": self.split}
                for source in _load(self.recipe, tuple(overrides)).evaluation
            ]
            overrides.append(f"evaluation={json.dumps(sources)}")
        return [*overrides, *row.overrides, f"seed={seed}"]

    def recipe_of(self, row: Row, seed: int = 0) -> Recipe:
        """The recipe of a run. Raises ValueError that names the row."""
        try:
            return _load(self.recipe, tuple(self.overrides_of(row, seed)))
        except ValueError as error:
            raise ValueError(f"row {row.name!r}: {error}") from None


@dataclass(frozen=True)
class Job:
    """One run of a training program, independent of all others but those it needs.

    name: for people. row, seed: of the first row that needs it. command: arguments of the process.
    folder: what it writes. needs: folders of the jobs that come before. settings: all that its
    result depends on.
    """

    name: str
    stage: Stage
    row: str
    seed: int
    command: tuple[str, ...]
    folder: Path
    needs: tuple[Path, ...]
    settings: dict[str, Any]


def load_study(name_or_path: str | Path) -> Study:
    """Read a study: a name in training/configs/studies or a YAML file.

    Raises FileNotFoundError that lists the studies, ValueError that names the wrong entry.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = STUDIES / f"{name_or_path}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in STUDIES.glob("*.yaml")))
        raise FileNotFoundError(f"no study {str(name_or_path)!r}; give a .yaml file or: {known}")
    try:
        return typing.cast(Study, parse(Study, read_mapping(path), "study"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def plan(study: Study, seeds: Sequence[int], data: Sequence[str], out: Path) -> list[Job]:
    """The runs of a study, each after those it needs: all rows of the first seed, then the next.

    data: `--data` of the programs. out: folder of the study. Rows that share the settings of
    stage 1 or of the teacher share that run. Raises ValueError that names the row.
    """
    planner = _Planner(study, data, out)
    rows = [study.base_row, *(row for row in study.rows if row.name != study.base)]
    for seed in seeds:
        for row in rows:
            planner.add_row(row, seed)
    return list(planner.jobs.values())


class _Planner:
    """The jobs so far, by all that their result depends on."""

    def __init__(self, study: Study, data: Sequence[str], out: Path) -> None:
        self.study, self.data, self.out = study, data, out
        self.jobs: dict[str, Job] = {}

    def add_row(self, row: Row, seed: int) -> None:
        """Add the runs of a row that are not there yet."""
        stages, recipe = self.study.stages_of(row), self.study.recipe_of(row, seed)
        distils = recipe.stage2.distillation != "none"
        if distils and "teacher" not in stages:
            raise ValueError(
                f"row {row.name!r} distils, but has no teacher: add teacher to its stages, or "
                "stage2.distillation=none to its overrides"
            )
        start = self._add("stage1", row, seed, {}) if "stage1" in stages else None
        teacher = self._add_teacher(row, seed, recipe.teacher.images) if distils else None
        inputs = {"start": start, "teacher": teacher}
        self._add("stage2", row, seed, {name: job for name, job in inputs.items() if job})

    def _add_teacher(self, row: Row, seed: int, images: str) -> Job:
        if images != "fused":
            return self._add("teacher", row, seed, {})
        base = self.study.base_row
        if "stage1" not in self.study.stages_of(base):
            raise ValueError(
                f"the teacher of row {row.name!r} sees the images that stage 1 of the base row "
                f"{base.name!r} fuses: add stage1 to the stages of that row"
            )
        return self._add("teacher", row, seed, {"fusion": self._add("stage1", base, seed, {})})

    def _add(self, stage: Stage, row: Row, seed: int, inputs: dict[str, Job]) -> Job:
        """The job with these settings and inputs (option of the program -> job of its file)."""
        settings = settings_of(self.study.recipe_of(row, seed), stage)
        settings |= {name: _short(job.folder) for name, job in inputs.items()}
        # Two rows may be alike, but each has a line of the table.
        key = json.dumps([stage, settings, row.name if stage == "stage2" else ""])
        if key in self.jobs:
            return self.jobs[key]
        folder = self.out / stage / f"{folder_name(row.name)}-seed{seed}"
        options = [
            text
            for name, job in inputs.items()
            for text in (f"--{name}", str(job.folder / FILES[job.stage]))
        ]
        self.jobs[key] = Job(
            name=f"{stage} {row.name!r} seed {seed}",
            stage=stage,
            row=row.name,
            seed=seed,
            command=(
                *(sys.executable, "-m", f"training.{stage}", "--recipe", self.study.recipe),
                *(("--data", *self.data) if self.data else ()),
                *("--out", str(folder), "--resume", *options),
                *("--set", *self.study.overrides_of(row, seed)),
            ),
            folder=folder,
            needs=tuple(job.folder for job in inputs.values()),
            settings=settings,
        )
        return self.jobs[key]


@functools.cache
def _load(recipe: str, overrides: tuple[str, ...]) -> Recipe:
    return load_recipe(recipe, overrides)


def settings_of(recipe: Recipe, stage: Stage) -> dict[str, Any]:
    """Every setting that the result of a stage depends on, `key.key` -> value."""
    values = dataclasses.asdict(recipe)
    own = values[stage]
    for name in NO_MATTER_OF_PLAN:
        del own["optimisation"][name]
    for name in (*STAGES, *NO_MATTER):
        del values[name]
    if stage == "stage1":
        for name in SEGMENTATION_FIELDS:
            values["network"].pop(name, None)
    elif stage == "teacher":  # its network is another, and the fused images come as a file
        del values["network"], values["imagenet"]
    return json.loads(json.dumps(flatten({**values, stage: own})))


def folder_name(name: str) -> str:
    """A row's name as part of a path."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "-"


def _short(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"
