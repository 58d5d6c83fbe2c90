"""The fit finds the homography that surfaces with a known peak each were made of."""

from __future__ import annotations

import numpy as np
import pytest

from mafs_ros.commands.calibrate.method.fit import SurfaceFit
from mafs_ros.commands.calibrate.method.geometry import (
    corners,
    inverse,
    mean_distance,
    moved,
    through_corners,
)
from mafs_ros.commands.calibrate.method.surfaces import CELLS, in_units_of_noise

SIZE, REACH = (120, 160), 8


def surfaces_of(homography):
    """A hill at the place where each cell's thermal content lies."""
    y, x = (np.arange(n) + 0.5 for n in CELLS)
    middles = np.array([(a, b) for b in y * SIZE[0] / CELLS[0] for a in x * SIZE[1] / CELLS[1]])
    shifts = moved(homography, middles - 0.5) - (middles - 0.5)
    rows, columns = np.indices((2 * REACH + 1, 2 * REACH + 1)) - REACH
    hills = [np.exp(-((columns - dx) ** 2 + (rows - dy) ** 2) / 8) for dx, dy in shifts]
    return np.array(hills, np.float32)


@pytest.mark.parametrize(
    "displacements",
    [
        [[0.4, 0.4], [0.4, 0.4], [0.4, 0.4], [0.4, 0.4]],  # less than a pixel from the start
        [[1.6, 0.9], [1.1, 1.4], [2.0, 1.9], [1.2, 0.6]],
        [[-4, 3], [-2, 1], [-3, 2.5], [-4.5, 2]],
    ],
)
def test_a_known_homography_is_found(displacements):
    start = corners(SIZE)
    true = through_corners(start, start + np.array(displacements))
    _, found = SurfaceFit(surfaces_of(true), SIZE, ridge=0.0)(np.zeros(8))
    assert mean_distance(found, true, SIZE, SIZE) < 0.05


def test_noisy_cells_do_not_outweigh_clear_ones():
    """Every third cell wavers by as much as ten hills; the others show the truth."""
    start = corners(SIZE)
    true = through_corners(start, start + [[-2, 1.5], [-1, 1], [-1.5, 1.2], [-2.2, 1]])
    surfaces = surfaces_of(true)
    noise = np.random.default_rng(3).normal(0, 10, surfaces[::3].shape)
    surfaces[::3] += noise
    as_they_are, weighed = (
        mean_distance(SurfaceFit(given, SIZE, ridge=0.0)(np.zeros(8))[1], true, SIZE, SIZE)
        for given in (surfaces, in_units_of_noise(surfaces))
    )
    assert weighed < 0.3 < as_they_are
    assert not in_units_of_noise(np.zeros_like(surfaces)).any()


def test_the_ridge_holds_what_earlier_fits_have_moved_too():
    start = corners(SIZE)
    stretched = start + np.array([[-2, 0], [2, 0], [2, 0], [-2, 0]])
    surfaces = surfaces_of(through_corners(start, stretched))
    (free, _), (held, _) = (SurfaceFit(surfaces, SIZE, ridge)(np.zeros(8)) for ridge in (0.0, 0.1))
    assert free[4] == pytest.approx(1, abs=0.05)  # half zoom, half stretch
    assert abs(held[4]) < 0.7 * free[4]
    before = np.array([0, 0, 0, 0, 3.0, 0, 0, 0])
    after, _ = SurfaceFit(surfaces, SIZE, 0.1)(before)
    assert after[4] < held[4]


def test_a_homography_and_its_inverse():
    start = corners(SIZE)
    one = through_corners(start, start + np.array([[1, 2], [3, 1], [0, 2], [2, 2.0]]))
    np.testing.assert_allclose(moved(inverse(one), moved(one, start)), start, atol=1e-9)
