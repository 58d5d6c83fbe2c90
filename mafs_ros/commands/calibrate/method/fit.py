"""The one homography that the surfaces of all cells together like best."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.commands.calibrate.method.geometry import (
    REFERENCE_WIDTH,
    Points,
    corners,
    moved,
    through_corners,
)
from mafs_ros.commands.calibrate.method.surfaces import CELLS, Surfaces
from mafs_ros.perception.registration.numbers import Matrix, Size

Parameters = NDArray[np.float64]  # [8]: displacements in pixels at the corners of the image
STAGES = ((2, 2.0), (4, 1.0), (8, 0.5))  # parameters that are free, blur of the surfaces in pixels
STEPS = 60
_DAMPING = 1e-3


class SurfaceFit:
    """Fits a homography to surfaces.

    surfaces: of `cell_surfaces`; size: of their image; ridge: how strongly stretch, shear and
    perspective are held at 0, which few frames tell badly. stiffness is relative to the sum of all
    peaks, for a pixel at REFERENCE_WIDTH.
    """

    def __init__(self, surfaces: Surfaces, size: Size, ridge: float) -> None:
        self._surfaces = surfaces
        self.reach = surfaces.shape[1] // 2
        self._size = size
        self._per_pixel = REFERENCE_WIDTH / size[1]
        self._ridge = ridge * self._per_pixel**2 * np.array([0, 0, 0, 0, 1, 1, 1, 1])
        above = surfaces.max((1, 2)) - np.median(surfaces, axis=(1, 2))
        self._scale = float(np.sqrt((above**2).sum())) + 1e-9
        self._middles = _cell_middles(size)

    def __call__(
        self, before: Parameters, stages: Sequence[tuple[int, float]] = STAGES
    ) -> tuple[Parameters, Matrix]:
        """The best parameters, and the homography from RGB pixels to where the thermal lies.

        before: what earlier fits have moved already, in pixels of this image: the ridge holds the
        sum.
        """
        found = np.zeros(8)
        for free, blur in stages:
            found = self._climb(found, free, before, _smooth(self._surfaces, blur))
        start = corners(self._size)
        return found, through_corners(start, start + displacements(found, self._size))

    def _climb(
        self, found: Parameters, free: int, before: Parameters, smooth: NDArray[np.float32]
    ) -> Parameters:
        """Newton's steps on what is bent downwards, shortened while they do not lead up."""
        damping = _DAMPING
        value, slope, bend = self._look(found, free, before, smooth)
        for _ in range(STEPS):
            trial = found.copy()
            damped = bend + damping * (np.diag(np.diag(bend)) + 1e-6 * np.eye(free))
            step = np.linalg.solve(damped, slope)
            trial[:free] += step
            there = self._look(trial, free, before, smooth)
            if there[0] > value:
                found, (value, slope, bend) = trial, there
                damping = max(damping / 4, 1e-6)
                if np.abs(step).max() < 1e-3:
                    break
            else:
                damping *= 5
                if damping > 1e8:
                    break
        return found

    def _look(
        self, found: Parameters, free: int, before: Parameters, smooth: NDArray[np.float32]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Value, gradient and (positive definite) negative curvature at some parameters."""
        shifts = self._shifts(found)
        value, gx, gy, gxx, gxy, gyy = _sampled(smooth, shifts + self.reach)
        jacobian = np.empty((len(shifts), 2, free))
        for number in range(free):
            near = found.copy()
            near[number] += 0.01
            jacobian[:, :, number] = (self._shifts(near) - shifts) / 0.01
        slope = np.einsum("nd,ndp->p", np.stack([gx, gy], 1), jacobian) / self._scale
        curvature = _positive(-gxx, -gxy, -gyy)
        bend = np.einsum("ndp,nde,neq->pq", jacobian, curvature, jacobian) / self._scale
        moved_in_all = found + before
        slope -= 2 * (self._ridge * moved_in_all)[:free]
        bend += 2 * np.diag(self._ridge[:free]) + 1e-9 * np.eye(free)
        penalty = float((self._ridge * moved_in_all**2).sum())
        return float(value.sum()) / self._scale - penalty, slope, bend

    def _shifts(self, found: Parameters) -> Points:
        start = corners(self._size)
        homography = through_corners(start, start + displacements(found, self._size))
        return moved(homography, self._middles) - self._middles


def displacements(parameters: Parameters, size: Size) -> Points:
    """How far the corners of an image of `size` move: [4, 2] pixels.

    The parameters: shift right, shift down, zoom, rotation, stretch, shear, two of perspective;
    each in pixels at the left and right edge.
    """
    shape = size[0] / size[1]
    x, y = np.array([-1, 1, 1, -1.0]), np.array([-1, -1, 1, 1.0])
    basis = np.zeros((8, 4, 2))
    basis[0, :, 0] = 1
    basis[1, :, 1] = 1
    basis[2] = np.column_stack([x, shape * y])
    basis[3] = np.column_stack([-shape * y, x])
    basis[4] = np.column_stack([x, -shape * y])
    basis[5] = np.column_stack([shape * y, x])
    basis[6, :, 0] = x * y
    basis[7, :, 1] = x * y
    return np.asarray(np.tensordot(parameters, basis, 1))


def _cell_middles(size: Size) -> Points:
    y = (np.arange(CELLS[0]) + 0.5) * size[0] / CELLS[0] - 0.5
    x = (np.arange(CELLS[1]) + 0.5) * size[1] / CELLS[1] - 0.5
    return np.array([(right, down) for down in y for right in x])


def _smooth(surfaces: Surfaces, blur: float) -> NDArray[np.float32]:
    """The surfaces, blurred, with a border of 2 that repeats theirs."""
    smooth = [cv2.GaussianBlur(s, (0, 0), blur, borderType=cv2.BORDER_REPLICATE) for s in surfaces]
    return np.pad(np.array(smooth, np.float32), ((0, 0), (2, 2), (2, 2)), mode="edge")


def _sampled(smooth: NDArray[np.float32], places: Points) -> list[NDArray[np.float64]]:
    """Of each cell at its own place (x, y): value, its two slopes, its three curvatures.

    By cubic B-splines: value and slopes are continuous, and have no tops of their own at whole
    pixels, as those of linear interpolation do. Beyond the border all but the value is 0.
    """
    most = smooth.shape[2] - 5
    x, y = np.clip(places, 0, most - 1e-6).T
    left, top = x.astype(int), y.astype(int)
    across, down = _spline(x - left), _spline(y - top)
    taps = np.arange(1, 5)
    cell = np.arange(len(places))[:, None, None]
    near = smooth[cell, (top[:, None] + taps)[:, :, None], (left[:, None] + taps)[:, None, :]]
    inside = ((places >= 0) & (places <= most)).all(1)
    orders = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))  # of the derivatives in x and y
    sampled = [np.einsum("nij,ni,nj->n", near, down[j], across[i]) for i, j in orders]
    return [sampled[0], *(layer * inside for layer in sampled[1:])]


def _spline(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of four neighbours at a place 0 <= t < 1 between the middle two: [3, N, 4].

    For the value, its first and its second derivative.
    """
    u = 1 - t
    return np.array(
        [
            np.stack([u**3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * u**2 + 3 * u**3, t**3], 1) / 6,
            np.stack([-(u**2), 3 * t**2 - 4 * t, 4 * u - 3 * u**2, t**2], 1) / 2,
            np.stack([u, 3 * t - 2, 3 * u - 2, t], 1),
        ]
    )


def _positive(
    xx: NDArray[np.float64], xy: NDArray[np.float64], yy: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Symmetric matrices [N, 2, 2] with their negative eigenvalues made positive."""
    matrices = np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2)
    values, vectors = np.linalg.eigh(matrices)
    return np.asarray(np.einsum("nij,nj,nkj->nik", vectors, np.abs(values), vectors))
