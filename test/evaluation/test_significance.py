"""Differences between two candidates, within and beyond chance."""

from __future__ import annotations

import numpy as np
import pytest

from mafs_ros.evaluation.metrics import ConfusionMatrix
from mafs_ros.evaluation.significance import block_length, mean_difference, miou_difference


def test_differences_beyond_and_within_chance():
    rng = np.random.default_rng(1)
    first = rng.normal(5, 1, 300)
    better = mean_difference(list(first), list(first + rng.normal(0.3, 0.5, 300)), 10)
    assert better.larger_than_chance
    assert better.low < better.difference < better.high
    same = mean_difference(list(first), list(first + rng.normal(0.0, 0.5, 300)), 10)
    assert not same.larger_than_chance
    none = mean_difference([None, 1.0], [2.0, None], 1)
    assert (none.frames, none.larger_than_chance) == (0, False)


def test_interval_of_frames_that_resemble_their_neighbours_is_wider_by_blocks():
    drift = np.repeat(np.random.default_rng(2).normal(0, 1, 30), 10)
    single = mean_difference([0.0] * 300, list(drift), 1)
    blocks = mean_difference([0.0] * 300, list(drift), 10)
    assert blocks.high - blocks.low > 2 * (single.high - single.low)


def test_miou_difference_agrees_with_the_confusion_matrix():
    rng = np.random.default_rng(3)
    first, second, sums = [], [], []
    for cells in (first, second):
        whole = ConfusionMatrix(("background", "a", "b"))
        for _ in range(12):
            matrix = rng.integers(0, 50, (3, 3))
            cells.append(matrix)
            whole.matrix += matrix
        sums.append(whole)
    for background in (True, False):
        found = miou_difference(first, second, 2, background)
        assert found.first == pytest.approx(100 * sums[0].miou(background))
        assert found.second == pytest.approx(100 * sums[1].miou(background))
        assert found.low < found.difference < found.high


def test_block_length():
    assert [block_length(*case) for case in ((300, 10.0), (20, 10.0), (3, 30.0))] == [10, 4, 1]
