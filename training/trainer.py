"""The engine of all training programs: set up, fit, checkpoint; on Lightning Fabric.

One process: `python -m training.stage2 ...`; several: `torchrun --nproc-per-node 4 -m
training.stage2 ...`, on several hosts with torchrun's --nnodes and --rdzv-endpoint. The batch of a
recipe is the one of all processes together. GPUs are used where there are any.

A checkpoint (`checkpoint.pt` in the folder of the run) holds all that a resumed run needs. Random
numbers need no state in it: they are seeded anew for every step and sample.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from tqdm import tqdm

from mafs_ros.files import prepare_output_folder
from mafs_ros.memory import keep_freed_memory
from training.batches import Batch, Crops, Order, make_loader
from training.logs import Logs
from training.recipe import Optimisation, Recipe
from training.sync_norm import synchronise_norms

CHECKPOINT = "checkpoint.pt"
LOG_EVERY = 20
STAGES = ("stage1", "teacher", "stage2", "fusion_branch")  # sections of a recipe
MARGIN_BYTES = 100 << 20  # logs and pictures
# What a resumed run may have different: how long it is and what changes no number.
MAY_CHANGE = (
    "workers",
    "cache",
    "about",
    "licence",
    "optimisation.epochs",
    "optimisation.steps",
    "optimisation.evaluate_every",
    "optimisation.checkpoint_every",
)


class Learner(nn.Module):
    """What a stage trains: `network`, which is averaged and written, and all that its loss needs.

    `forward(batch)` returns the loss to minimise and its terms for the log, all scalars.
    """

    network: nn.Module

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        raise NotImplementedError


@dataclass
class Evaluation:
    """Scores by name and rows of pictures of the first few samples."""

    scores: dict[str, float]
    pictures: list[list[Any]] = field(default_factory=list)


Validate = Callable[[Fabric, nn.Module], Evaluation]


@dataclass
class Run:
    """A training run between `setup` and the end of `fit`. step: optimiser steps done."""

    fabric: Fabric
    learner: Learner
    wrapped: nn.Module
    optimizer: Any
    average: nn.Module | None
    plan: Optimisation
    recipe: Recipe
    stage: str
    out: Path
    steps: int
    step: int = 0

    @property
    def result(self) -> nn.Module:
        """The network to evaluate and write."""
        return self.learner.network if self.average is None else self.average


def make_fabric(plan: Optimisation) -> Fabric:
    """Fabric of this process, one of those that torchrun started; else the only one."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    strategy: Any = DDPStrategy(broadcast_buffers=False) if world > 1 else "auto"
    fabric = Fabric(
        devices=local, num_nodes=world // local, strategy=strategy, precision=plan.precision
    )
    fabric.launch()
    if fabric.device.type == "cpu":
        keep_freed_memory()
    return fabric


def setup(
    fabric: Fabric,
    learner: Learner,
    recipe: Recipe,
    stage: str,
    out: Path,
    samples: int,
    *,
    resume: bool,
) -> Run:
    """Make everything ready to train `learner` by the optimisation of that stage of the recipe.

    samples: size of the training set. resume: go on from the checkpoint in `out`, if any.
    Raises FileExistsError where a run would be overwritten, OSError where the disk is too full,
    ValueError where the checkpoint is of another recipe.
    """
    plan: Optimisation = getattr(recipe, stage).optimisation
    network: Any = learner.to(fabric.device)
    network.to(memory_format=torch.channels_last).train()
    if fabric.world_size > 1:
        synchronise_norms(learner, fabric.device)
    optimizer = make_optimizer(learner, plan)
    wrapped, prepared = fabric.setup(learner, optimizer)
    average = copy.deepcopy(learner.network).eval().requires_grad_(False) if plan.ema else None
    run = Run(
        fabric=fabric,
        learner=learner,
        wrapped=wrapped,
        optimizer=prepared,
        average=average,
        plan=plan,
        recipe=recipe,
        stage=stage,
        out=out,
        steps=plan.total_steps(samples),
    )
    check_folder(run, resume)
    if resume and (out / CHECKPOINT).exists():
        load_checkpoint(run)
    return run


