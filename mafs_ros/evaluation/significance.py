"""When two candidates (engines or weights) differ by more than chance on the same frames.

They do in a metric where the confidence interval of the difference does not hold 0.
Frames of a drive resemble their neighbours, so whole blocks of consecutive frames are drawn
(circular block bootstrap; Politis and Romano 1992): drawing single frames would give intervals
that are much too narrow. Without chance: the generator has a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 0
FEWEST_BLOCKS = 5
PROTOCOL = (
    f"Differences are second minus first, on the same frames; interval: {CONFIDENCE:.0%}, "
    f"percentiles of {RESAMPLES} circular block bootstrap resamples, seed {SEED}. A difference "
    "counts as larger than chance where the interval does not hold 0."
)
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Second minus first of one metric, with the interval; None where no frame has the metric."""

    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    frames: int

    @property
    def larger_than_chance(self) -> bool:
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def block_length(frames: int, rate_hz: float) -> int:
    """Frames of one second, but no more than leave FEWEST_BLOCKS blocks; at least 1."""
    return max(1, min(round(rate_hz), frames // FEWEST_BLOCKS))


def mean_difference(
    first: Sequence[float | None], second: Sequence[float | None], block: int
) -> Difference:
    """Difference of the means over the frames where both have a value."""
    both = [
        (a, b)
        for a, b in zip(first, second, strict=True)
        if a is not None and b is not None and not np.isnan(a) and not np.isnan(b)
    ]
    if not both:
        return Difference(None, None, None, None, None, 0)
    values = np.array(both, np.float64)

    def statistic(sums: Values, drawn: int) -> Values:
        return (sums[:, 1] - sums[:, 0]) / drawn

    low, high = _interval(values, block, statistic)
    a, b = (float(mean) for mean in values.mean(axis=0))
    return Difference(a, b, b - a, low, high, len(values))


def miou_difference(
    first: Sequence[NDArray[np.int64]],
    second: Sequence[NDArray[np.int64]],
    block: int,
    background: bool = True,
) -> Difference:
    """Difference of the mIoU in percent, from one confusion matrix [C,C] a frame and side."""
    if not first:
        return Difference(None, None, None, None, None, 0)
    size = first[0].size
    values = np.array(
        [np.concatenate([a.ravel(), b.ravel()]) for a, b in zip(first, second, strict=True)],
        np.float64,
    )

    def statistic(sums: Values, drawn: int) -> Values:
        del drawn
        return _miou(sums[:, size:], background) - _miou(sums[:, :size], background)

    total = values.sum(axis=0, keepdims=True)
    a, b = (
        float(_miou(total[:, :size], background)[0]),
        float(_miou(total[:, size:], background)[0]),
    )
    if np.isnan(a) or np.isnan(b):
        return Difference(None, None, None, None, None, len(values))
    low, high = _interval(values, block, statistic)
    return Difference(a, b, b - a, low, high, len(values))


def pooled_difference(
    first: Sequence[tuple[float, int]], second: Sequence[tuple[float, int]]
) -> Difference:
    """Difference of the means over all frames of several drives, which are drawn whole.

    first, second: of each drive the sum of the metric and the number of frames that have it.
    """
    if not first:
        return Difference(None, None, None, None, None, 0)
    values = np.concatenate([np.array(first, np.float64), np.array(second, np.float64)], axis=1)

    def means(sums: Values) -> tuple[Values, Values]:
        nothing = np.full(len(sums), np.nan)
        return (
            np.divide(sums[:, 0], sums[:, 1], out=nothing.copy(), where=sums[:, 1] > 0),
            np.divide(sums[:, 2], sums[:, 3], out=nothing.copy(), where=sums[:, 3] > 0),
        )

    def statistic(sums: Values, drawn: int) -> Values:
        del drawn
        a, b = means(sums)
        return b - a

    a, b = (float(mean[0]) for mean in means(values.sum(axis=0, keepdims=True)))
    if np.isnan(a) or np.isnan(b):
        return Difference(None, None, None, None, None, 0)
    low, high = _interval(values, 1, statistic)
    return Difference(a, b, b - a, low, high, int(values[:, 1].sum()))


def _miou(cells: Values, background: bool) -> Values:
    """Mean IoU in percent of flat confusion matrices [R, C * C]; see metrics.ConfusionMatrix."""
    count = int(round(np.sqrt(cells.shape[1])))
    matrices = cells.reshape(-1, count, count)
    correct = np.diagonal(matrices, axis1=1, axis2=2)
    union = matrices.sum(axis=1) + matrices.sum(axis=2) - correct
    iou = np.divide(correct, union, out=np.full(union.shape, np.nan), where=union > 0)
    iou = iou if background else iou[:, 1:]
    known = ~np.isnan(iou)
    counted = known.sum(axis=1)
    sums = np.where(known, iou, 0.0).sum(axis=1)
    return 100 * np.divide(sums, counted, out=np.full(len(sums), np.nan), where=counted > 0)


def _interval(
    values: Values, block: int, statistic: Callable[[Values, int], Values]
) -> tuple[float | None, float | None]:
    """The interval of a statistic of column sums; (None, None) for fewer than two frames.

    values: float64 [N, K], one row a frame; statistic: sums [R, K] and the frames drawn -> [R].
    """
    count = len(values)
    if count < 2:
        return None, None
    block = min(block, count)
    rounds = -(-count // block)
    # Sums of all blocks that begin at each frame, the end running on into the start.
    cumulated = np.concatenate(
        [
            np.zeros((1, values.shape[1])),
            np.cumsum(np.concatenate([values, values[:block]]), axis=0),
        ]
    )
    blocks = cumulated[block : block + count] - cumulated[:count]
    rng = np.random.default_rng(SEED)
    results = []
    for _ in range(RESAMPLES):
        drawn = blocks[rng.integers(0, count, rounds)].sum(axis=0, keepdims=True)
        results.append(float(statistic(drawn, rounds * block)[0]))
    edge = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(results, (edge, 100 - edge))
    return float(low), float(high)
