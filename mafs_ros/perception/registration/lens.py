"""A calibrated camera: which pixel sees a point, and what a pixel sees."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.perception.registration.numbers import Matrix, Size, rescaling, same_shape, text

REACH = 5.67  # tangent of 80 degrees: further from its axis a camera is taken to see nothing
_RADII = np.linspace(0, REACH, 2000)


@dataclass(frozen=True)
class Lens:
    """A camera of the pinhole model with the lens distortion of OpenCV.

    name: of the camera, for messages. size: (height, width) of its images. k: 3x3, pixels; (0, 0)
    is the centre of the top left pixel. distortion: the coefficients in the order of OpenCV, none
    for rectified images. fisheye: they are the four of the equidistant model, else those of
    plumb_bob (4 or 5) or rational_polynomial (8, 12, 14). rectification: 3x3, takes the directions
    that the lens sees to those of the camera's frame (CameraInfo.r).
    """

    name: str
    size: Size
    k: Matrix
    distortion: Matrix = field(default_factory=lambda: np.zeros(0))
    fisheye: bool = False
    rectification: Matrix = field(default_factory=lambda: np.eye(3))

    def __str__(self) -> str:
        """'RGB 640x480 plumb_bob, f 520'."""
        model = self.model if self.distorts else "without distortion"
        return f"{self.name} {text(self.size)} {model}, f {self.k[0, 0]:.0f}"

    @property
    def distorts(self) -> bool:
        return bool(self.distortion.any())

    @property
    def model(self) -> str:
        """Of the distortion, as CameraInfo names it."""
        if self.fisheye:
            return "equidistant"
        return "rational_polynomial" if len(self.distortion) > 5 else "plumb_bob"

    def for_size(self, size: Size) -> Lens:
        """The same camera in another resolution; ValueError where that has another shape."""
        if size == self.size:
            return self
        if not same_shape(size, self.size):
            raise ValueError(
                f"the CameraInfo of the {self.name} camera is for images of {text(self.size)}, "
                f"got {text(size)}, which is another shape: calibrate it at this resolution, or "
                "set its width, height, binning and roi as the driver crops its images"
            )
        return replace(self, size=size, k=rescaling(self.size, size) @ self.k)

    def pixels_of(self, points: NDArray[Any]) -> Matrix:
        """Where points [..., 3] of the camera's frame are seen: [..., 2], x and y in pixels.

        NaN for what is behind the camera or beyond what the distortion describes.
        """
        points = np.asarray(points, np.float64) @ self.rectification
        z = points[..., 2:]
        flat = np.divide(
            points[..., :2], z, out=np.full(points[..., :2].shape, np.nan), where=z > 0
        )
        flat[np.linalg.norm(flat, axis=-1) > self._reach] = np.nan
        return self._distorted(flat) @ self.k[:2, :2].T + self.k[:2, 2]

    def rays_of(self, pixels: NDArray[Any]) -> Matrix:
        """What pixels [..., 2] see: points of the camera's frame at z = 1, [..., 3].

        NaN for pixels that the distortion says nothing of.
        """
        seen = (np.asarray(pixels, np.float64) - self.k[:2, 2]) @ np.linalg.inv(self.k[:2, :2]).T
        flat = self._undistorted(seen)
        rays = np.concatenate([flat, np.ones_like(flat[..., :1])], -1) @ self.rectification.T
        return np.divide(
            rays, rays[..., 2:], out=np.full_like(rays, np.nan), where=rays[..., 2:] > 0
        )

    def _distorted(self, flat: Matrix) -> Matrix:
        """Points at z = 1 as the lens shows them."""
        if not self.distorts:
            return flat
        if self.fisheye:
            radius = np.linalg.norm(flat, axis=-1, keepdims=True)
            angle = np.arctan(radius)
            squares = angle ** np.array([2, 4, 6, 8])
            shown = angle * (1 + (squares * self.distortion[:4]).sum(-1, keepdims=True))
            return flat * np.divide(shown, radius, out=np.ones_like(shown), where=radius > 1e-9)
        points = np.concatenate([flat, np.ones_like(flat[..., :1])], -1).reshape(-1, 1, 3)
        zero = np.zeros(3)
        shown, _ = cv2.projectPoints(points, zero, zero, np.eye(3), self.distortion)
        return np.asarray(shown, np.float64).reshape(flat.shape)

    @cached_property
    def _profile(self) -> Matrix:
        """Radius as the lens shows it of each of `_RADII`, as far as it grows."""
        axis = np.stack([_RADII, np.zeros_like(_RADII)], -1)
        radial = self.distortion.copy()
        if not self.fisheye:
            radial[2:4] = radial[8:] = 0  # what is not radial is small
        shown = replace(self, distortion=radial)._distorted(axis)[:, 0]
        grows = np.diff(shown) > 0
        return shown[: len(shown) if grows.all() else max(int(grows.argmin()), 1) + 1]

    @property
    def _reach(self) -> float:
        return float(_RADII[len(self._profile) - 1])

    def _undistorted(self, seen: Matrix) -> Matrix:
        """Newton's method, from where the radial part alone would lead."""
        radius = np.linalg.norm(seen, axis=-1, keepdims=True)
        start = np.interp(radius, self._profile, _RADII[: len(self._profile)])
        flat = seen * np.divide(start, radius, out=np.ones_like(radius), where=radius > 1e-9)
        if not self.distorts:
            return np.where(radius <= REACH, seen, np.nan)
        step = 1e-5
        for _ in range(4):
            here = self._distorted(flat)
            by_x = (self._distorted(flat + [step, 0]) - here) / step
            by_y = (self._distorted(flat + [0, step]) - here) / step
            jacobian = np.stack([by_x, by_y], -1)
            determinant = np.linalg.det(jacobian)[..., None]
            off = seen - here
            turned = np.stack(
                [
                    jacobian[..., 1, 1] * off[..., 0] - jacobian[..., 0, 1] * off[..., 1],
                    jacobian[..., 0, 0] * off[..., 1] - jacobian[..., 1, 0] * off[..., 0],
                ],
                -1,
            )
            flat = flat + turned / np.where(abs(determinant) > 1e-3, determinant, np.inf)
        missed = np.linalg.norm(self._distorted(flat) - seen, axis=-1, keepdims=True)
        beyond = np.linalg.norm(flat, axis=-1, keepdims=True) > self._reach
        return np.where((missed * self.k[0, 0] > 0.02) | beyond, np.nan, flat)
