"""Lines for the person at the terminal."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    print(text, flush=True)


def note(text: str) -> None:
    """Progress, for people."""
    print(f"mafs benchmark: {text}", file=sys.stderr, flush=True)
