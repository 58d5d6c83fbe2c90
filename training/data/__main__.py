"""Check a copy of a data set (training/check_data.py).

python -m training.data ROOT [--kind KIND] [--table TABLE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training.data.check import check_data
from training.data.layouts import LAYOUTS


def main(argv: list[str] | None = None) -> int:
    """Check a copy of a data set; returns 0 when nothing is wrong, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m training.data",
        description="Check a copy of a data set: counts, pairs, sizes, label ids, what is missing "
        "and where to get it.",
    )
    parser.add_argument("root", type=Path, help="folder of the data set")
    parser.add_argument("--kind", choices=list(LAYOUTS), help="guessed from the folders if absent")
    parser.add_argument(
        "--table", help="class table of a folder's labels, name or YAML (default: street)"
    )
    args = parser.parse_args(argv)
    try:
        return 1 if check_data(args.root, args.kind, args.table) else 0
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
