"""The command line of every training program: its options, and errors as one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from training.recipe import add_arguments, data_folders, recipe_of


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
