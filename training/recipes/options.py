"""Options and start of the training programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from training.recipes.recipe import Recipe, load_ablations, load_recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that all training programs have."""
    add_recipe_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint in --out, if there is one"
    )


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say what is trained on what."""
    parser.add_argument("--recipe", required=True, help="name in training/configs, or YAML file")
    add_data_argument(parser)
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", dest="overrides", help="overrides"
    )
    parser.add_argument(
        "--ablation", nargs="+", default=[], metavar="NAME", help="overrides of ablations.yaml"
    )


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        nargs="+",
        default=[],
        metavar="KIND=DIR",
        help="folder of each data set, e.g. mfnet=/data/ir_seg_dataset",
    )


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The recipe that the options ask for. Raises as `load_recipe` does."""
    ablations = load_ablations() if args.ablation else {}
    if unknown := [name for name in args.ablation if name not in ablations]:
        raise ValueError(f"unknown ablation {unknown[0]!r}; there are {', '.join(ablations)}")
    named = [override for name in args.ablation for override in ablations[name]]
    return load_recipe(args.recipe, [*named, *args.overrides])


def data_folders(entries: Sequence[str]) -> dict[str, Path]:
    """KIND=DIR texts as a dict. Raises ValueError."""
    folders = {}
    for entry in entries:
        kind, equals, folder = entry.partition("=")
        if not equals:
            raise ValueError(f"--data {entry}: expected KIND=DIR, e.g. mfnet=/data/mfnet")
        folders[kind] = Path(folder).expanduser()
    return folders


def make_parser(stage: str, description: str | None) -> argparse.ArgumentParser:
    """Parser of `python -m training.STAGE` with the options that all programs have."""
    parser = argparse.ArgumentParser(
        prog=f"python -m training.{stage}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    return parser


def run_training(
    train: Callable[..., object], args: argparse.Namespace, **files: Path | None
) -> int:
    """Call train(recipe, data folders, out, resume=, **files) as the options say.

    Returns the exit code.
    """

    def run() -> None:
        recipe, folders = recipe_of(args), data_folders(args.data)
        train(recipe, folders, args.out, resume=args.resume, **files)

    return report_errors(run)


def report_errors(run: Callable[[], None]) -> int:
    """Run and return the exit code: 1, after one line on stderr, for what the user can mend."""
    try:
        run()
    except (ValueError, OSError, FloatingPointError, MemoryError) as error:
        message = str(error) or "out of memory"
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        message = f"out of memory: {str(error).splitlines()[0]}"
    else:
        return 0
    print(f"error: {message}", file=sys.stderr)
    return 1


def is_out_of_memory(error: Exception) -> bool:
    """Whether a GPU, torch's CPU allocator, a CUDA library or Python says so."""
    says = ("can't allocate memory", "ALLOC_FAILED")
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(text in str(error) for text in says)
