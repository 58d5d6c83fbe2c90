"""What a run of `training.pipeline` ends with: evaluation, scores, model card, pictures, model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from mafs_ros.base.write import write_bytes
from mafs_ros.engine.fingerprint import file_hash
from mafs_ros.evaluation.metrics import PROTOCOL, SEGMENTATION_PROTOCOL
from mafs_ros.model.weights import load_weights, save_weights
from training.recipes.recipe import Recipe
from training.scoring.final_scores import (
    UsedData,
    flat_scores,
    for_scoring,
    score_source,
    source_folder,
    total_scores,
)
from training.scoring.model_card import PSEUDO_NOTE, StageReport, TestReport, labels_of, model_card
from training.scoring.tables import SATURATED_PROTOCOL
from training.scoring.worst_frames import worst_frames, write_failures, write_grid

MODEL = "model.safetensors"


def write_results(
    recipe: Recipe, data: Sequence[UsedData], stages: Sequence[StageReport], out: Path
) -> dict[str, dict[str, float]]:
    """Score the network of the last stage and write what lies in the folder of the run at the end.

    The model file comes last, so that a run which has it is complete. Returns the scores of each
    test source. Raises ValueError or OSError.
    """
    trained = out / stages[-1].name / MODEL
    model_hash = file_hash(trained)
    network, info = load_weights(trained)
    scored = for_scoring(network)
    tests = [entry for entry in data if entry.use == "test"]
    reports = [evaluate(recipe, scored, model_hash, test, out) for test in tests]
    table = recipe.class_table
    write_grid(scored, [test.dataset for test in tests], table, out / "pictures.png")
    scores = {report.name: flat_scores(report.scores) for report in reports}
    write_bytes(out / "scores.json", scores_json(reports).encode())
    write_bytes(out / "model_card.md", model_card(recipe, data, stages, reports).encode())
    lengths = {stage.name: {"steps": stage.steps, "batch": stage.plan.batch} for stage in stages}
    training = {**info.training, "program": "training.pipeline", "stages": lengths}
    training["scored_on"] = list(scores)
    info = dataclasses.replace(info, training=training, scores=scores)
    save_weights(out / MODEL, network.cpu(), info)
    print(out / "model_card.md")
    return scores


def evaluate(
    recipe: Recipe, network: nn.Module, model_hash: str, test: UsedData, out: Path
) -> TestReport:
    """Scores of a test source and pictures of its worst frames, in RUN/evaluation/SOURCE."""
    table = recipe.class_table
    folder = source_folder(out / "evaluation", test.name)
    frames = score_source(network, model_hash, test.source, test.dataset, folder)
    failures = worst_frames(frames, table.names)
    pictures = write_failures(network, test.dataset, table, failures, folder)
    links = [path.relative_to(out).as_posix() for path in pictures]
    return TestReport(
        test.name,
        labels_of(test.source, test.dataset),
        len(frames),
        total_scores(frames, table.names),
        list(zip(failures, links, strict=True)),
    )


def scores_json(reports: Sequence[TestReport]) -> str:
    """The scores of each test source as JSON, with what they mean."""
    sources: dict[str, Any] = {
        report.name: {
            "pairs": report.pairs,
            "labels": report.labels,
            "scores": flat_scores(report.scores),
        }
        for report in reports
    }
    content: Mapping[str, Any] = {
        "units": "IoU in 0..1, saturated in percent",
        "protocol": [PROTOCOL, SATURATED_PROTOCOL, SEGMENTATION_PROTOCOL, PSEUDO_NOTE],
        "sources": sources,
    }
    return json.dumps(content, indent=2) + "\n"
