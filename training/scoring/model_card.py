"""The model card of a run: Markdown that says what the weights are, how good, and where they fail.

What it states is taken from the recipe, the files of the stages and the scores; it holds no text
about one particular network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from mafs_ros.evaluation.metrics import PROTOCOL, SEGMENTATION_PROTOCOL
from training.data.datasets import Dataset
from training.data.sources import Source
from training.recipes.recipe import Optimisation, Recipe
from training.scoring.final_scores import UsedData
from training.scoring.scores import Scores
from training.scoring.tables import SATURATED_PROTOCOL, fusion_table, markdown, segmentation_table
from training.scoring.worst_frames import Failure

PSEUDO_LABELLED = ("street_rgbt", "fusion_pairs")
PSEUDO = "pseudo-labels"
PSEUDO_NOTE = (
    "Pseudo-labels were made by other networks and from human boxes. IoU against them is "
    "agreement with those, not accuracy, and no score of MFNet, MSRS or another benchmark whose "
    "images they label."
)


@dataclass(frozen=True)
class StageReport:
    """A stage as it ran. scores: the last ones on the evaluation sources."""

    name: str
    takes: str
    plan: Optimisation
    steps: int
    scores: Mapping[str, float]


@dataclass(frozen=True)
class TestReport:
    """A test source: where its labels come from, its pairs, scores and failures.

    A failure comes with the path of its picture from the card.
    """

    name: str
    labels: str
    pairs: int
    scores: Scores
    failures: Sequence[tuple[Failure, str]]


def model_card(
    recipe: Recipe,
    data: Sequence[UsedData],
    stages: Sequence[StageReport],
    tests: Sequence[TestReport],
) -> str:
    """The card as Markdown, in the folder of the run."""
    parts = [
        f"# {recipe.network['preset']}, class table {recipe.class_table.name}",
        introduction(recipe),
        "## Data",
        data_section(recipe, data),
        "## Protocol",
        protocol_section(recipe),
        "## Training",
        training_section(stages),
        "## Scores of each camera",
        scores_section(tests),
        "![Frames of each test source](pictures.png)",
        "Rows: frames evenly spaced over each test source, in the order of the tables. Columns: "
        f"{columns(recipe)}.",
        "## Known failures",
        "The worst frames of each test source, by mIoU of the frame where it has labels and by "
        f"Qabf. Columns: {columns(recipe)}.",
        *(failures_section(test) for test in tests),
        "## Recipe",
        "As it ran; it is in `recipe.yaml` too, from which the same command trains again:",
        f"```yaml\n{recipe_yaml(recipe).rstrip()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def introduction(recipe: Recipe) -> str:
    """What the network is for, and its licence."""
    classes = ", ".join(recipe.class_table.names)
    licence = recipe.licence.strip() or "not stated"
    return (
        "A network that fuses registered RGB and thermal images and labels their pixels, trained "
        f"by `python -m training.pipeline`. Classes: {classes}.\n\nLicence and limits: {licence}"
    )


def data_section(recipe: Recipe, data: Sequence[UsedData]) -> str:
    """What was trained, looked at and tested on, and what the labels are worth."""
    rows = [
        [entry.use, entry.name, str(len(entry.dataset)), labels_of(entry.source, entry.dataset)]
        for entry in data
    ]
    parts = [markdown(["Use", "Source", "Pairs", "Labels"], rows)]
    if recipe.about:
        parts.insert(0, recipe.about.strip())
    if any(row[-1] == PSEUDO for row in rows):
        parts.append(PSEUDO_NOTE)
    return "\n\n".join(parts)


def labels_of(source: Source, dataset: Dataset) -> str:
    """Where the labels of a source come from."""
    if dataset.class_table is None:
        return "none"
    if source.kind in PSEUDO_LABELLED:
        return PSEUDO
    return "exact, rendered" if source.kind == "simulation" else "those of the data set"


def protocol_section(recipe: Recipe) -> str:
    """How the scores were measured."""
    seen = (
        "The test sources were not used in training, nor looked at before its end."
        if recipe.tests
        else "The recipe names no test sources: these are scores on the sources that were looked "
        "at while training."
    )
    size = (
        "Pairs at their own size, the network in PyTorch with fp32 weights; scored is the "
        "luminance of the colour image that the node publishes."
    )
    return "\n\n".join([seen, size, PROTOCOL, SATURATED_PROTOCOL, SEGMENTATION_PROTOCOL])


def training_section(stages: Sequence[StageReport]) -> str:
    """Steps and main settings of each stage; the recipe below has the others."""
    rows = [
        [
            stage.name,
            stage.takes,
            str(stage.steps),
            str(stage.plan.batch),
            stage.plan.optimizer,
            f"{stage.plan.lr:g}, {stage.plan.schedule}",
            ", ".join(f"{name} {value:.4g}" for name, value in stage.scores.items()),
        ]
        for stage in stages
    ]
    heading = ["Stage", "Takes", "Steps", "Batch", "Optimiser", "Learning rate"]
    return markdown([*heading, "Last scores on evaluation"], rows)


def scores_section(tests: Sequence[TestReport]) -> str:
    """Tables with a row for each test source."""
    fusion = {test.name: test.scores for test in tests if test.scores.fusion.per_image}
    labelled = {
        test.name: matrix for test in tests if (matrix := test.scores.segmentation) is not None
    }
    parts = []
    if fusion:
        parts.append(fusion_table(fusion))
    if labelled:
        pseudo = [test.name for test in tests if test.name in labelled and test.labels == PSEUDO]
        note = f" Agreement with {PSEUDO}: {', '.join(pseudo)}." if pseudo else ""
        parts.append(f"IoU in percent.{note}\n\n{segmentation_table(labelled)}")
    return "\n\n".join(parts)


def failures_section(test: TestReport) -> str:
    """The worst frames of a test source with their pictures."""
    parts = [f"### {test.name}"]
    for failure, picture in test.failures:
        text = f"{failure.name}: {', '.join(failure.reasons)}"
        parts.append(f"{text}\n\n![{text}]({picture})")
    return "\n\n".join(parts)


def columns(recipe: Recipe) -> str:
    """What the pictures of `picture_row` show."""
    names = ["RGB", "thermal"]
    names += ["fused"] if recipe.network.get("fusion", True) else []
    if recipe.network.get("segmentation", True):
        names += ["labels (grey: none)", "prediction"]
    return ", ".join(names)


def recipe_yaml(recipe: Recipe) -> str:
    """A recipe as the YAML that `load_recipe` reads."""
    values: dict[str, Any] = dataclasses.asdict(recipe)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
