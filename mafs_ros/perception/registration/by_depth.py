"""Warping the thermal image by the depth of every pixel, without doubling what is in front.

With q = 1 / depth the thermal pixel that sees what an RGB pixel sees is
    u = (a0 + q t0) / (a2 + q t2),  v = (a1 + q t1) / (a2 + q t2),
where a (the ray of the RGB pixel, turned into the thermal camera) and t (the RGB camera's place
there) are known beforehand, with the intrinsics of the thermal camera multiplied in. Its lens
distortion is a table over u and v.

Beside something near, the RGB camera sees background that the thermal camera does not, because
the near thing hides it. By its depth that background reads the near thing a second time. So the
RGB pixels are first thrown into cells of the thermal image, where the nearest wins, and a pixel
that lies behind the winner of its cell gets 0: as outside of the thermal image, nothing warm is
made up.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.perception.registration.grid import over_image
from mafs_ros.perception.registration.lens import Lens
from mafs_ros.perception.registration.numbers import Image, Matrix
from mafs_ros.perception.registration.rig import Rig

Floats = NDArray[np.float32]
HIDDEN_PX = 2.0  # in the thermal image: what is doubled by less is not seen as double
SAMPLED = 2  # every second RGB pixel of every second row goes into the cells
_FAR_OUTSIDE = -1e5
_FAR = 1e3
_WIDEST = 2.75  # tangent of 70 degrees: as far from the axis as distortion is tabled
_TABLED = 2  # thermal pixels from one entry of that table to the next


class DepthWarp:
    """Warps thermal images of `rig.thermal.size` to RGB images of `rig.rgb.size` by depth.

    plane_depth_m: where pixels are taken to be whose depth is not known.
    """

    def __init__(self, rig: Rig, plane_depth_m: float) -> None:
        self._plane_depth_m = np.float32(plane_depth_m)
        k, self._distortion = _projection(rig.thermal)
        turned = k @ rig.thermal.rectification.T @ rig.rotation.T
        rays = over_image(rig.rgb.rays_of, rig.rgb.size)
        a = np.einsum("ij,jhw->ihw", turned, rays)
        a[:, ~np.isfinite(a[2])] = [[_FAR_OUTSIDE], [_FAR_OUTSIDE], [1]]
        self._a: Floats = a.astype(np.float32)
        self._t: Floats = (-turned @ rig.translation).astype(np.float32)
        spacing = SAMPLED * _spacing(self._a)
        self._cell = float(max(1.5 * spacing, 2.0))
        parallax = rig.thermal.k[0, 0] * max(rig.baseline_m, 1e-6)  # pixels for each unit of q
        self._behind = np.float32(HIDDEN_PX / parallax)
        extent = rig.thermal.size if self._distortion is None else self._distortion.shape[:2]
        self._cells = tuple(int(length / self._cell) + 3 for length in extent)

    def __call__(self, thermal: Image, depth: Floats) -> Image:
        """The thermal image on the RGB pixels: uint8 [H,W].

        thermal: uint8 [h,w]; depth: float32 [H,W] in metres; 0, less than that, NaN or infinite
        where it is not known.
        """
        q, known = self._inverse(depth)
        flat = self._flat(q)
        x, y = self._distorted(*flat)
        warped = np.asarray(cv2.remap(thermal, x, y, cv2.INTER_LINEAR), np.uint8)
        warped[self._hidden(*flat, q, known)] = 0
        return warped

    def thermal_pixels(self, depth: Floats) -> Floats:
        """The thermal pixels that are read with this depth, hidden or not: x and y, [2,H,W]."""
        return np.stack(self._distorted(*self._flat(self._inverse(depth)[0])))

    def _inverse(self, depth: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        known = (depth > 0) & (depth < np.inf)
        return np.reciprocal(np.where(known, depth, self._plane_depth_m)), known

    def _flat(self, q: Floats) -> tuple[Floats, Floats]:
        """Thermal pixels but for the distortion of the lens."""
        scale = q * self._t[2]
        scale += self._a[2]
        np.maximum(scale, np.float32(1e-3), out=scale)  # what is behind lands far outside
        np.reciprocal(scale, out=scale)
        u, v = q * self._t[0], q * self._t[1]
        for pixels, a in ((u, self._a[0]), (v, self._a[1])):
            pixels += a
            pixels *= scale
        return u, v

    def _distorted(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        if self._distortion is None:
            return u, v
        outside = (_FAR_OUTSIDE, _FAR_OUTSIDE)
        pixels = cv2.remap(self._distortion, u, v, cv2.INTER_LINEAR, borderValue=outside)
        x, y = (np.asarray(plane, np.float32) for plane in cv2.split(pixels))
        return x, y

    def _hidden(
        self, u: Floats, v: Floats, q: Floats, known: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """The RGB pixels whose point something nearer hides from the thermal camera."""
        rows, columns = self._cells
        cell = self._cell_numbers(v, rows) * np.int32(columns)
        cell += self._cell_numbers(u, columns)
        sampled = known[::SAMPLED, ::SAMPLED]
        nearest = _nearest(
            cell[::SAMPLED, ::SAMPLED][sampled],
            q[::SAMPLED, ::SAMPLED][sampled],
            rows * columns,
            self._behind / 4,
        )
        return nearest[cell] - q > self._behind

    def _cell_numbers(self, pixels: Floats, count: int) -> NDArray[np.int32]:
        """The first and the last are for all that is outside of the thermal image."""
        numbers = pixels * np.float32(1 / self._cell)
        numbers += np.float32(1 + 0.5 / self._cell)
        np.clip(numbers, 0, count - 1, out=numbers)
        return numbers.astype(np.int32)


def _nearest(cell: NDArray[np.int32], q: Floats, cells: int, tolerance: np.float32) -> Floats:
    """The largest q of each cell, 0 where there is none; ufunc.at is slow before NumPy 1.25."""
    nearest = np.zeros(cells, np.float32)
    while cell.size:
        nearest[cell] = q  # of several in a cell one stays
        more = q > nearest[cell] + tolerance
        cell, q = cell[more], q[more]
    return nearest


def _spacing(a: Floats) -> float:
    """How far apart in the thermal image two neighbouring RGB pixels read, at the most."""
    u, v = a[:2] / a[2]
    steps = [np.hypot(np.diff(u, axis=axis), np.diff(v, axis=axis)) for axis in (0, 1)]
    return max(float(np.percentile(step[step < _FAR], 95)) for step in steps)


def _projection(lens: Lens) -> tuple[Matrix, Floats | None]:
    """Intrinsics to multiply in, and the table that leads from there to pixels of the lens.

    The table, [rows, columns, 2], holds pixels of the thermal image for every second pixel of a
    larger one without distortion; None where the lens has no distortion.
    """
    if not lens.distortion.any():
        return lens.k, None
    height, width = lens.size
    along, down = np.linspace(0, width - 1, 33), np.linspace(0, height - 1, 33)
    border = np.concatenate(
        [np.stack(np.broadcast_arrays(along, y), -1) for y in (0, height - 1)]
        + [np.stack(np.broadcast_arrays(x, down), -1) for x in (0, width - 1)]
    )
    rays = lens.rays_of(border) @ lens.rectification
    flat = np.nan_to_num(rays[:, :2] / rays[:, 2:], nan=_WIDEST)
    low, high = np.maximum(flat.min(0), -_WIDEST), np.minimum(flat.max(0), _WIDEST)
    focal = np.diag(lens.k)[:2] / _TABLED
    columns, rows = np.ceil((high - low) * focal).astype(int) + 1
    entries = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1)
    points = np.concatenate([entries / focal + low, np.ones((rows, columns, 1))], -1)
    table = lens.pixels_of(points @ lens.rectification.T)
    k = np.array([[focal[0], 0, -low[0] * focal[0]], [0, focal[1], -low[1] * focal[1]], [0, 0, 1]])
    return k, np.nan_to_num(table, nan=_FAR_OUTSIDE).astype(np.float32)
