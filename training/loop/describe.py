"""A line on what is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.loop.run import Run


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
