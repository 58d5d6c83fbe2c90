"""The engine of all training programs: set up, fit, checkpoint; on Lightning Fabric.

One process: `python -m training.stage2 ...`; several: `torchrun --nproc-per-node 4 -m
training.stage2 ...`, on several hosts with torchrun's --nnodes and --rdzv-endpoint. The batch of a
recipe is the one of all processes together. GPUs are used where there are any.

A checkpoint (`checkpoint.pt` in the folder of the run) holds all that a resumed run needs. Random
numbers need no state in it: they are seeded anew for every step and sample. Beside it lie the
newest weights and, as `best.safetensors`, those of the best evaluation (`optimisation.best`).
"""

from __future__ import annotations

import copy
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor
from tqdm import tqdm

from mafs_ros.base.memory import keep_freed_memory
from training.data.batches import Crops, make_loader, preload
from training.data.order import Order
from training.data.tensors import Batch
from training.loop.checkpoint import (
    CHECKPOINT,
    best_score,
    check_folder,
    keep_best,
    load_checkpoint,
    save,
)
from training.loop.logs import Logs
from training.loop.optimisation import learning_rate, make_optimizer, update_average
from training.loop.run import Evaluation, Learner, Run, Validate, Write
from training.loop.sync_norm import synchronise_norms
from training.recipes.options import is_out_of_memory
from training.recipes.recipe import Optimisation, Recipe

LOG_EVERY = 20


def make_fabric(plan: Optimisation) -> Fabric:
    """Fabric of this process, one of those that torchrun started; else the only one.

    Raises ValueError for fp16 without a GPU, where Fabric would quietly take bf16.
    """
    if plan.precision == "16-mixed" and not torch.accelerator.is_available():
        raise ValueError(
            "optimisation.precision is 16-mixed, which needs a GPU and there is none here: set "
            "bf16-mixed or 32-true"
        )
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
    crops: Crops,
    *,
    resume: bool,
) -> Run:
    """Make everything ready to train `learner` by the optimisation of that stage of the recipe.

    crops: the training set, read into memory where the recipe says so. resume: go on from the
    checkpoint in `out`, if any.
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
        steps=plan.total_steps(len(crops)),
    )
    check_folder(run, resume)
    if resume and (out / CHECKPOINT).exists():
        load_checkpoint(run)
    if recipe.cache:
        preload(crops.datasets)
    return run


def fit(
    run: Run,
    crops: Crops,
    validate: Validate,
    write: Write,
    names: Sequence[str] = (),
    on_step: Callable[[], None] | None = None,
) -> dict[str, float]:
    """Train to the end; evaluates, logs and writes as the recipe says. Returns the last scores.

    write: called on the first process, at each checkpoint and for the best weights.
    names: the scores by which weights can be the best, see `best_score`.
    on_step: called after each step and what is due with it.
    Raises FloatingPointError where a loss is not finite: the last checkpoint stays; ValueError
    for an unknown score.
    """
    fabric, plan = run.fabric, run.plan
    best = best_score(plan, names)
    batches = iter(
        make_loader(crops, order_of(run, crops), run.recipe.workers, fabric.device.type == "cuda")
    )
    logs = Logs(run.out, run.step) if fabric.is_global_zero else None
    scores: dict[str, float] = {}
    losses = TermSums()
    progress = tqdm(
        total=run.steps,
        initial=run.step,
        desc=run.stage,
        unit="step",
        disable=None if fabric.is_global_zero else True,
    )
    while run.step < run.steps:
        with naming_memory(run):
            terms = train_step(run, batches)
        losses.add(terms)
        progress.update()
        last = run.step == run.steps
        evaluates = last or run.step % plan.evaluate_every == 0
        saves = last or run.step % plan.checkpoint_every == 0
        if run.step % LOG_EVERY == 0 or evaluates or saves:
            loss = log_losses(run, losses, logs)
            progress.set_postfix(loss=f"{loss:.4g}")
            losses = TermSums()
        if evaluates:
            scores = evaluate(run, validate, logs)
            if best is not None:
                keep_best(run, best, scores, write)
            losses = TermSums()
        if saves:
            save(run, scores, write)
        if on_step is not None:
            on_step()
    progress.close()
    if logs is not None:
        logs.close()
    return scores


def order_of(run: Run, crops: Crops) -> Order:
    """The samples of this process from the run's step to its end."""
    return Order(
        len(crops),
        range(run.step, run.steps),
        batch=run.plan.batch,
        accumulate=run.plan.accumulate,
        rank=run.fabric.global_rank,
        world=run.fabric.world_size,
        seed=run.recipe.seed,
    )


class TermSums:
    """Sums of the loss and its terms over `count` steps since a point in time."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count, self.began = 0, time.monotonic()

    def add(self, terms: Mapping[str, Tensor]) -> None:
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value
        self.count += 1


def log_losses(run: Run, losses: TermSums, logs: Logs | None) -> float:
    """Log the means of the terms and the speed; returns the loss. Raises as `check_finite`."""
    means = average_terms(run.fabric, losses.sums, losses.count)
    check_finite(means, run)
    if logs is not None:
        rate = losses.count * run.plan.batch / (time.monotonic() - losses.began)
        logs.add("losses", run.step, {**means, "images_per_second": rate})
    return means["loss"]


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


@contextmanager
def naming_memory(run: Run) -> Iterator[None]:
    """Raise MemoryError that says what to lower where a step does not fit into memory."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        plan, settings = run.plan, f"{run.stage}.optimisation"
        raise MemoryError(
            f"out of memory on {run.fabric.device} in step {run.step + 1}: lower {settings}.batch "
            f"({plan.batch} now) or augmentation.crop ({run.recipe.augmentation.crop}), or raise "
            f"{settings}.accumulate ({plan.accumulate}): the parts of a batch of which one at a "
            "time is in memory"
        ) from error


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
        evaluation: Evaluation = validate(run.fabric, network)
    network.train(training)
    run.learner.train()
    if logs is not None and evaluation.scores:
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
        path = run.out / CHECKPOINT
        there = f"{path} is from before" if path.exists() else "no checkpoint was written yet"
        plan = f"{run.stage}.optimisation"
        raise FloatingPointError(
            f"step {run.step}: {', '.join(wrong)} is not finite; {there}. Train in another --out "
            f"with a lower {plan}.lr, with {plan}.clip=1.0 or with {plan}.precision=32-true"
        )
