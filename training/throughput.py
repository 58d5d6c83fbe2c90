"""Training speed: the trainer's loop against a plain PyTorch loop, in one run.

    python -m training.throughput --recipe street_lite --data street_rgbt=DIR \\
        --set stage2.distillation=none

Two processes take turns at steps of stage 2 with the same network, losses, optimiser, batch and
crops, data loading included. The plain loop is what one writes first: fp32, contiguous tensors, a
DataLoader that reads and crops in the process itself.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from training.data.batches import Crops, make_loader
from training.data.order import Order
from training.loop.optimisation import make_optimizer
from training.loop.trainer import make_fabric, setup, train_step
from training.recipes.options import add_recipe_arguments, data_folders, recipe_of, report_errors
from training.recipes.recipe import Recipe
from training.recipes.sources import open_sources
from training.stage2 import make_learner

MANY = 10**6  # steps: more than anybody waits for
Steps = Iterator[None]  # each item is one step done


def plain_steps(recipe: Recipe, folders: Mapping[str, Path], scratch: Path) -> Steps:
    """Endless steps of the plain loop."""
    recipe = replace(recipe, cache=False)
    learner = make_learner(recipe).train()
    plan = recipe.stage2.optimisation
    optimizer = make_optimizer(learner, plan)
    crops = Crops(open_sources(recipe, recipe.train, folders), recipe.augmentation, recipe.seed)
    order = Order(len(crops), range(MANY), batch=plan.batch, seed=recipe.seed)
    for batch in make_loader(crops, order, workers=0, pin_memory=False):
        loss, _ = learner(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        yield


def trainer_steps(recipe: Recipe, folders: Mapping[str, Path], scratch: Path) -> Steps:
    """Endless steps as `python -m training.stage2` makes them."""
    plan = recipe.stage2.optimisation
    datasets = open_sources(recipe, recipe.train, folders)
    crops = Crops(datasets, recipe.augmentation, recipe.seed)
    learner = make_learner(recipe)
    run = setup(make_fabric(plan), learner, recipe, "stage2", scratch, crops, resume=False)
    order = Order(len(crops), range(MANY), batch=plan.batch, seed=recipe.seed)
    batches = iter(make_loader(crops, order, recipe.workers, pin_memory=False))
    while True:
        train_step(run, batches)
        yield


LOOPS: dict[str, Callable[[Recipe, Mapping[str, Path], Path], Steps]] = {
    "plain": plain_steps,
    "trainer": trainer_steps,
}


def serve(
    name: str, recipe: Recipe, folders: Mapping[str, Path], scratch: Path, pipe: Connection
) -> None:
    """Answer each number of steps that comes with the seconds they took; 0 ends.

    First comes 0.0, or the error that kept the loop from being made.
    """
    steps = LOOPS[name](recipe, folders, scratch)
    try:
        next(steps)  # builds, reads and warms up
    except (ValueError, OSError) as error:
        pipe.send(error)
        return
    pipe.send(0.0)
    while count := pipe.recv():
        start = time.perf_counter()
        for _ in range(count):
            next(steps)
        pipe.send(time.perf_counter() - start)


def measure(
    recipe: Recipe, folders: Mapping[str, Path], rounds: int, steps: int
) -> dict[str, list[float]]:
    """Seconds per step of each loop, one value a round. Raises ValueError or OSError."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    seconds: dict[str, list[float]] = {name: [] for name in LOOPS}
    with tempfile.TemporaryDirectory(prefix="mafs_throughput") as scratch:
        processes = []
        for name in LOOPS:
            pipes[name], far = context.Pipe()
            process = context.Process(
                target=serve, args=(name, recipe, folders, Path(scratch), far)
            )
            process.start()
            far.close()
            processes.append(process)
            if isinstance(answer := pipes[name].recv(), Exception):
                raise answer
        for _ in range(rounds):
            for name, pipe in pipes.items():
                pipe.send(steps)
                seconds[name].append(pipe.recv() / steps)
        for pipe in pipes.values():
            pipe.send(0)
        for process in processes:
            process.join()
    return seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Measure as the options say and print one line for each loop."""
    parser = argparse.ArgumentParser(
        prog="python -m training.throughput",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_recipe_arguments(parser)
    parser.add_argument("--rounds", type=int, default=8, help="default: 8")
    parser.add_argument("--steps", type=int, default=4, help="in a round; default: 4")
    args = parser.parse_args(argv)
    for name in ("rounds", "steps"):
        if getattr(args, name) < 1:
            parser.error(f"--{name}: got {getattr(args, name)}, expected at least 1")

    def run() -> None:
        recipe = recipe_of(args)
        seconds = measure(recipe, data_folders(args.data), args.rounds, args.steps)
        batch, medians = (
            recipe.stage2.optimisation.batch,
            {name: statistics.median(values) for name, values in seconds.items()},
        )
        for name, median in medians.items():
            print(
                f"{name:8} {batch / median:6.2f} images/s, {medians['plain'] / median:.2f} times "
                f"the plain loop (medians of {args.rounds} rounds of {args.steps} steps, "
                f"batch {batch}, {recipe.augmentation.crop} pixels)"
            )

    return report_errors(run)


if __name__ == "__main__":
    sys.exit(main())
