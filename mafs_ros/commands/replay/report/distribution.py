"""A distribution in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SCHEMA = 1


def distribution(values: Sequence[float]) -> dict[str, float] | None:
    """Least, 5 %, median, 95 %, greatest and mean; None for no value."""
    if not values:
        return None
    low, p5, median, p95, high = np.percentile(values, (0, 5, 50, 95, 100))
    return {
        "min": float(low),
        "p5": float(p5),
        "median": float(median),
        "p95": float(p95),
        "max": float(high),
        "mean": float(np.mean(values)),
    }
