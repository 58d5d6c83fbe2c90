"""What a model file says of the training that made it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mafs_ros.model.weights import ModelInfo
from training.loop.run import Run


def model_info(run: Run, config: Mapping[str, Any], scores: Mapping[str, float]) -> ModelInfo:
    """The description of a network with these overrides of its preset; unknown scores left out."""
    recipe = run.recipe
    return ModelInfo(
        preset=recipe.network["preset"],
        config=dict(config),
        class_table=recipe.class_table.to_dict(),
        training=describe(run),
        scores={name: round(value, 5) for name, value in scores.items() if value == value},
        licence=recipe.licence,
    )


def describe(run: Run) -> dict[str, Any]:
    """What the model file says of the training."""
    recipe, plan = run.recipe, run.plan
    return {
        "program": f"training.{run.stage}",
        "about": recipe.about,
        "data": [f"{source.kind} {source.split}" for source in recipe.train],
        "scored_on": [f"{source.kind} {source.split}" for source in recipe.evaluation],
        "imagenet": Path(recipe.imagenet).name if recipe.imagenet else None,
        "steps": run.step,
        "batch": plan.batch,
        "optimizer": plan.optimizer,
        "learning_rate": plan.lr,
        "seed": recipe.seed,
    }
