"""What a real camera is: a pinhole, a lens that bends what it sees, and a size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

_STEPS = 50
_CLOSE_PX = 1e-4


@dataclass(frozen=True, eq=False)
class RigCamera:
    """Intrinsics as in CameraInfo, distortion model plumb_bob.

    k [3, 3]: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels; (0, 0) is the centre of the top left
    pixel. distortion: k1, k2, p1, p2, k3. Optical axes: x right, y down, z forward.
    """

    width: int
    height: int
    k: np.ndarray
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 3] in optical axes, z above 0, to pixels [..., 2] of the image."""
        points = np.asarray(points, float)
        bent = self._bend(points[..., :2] / points[..., 2:])
        return bent * (self.k[0, 0], self.k[1, 1]) + (self.k[0, 2], self.k[1, 2])

    @cached_property
    def rays(self) -> np.ndarray:
        """What every pixel looks at, float64 [H, W, 3] in optical axes, z = 1.

        Raises ValueError where the lens bends two directions onto one pixel, as some polynomials
        do outside the image that they were measured in.
        """
        focal, centre = (self.k[0, 0], self.k[1, 1]), (self.k[0, 2], self.k[1, 2])
        v, u = np.mgrid[0 : self.height, 0 : self.width].astype(float)
        bent = (np.stack([u, v], axis=-1) - centre) / focal
        straight, error = bent, np.inf
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(_STEPS):
                missing = bent - self._bend(straight)
                error = np.abs(missing).max() * self.k[0, 0]
                if not _CLOSE_PX < error < np.inf:
                    break
                straight = straight + missing
        if not error <= _CLOSE_PX:
            raise ValueError(
                f"distortion {self.distortion}: the lens folds over within {self.width}x"
                f"{self.height} pixels at a focal length of {self.k[0, 0]:g}; expected weaker "
                "coefficients or a longer focal length"
            )
        rays = np.concatenate([straight, np.ones_like(straight[..., :1])], axis=-1)
        rays.flags.writeable = False
        return rays

    def _bend(self, straight: np.ndarray) -> np.ndarray:
        """Where the lens puts directions (x / z, y / z) [..., 2]: Brown's model."""
        k1, k2, p1, p2, k3 = self.distortion
        x, y = straight[..., 0], straight[..., 1]
        r2 = x * x + y * y
        radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
        bent_x = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x)
        bent_y = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y
        return np.stack([bent_x, bent_y], axis=-1)


def intrinsics(focal: float, centre_u: float, centre_v: float) -> np.ndarray:
    """The matrix k of square pixels."""
    return np.array([[focal, 0.0, centre_u], [0.0, focal, centre_v], [0.0, 0.0, 1.0]])