def fit(
    run: Run,
    crops: Crops,
    validate: Validate,
    write: Callable[[Run, dict[str, float]], None],
) -> dict[str, float]:
    """Train to the end; evaluates, logs and writes as the recipe says. Returns the last scores.

    write: called on the first process with the run and its last scores at each checkpoint.
    Raises FloatingPointError where a loss is not finite: the last checkpoint stays.
    """
    fabric, plan = run.fabric, run.plan
    order = Order(
        len(crops),
        range(run.step, run.steps),
        batch=plan.batch,
        accumulate=plan.accumulate,
        rank=fabric.global_rank,
        world=fabric.world_size,
        seed=run.recipe.seed,
    )
    batches = iter(make_loader(crops, order, run.recipe.workers, fabric.device.type == "cuda"))
    logs = Logs(run.out, run.step) if fabric.is_global_zero else None
    scores: dict[str, float] = {}
    sums: dict[str, Tensor] = {}
    counted, began = 0, time.monotonic()
    progress = tqdm(
        total=run.steps,
        initial=run.step,
        desc=run.stage,
        unit="step",
        disable=None if fabric.is_global_zero else True,
    )
    while run.step < run.steps:
        for name, value in train_step(run, batches).items():
            sums[name] = sums.get(name, torch.zeros_like(value)) + value
        counted += 1
        progress.update()
        last = run.step == run.steps
        evaluates = last or run.step % plan.evaluate_every == 0
        saves = last or run.step % plan.checkpoint_every == 0
        if run.step % LOG_EVERY == 0 or evaluates or saves:
            means = average_terms(fabric, sums, counted)
            check_finite(means, run)
            progress.set_postfix(loss=f"{means['loss']:.4g}")
            if logs is not None:
                rate = counted * plan.batch / (time.monotonic() - began)
                logs.add("losses", run.step, {**means, "images_per_second": rate})
            sums, counted, began = {}, 0, time.monotonic()
        if evaluates:
            scores = evaluate(run, validate, logs)
            began = time.monotonic()
        if saves:
            save(run, scores, write)
    progress.close()
    if logs is not None:
        logs.close()
    return scores


def train_step(run: Run, batches: Any) -> dict[str, Tensor]:
    """One optimiser step; returns the loss and its terms, means over the parts."""
    fabric, plan = run.fabric, run.plan
    torch.manual_seed(step_seed(run.recipe.seed, run.step, fabric.global_rank))
    for group in run.optimizer.param_groups:
        group["lr"] = group["factor"] * learning_rate(plan, run.step, run.steps)
    sums: dict[str, Tensor] = {}
    for part in range(plan.accumulate):
        batch = in_channels_last(fabric.to_device(next(batches)))
        waits = part < plan.accumulate - 1
        with fabric.no_backward_sync(run.wrapped, enabled=waits):  # type: ignore[arg-type]
            loss, terms = run.wrapped(batch)
            fabric.backward(loss / plan.accumulate)
        for name, value in {"loss": loss, **terms}.items():
            share = value.detach().float() / plan.accumulate
            sums[name] = sums[name] + share if name in sums else share
    if plan.clip is not None:
        fabric.clip_gradients(
            run.wrapped,
            run.optimizer,
            max_norm=plan.clip,
            error_if_nonfinite=False,
        )
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    run.step += 1
    if run.average is not None:
        decay = min(plan.ema, run.step / (run.step + 10))
        update_average(run.average, run.learner.network, decay)
    return sums


def in_channels_last(batch: Batch) -> Batch:
    """The images of a batch in the memory layout of the network; the values are the same."""
    return {
        name: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
        for name, value in batch.items()
    }


def evaluate(run: Run, validate: Validate, logs: Logs | None) -> dict[str, float]:
    """Scores of the network as it is now, which go to the logs."""
    network = run.result
    training = network.training
    network.eval()
    with torch.no_grad():
        evaluation = validate(run.fabric, network)
    network.train(training)
    run.learner.train()
    if logs is not None:
        logs.add("scores", run.step, evaluation.scores)
        logs.add_picture(run.step, evaluation.pictures)
        line = "  ".join(f"{name} {value:.4f}" for name, value in evaluation.scores.items())
        tqdm.write(f"step {run.step}: {line}", file=sys.stderr)
    return evaluation.scores


