"""Progress of a benchmark, for people: on stderr, beside the report."""

from __future__ import annotations

import sys


def note(text: str) -> None:
    print(f"mafs benchmark: {text}", file=sys.stderr, flush=True)
