"""What fusion is for: one segmentation network, trained and tested on each kind of images.

    python -m training.postfusion --recipe street_lite --data street_rgbt=DIR --out DIR \\
        --images visible thermal mean maximum ours=model.safetensors other=FOLDER \\
        --test street_rgbt:test --seeds 3 --steps 1000

For every kind of images and every seed it trains the recipe's teacher, with the same first
weights, steps and crops for every kind, and scores it on the test sets (the paper's Tables IV and
V). NAME=FOLDER holds fused images of all pairs, named like them. Goes on where it stopped. Writes
`table.md` and `table.csv`, and for each run a folder NAME/seed_N with `teacher.safetensors`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from training.postfusion.image_kinds import SIMPLE, parse_kinds
from training.postfusion.run import run, single_image
from training.recipes.options import add_recipe_arguments, data_folders, recipe_of, report_errors


def main(argv: Sequence[str] | None = None) -> int:
    """Train and compare as the options say."""
    parser = argparse.ArgumentParser(
        prog="python -m training.postfusion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_recipe_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of all trainings")
    parser.add_argument(
        "--images",
        nargs="+",
        default=list(SIMPLE),
        metavar="KIND",
        help=f"{', '.join(SIMPLE)}, NAME=model.safetensors, NAME=FOLDER; default: the first four",
    )
    parser.add_argument(
        "--test", nargs="+", required=True, metavar="KIND:SPLIT[:LABELS]", help="test sets"
    )
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind; default: 3")
    parser.add_argument("--steps", type=int, help="of each training; default: the recipe's")
    args = parser.parse_args(argv)

    def compare() -> None:
        recipe = single_image(recipe_of(args), args.steps)
        kinds = parse_kinds(args.images)
        run(recipe, data_folders(args.data), args.out, kinds, args.test, args.seeds)

    return report_errors(compare)


if __name__ == "__main__":
    sys.exit(main())