def step_seed(seed: int, step: int, rank: int) -> int:
    """Seed of the global random numbers (dropout) of one step in one process."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)


def average_terms(fabric: Fabric, sums: Mapping[str, Tensor], count: int) -> dict[str, float]:
    """Mean of each term over `count` steps and all processes."""
    values = torch.stack(list(sums.values())) / count
    values = fabric.all_reduce(values, reduce_op="mean")  # type: ignore[assignment]
    return dict(zip(sums, values.tolist(), strict=True))


def check_finite(means: Mapping[str, float], run: Run) -> None:
    """Raise FloatingPointError for a term that is NaN or infinite."""
    if wrong := [name for name, value in means.items() if not math.isfinite(value)]:
        raise FloatingPointError(
            f"step {run.step}: {', '.join(wrong)} is not finite; {run.out / CHECKPOINT} is from "
            "before. Lower the learning rate, clip gradients (optimisation.clip) or use 32-true"
        )


# Optimiser, learning rate, averaged weights.


def make_optimizer(learner: Learner, plan: Optimisation) -> Optimizer:
    """SGD or AdamW over what needs gradients; `factor` of a group multiplies its rate."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            factor = plan.trunk_lr if "_trunk." in name else 1.0
            decays = plan.optimizer == "sgd" or parameter.ndim > 1
            groups.setdefault((factor, decays), []).append(parameter)
    options = [
        {
            "params": parameters,
            "factor": factor,
            "weight_decay": plan.weight_decay if decays else 0.0,
        }
        for (factor, decays), parameters in groups.items()
    ]
    if plan.optimizer == "sgd":
        return SGD(options, lr=plan.lr, momentum=plan.momentum)
    return AdamW(options, lr=plan.lr)


def learning_rate(plan: Optimisation, step: int, steps: int) -> float:
    """Learning rate of a step 0..steps - 1.

    poly (architecture notes, 12): lr_w (lr / lr_w)^(step / N_w) up to step N_w, then
    lr (1 - (step - N_w) / (steps - N_w))^power. A warm-up longer than a tenth of the run is
    shortened to that.
    """
    warmup = min(plan.warmup_steps, steps // 10)
    if plan.schedule == "cosine":
        return plan.lr * schedule(step, steps, warmup)
    if step < warmup:
        return plan.warmup_lr * (plan.lr / plan.warmup_lr) ** (step / warmup)
    return plan.lr * (1 - (step - warmup) / max(steps - warmup, 1)) ** plan.power


def schedule(step: int, steps: int, warm_up: int = 100) -> float:
    """Factor on the learning rate: linear warm-up, then a cosine to 1 %."""
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(steps - warm_up, 1)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the network's; integer buffers are copied."""
    means, values = ([*net.parameters(), *net.buffers()] for net in (average, network))
    pairs = list(zip(means, values, strict=True))
    moving = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([mean for mean, _ in moving], [value for _, value in moving], 1 - decay)
    for mean, value in pairs:
        if not mean.is_floating_point():
            mean.copy_(value)


# Checkpoints.


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
    """Size of a checkpoint and the model file beside it."""

    def size(tensors: Sequence[Tensor]) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    learner = size(list(run.learner.state_dict().values()))
    result = size(list(run.learner.network.state_dict().values()))
    trained = size([p for p in run.learner.parameters() if p.requires_grad])
    slots = 1 if run.plan.optimizer == "sgd" else 2
    return learner + slots * trained + (2 if run.average is not None else 1) * result


def save(
    run: Run, scores: dict[str, float], write: Callable[[Run, dict[str, float]], None]
) -> None:
    """Write result and checkpoint on the first process; the others wait.

    The checkpoint last: with it a run that was cut between the two would count as done.
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
        "settings": json.dumps(settings(run)),
        "learner": run.learner.state_dict(),
        "average": None if run.average is None else run.average.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "precision": run.fabric.strategy.precision.state_dict(),
    }
    path = run.out / CHECKPOINT
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into the latter
        temporary.unlink(missing_ok=True)
        raise OSError(f"{path}: cannot be written, the last one stays: {error}") from error


def load_checkpoint(run: Run) -> None:
    """Restore a run in place. Raises ValueError where it is of another recipe or damaged."""
    path = run.out / CHECKPOINT
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        then = json.loads(state["settings"])
    except Exception as error:
        raise ValueError(f"{path}: not a checkpoint of ours, or damaged: {error}") from error
    if state["stage"] != run.stage:
        raise ValueError(f"{path}: is of {state['stage']}, not of {run.stage}")
    now = settings(run)
    if changed := [key for key in then.keys() | now.keys() if then.get(key) != now.get(key)]:
        lines = [f"{key}: {then.get(key)} then, {now.get(key)} now" for key in sorted(changed)]
        raise ValueError(
            f"{path}: other settings than those of this run: {'; '.join(lines[:8])}. Resume with "
            "the same recipe and overrides, or choose another --out"
        )
    run.learner.load_state_dict(state["learner"])
    if run.average is not None:
        run.average.load_state_dict(state["average"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.fabric.strategy.precision.load_state_dict(state["precision"])
    run.step = state["step"]


def settings(run: Run) -> dict[str, Any]:
    """Every setting that changes the numbers of this stage, `key.key` -> value."""
    recipe = dataclasses.asdict(run.recipe)
    stages = {name: recipe.pop(name) for name in STAGES}
    flat = flatten({**recipe, **stages[run.stage]})
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
