"""The command line of every training program: its options, and errors as one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

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
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
