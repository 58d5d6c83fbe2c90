"""Two cameras and how they sit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mafs_ros.perception.registration.lens import Lens
from mafs_ros.perception.registration.numbers import Matrix, Size, numbers


@dataclass(frozen=True)
class Rig:
    """Two cameras that are fixed to each other.

    rotation (3x3), translation (3, in metres): take a point from the thermal to the RGB camera's
    optical frame (tf2: lookup_transform(target=rgb frame, source=thermal frame)). Raises
    ValueError for what is no rotation or translation.
    """

    rgb: Lens
    thermal: Lens
    rotation: Matrix
    translation: Matrix

    def __post_init__(self) -> None:
        r = numbers("rotation", self.rotation, (3, 3))
        if not np.allclose(r @ r.T, np.eye(3), atol=1e-3) or np.linalg.det(r) < 0:
            raise ValueError(f"rotation must be a rotation matrix, got {r.tolist()}")
        numbers("translation", self.translation, (3,))

    @property
    def baseline_m(self) -> float:
        return float(np.linalg.norm(self.translation))

    def for_sizes(self, rgb: Size, thermal: Size) -> Rig:
        """The same cameras in other resolutions; raises ValueError for other shapes."""
        lenses = self.rgb.for_size(rgb), self.thermal.for_size(thermal)
        return Rig(*lenses, self.rotation, self.translation)

    def thermal_pixels(self, rgb_pixels: Matrix, depth_m: ArrayLike) -> Matrix:
        """The thermal pixels that see what RGB pixels [..., 2] see at these depths: [..., 2].

        depth_m: along the axis of the RGB camera, one or [...]. NaN where there is none.
        """
        points = self.rgb.rays_of(rgb_pixels) * np.asarray(depth_m, np.float64)[..., None]
        return self.thermal.pixels_of((points - self.translation) @ self.rotation)
