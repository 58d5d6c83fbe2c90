"""What a run keeps: the checkpoint to resume from, the newest weights and the best ones.

A file is written whole or not at all.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mafs_ros.base.write import prepare_output_folder, whole
from mafs_ros.model.weights import read_torch_file
from training.loop.run import Run, Write
from training.recipes.recipe import Optimisation, Recipe

CHECKPOINT = "checkpoint.pt"
BEST = "best.safetensors"
STAGES = ("stage1", "fusion", "teacher", "stage2", "finish")  # sections of a recipe
MARGIN_BYTES = 100 << 20  # logs and pictures
# What a resumed run may have different: how long it is and what changes no number.
MAY_CHANGE = (
    "workers",
    "cache",
    "about",
    "licence",
    "tests",
    "optimisation.epochs",
    "optimisation.steps",
    "optimisation.evaluate_every",
    "optimisation.checkpoint_every",
    "optimisation.best",
)


def check_folder(run: Run, resume: bool) -> None:
    """Make the folder of the run; what can be known to go wrong later is an error now."""
    out = run.out
    path = out / CHECKPOINT
    if path.exists() and not resume:
        raise FileExistsError(f"{path}: a run lies here; add --resume, or choose another --out")
    prepare_output_folder(out)
    needed = checkpoint_bytes(run) * (1 if path.exists() else 2) + MARGIN_BYTES
    free = shutil.disk_usage(out).free
    if free < needed:
        raise OSError(
            f"{out}: {free >> 20} MiB are free, but this run needs {needed >> 20} MiB for its "
            "checkpoints (the old one stays until the new one is complete)"
        )


def checkpoint_bytes(run: Run) -> int:
    """Size of a checkpoint, the model file beside it and that of the best weights."""

    def size(tensors: Sequence[Tensor]) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    learner = size(list(run.learner.state_dict().values()))
    result = size(list(run.learner.network.state_dict().values()))
    trained = size([p for p in run.learner.parameters() if p.requires_grad])
    slots = 1 if run.plan.optimizer == "sgd" else 2
    return learner + slots * trained + (3 if run.average is not None else 2) * result


def best_score(plan: Optimisation, names: Sequence[str]) -> str | None:
    """The score by which the best weights are kept: the recipe's, else the first of `names`.

    names: those that there are, '-' before one of which less is better; None where there are
    none. Raises ValueError for a score that is not among them.
    """
    if plan.best is None:
        return next(iter(names), None)
    if plan.best not in names:
        raise ValueError(f"optimisation.best is {plan.best!r}, expected one of {', '.join(names)}")
    return plan.best


def keep_best(run: Run, name: str, scores: Mapping[str, float], write: Write) -> None:
    """Write `best.safetensors` if that score, see `best_score`, is the best of the run so far.

    A score that is not known is not better than any.
    """
    value = scores.get(name.removeprefix("-"), math.nan) * (-1 if name.startswith("-") else 1)
    if value > run.best.get(name, -math.inf):
        run.best = {name: value}
        if run.fabric.is_global_zero:
            write(run, scores, BEST)


def save(run: Run, scores: Mapping[str, float], write: Write) -> None:
    """Write result and checkpoint on the first process; the others wait.

    In this order, so that with the last checkpoint the result is there.
    """
    if run.fabric.is_global_zero:
        write(run, scores)
        save_checkpoint(run)
    run.fabric.barrier()


def save_checkpoint(run: Run) -> None:
    """Write the checkpoint: wholly or not at all. Raises OSError; the old one stays then."""
    state = {
        "step": run.step,
        "stage": run.stage,
        "settings": json.dumps(settings(run.recipe, run.stage)),
        "learner": run.learner.state_dict(),
        "average": None if run.average is None else run.average.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "precision": run.fabric.strategy.precision.state_dict(),
        "best": run.best,
    }
    path = run.out / CHECKPOINT
    try:
        with whole(path) as temporary, temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into the latter
        raise OSError(f"{path}: cannot be written, the last one stays: {error}") from error


def load_checkpoint(run: Run) -> None:
    """Restore a run in place. Raises ValueError where it is of another recipe or damaged."""
    path = run.out / CHECKPOINT
    state = read_checkpoint(path, run.recipe, run.stage)
    try:
        run.learner.load_state_dict(state["learner"])
    except RuntimeError as error:  # of another version of the network or of the balancing
        lines = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{path}: of another version, go on with that or choose another --out: {lines}"
        ) from None
    if run.average is not None:
        run.average.load_state_dict(state["average"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.fabric.strategy.precision.load_state_dict(state["precision"])
    run.best = state.get("best", {})  # 0.1.0 had none
    run.step = state["step"]


def read_checkpoint(path: Path, recipe: Recipe, stage: str) -> dict[str, Any]:
    """What `save_checkpoint` wrote. Raises ValueError where it is of other settings or damaged."""
    try:
        state = read_torch_file(path)
        then = json.loads(state["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a checkpoint of ours, or damaged: {error}") from error
    if state["stage"] != stage:
        raise ValueError(f"{path}: is of {state['stage']}, not of {stage}")
    now = settings(recipe, stage)
    if changed := [key for key in then.keys() | now.keys() if then.get(key) != now.get(key)]:
        lines = [f"{key}: {then.get(key)} then, {now.get(key)} now" for key in sorted(changed)]
        raise ValueError(
            f"{path}: other settings than those of this run: {'; '.join(lines[:8])}. Resume with "
            "the same recipe and overrides, or choose another --out"
        )
    return state


def settings(recipe: Recipe, stage: str) -> dict[str, Any]:
    """Every setting that changes the numbers of a stage, `key.key` -> value."""
    values = dataclasses.asdict(recipe)
    stages = {name: values.pop(name) for name in STAGES}
    flat = flatten({**values, **stages[stage]})
    flat = {key: value for key, value in flat.items() if key not in MAY_CHANGE}
    return json.loads(json.dumps(flat))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
