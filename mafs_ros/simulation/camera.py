"""Pinhole camera of the simulated car.

World axes: x to the right in metres, y up, z along the street, z = 0 at the car's RGB camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR_M = 0.3
# Beyond this, a projected vertex is so far outside any image that its exact place is irrelevant,
# and the fixed-point rasteriser would overflow.
FAR_OUTSIDE_PX = 16000.0


@dataclass(frozen=True)
class Camera:
    """Where the camera stands and how it looks in one frame (focal length in pixels)."""

    width: int
    height: int
    focal: float
    centre_u: float
    horizon_v: float
    x: float
    y: float
    yaw: float
    z: float = 0.0

    @property
    def place(self) -> np.ndarray:
        """World position [3] in metres."""
        return np.array([self.x, self.y, self.z])

    def turned(self, vectors: np.ndarray) -> np.ndarray:
        """World vectors [N, 3] in camera axes (right, up, forward)."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
        return np.stack([cos * x - sin * z, y, sin * x + cos * z], axis=1)

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """World points [N, 3] to camera axes (right, up, forward), metres."""
        return self.turned(points - self.place)

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Points [N, 3] in camera axes, in front of the camera, to pixels [N, 2]."""
        z = np.maximum(points[:, 2], 1e-3)
        u = self.centre_u + self.focal * points[:, 0] / z
        v = self.horizon_v - self.focal * points[:, 1] / z
        return np.clip(np.stack([u, v], axis=1), -FAR_OUTSIDE_PX, FAR_OUTSIDE_PX)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points [N, 3] to pixels [N, 2] and depths [N] in metres (clipped to NEAR_M)."""
        inside = self.to_camera(points)
        inside[:, 2] = np.maximum(inside[:, 2], NEAR_M)
        return self.to_pixels(inside), inside[:, 2]

    def project_polygon(self, points: np.ndarray) -> np.ndarray:
        """World polygon [N, 3], cut at the near plane, to pixels [M, 2] (M = 0 when behind)."""
        return self.to_pixels(clip_near(self.to_camera(points)))

    def sees(self, x: np.ndarray, z: np.ndarray, radius: np.ndarray | float) -> np.ndarray:
        """Whether things of these radii in metres around (x, z) can be inside the image."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        dx, dz = x - self.x, z - self.z
        depth = sin * dx + cos * dz
        edge = max(self.centre_u, self.width - self.centre_u) / self.focal
        beside = np.abs(cos * dx - sin * dz) - radius > edge * (depth + radius)
        return (depth > NEAR_M - radius) & ~beside

    def plane_homography(
        self, origin: np.ndarray, step_u: np.ndarray, step_v: np.ndarray
    ) -> np.ndarray:
        """Homography [3, 3] from a plane's (column, row) coordinates to pixels.

        The plane's point (i, j) is origin + i * step_u + j * step_v, in world metres.
        """
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        rotation = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
        intrinsics = np.array(
            [[self.focal, 0, self.centre_u], [0, -self.focal, self.horizon_v], [0, 0, 1]]
        )
        return intrinsics @ rotation @ np.stack([step_u, step_v, origin - self.place], axis=1)

    def ground_at(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World (x, z) in metres of the ground seen at pixels below the horizon."""
        depth = self.y * self.focal / np.maximum(v - self.horizon_v, 0.5)
        side = depth * (u - self.centre_u) / self.focal
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return self.x + cos * side + sin * depth, self.z + cos * depth - sin * side


def clip_near(polygon: np.ndarray) -> np.ndarray:
    """Polygon [N, 3] in camera axes without the part nearer than NEAR_M."""
    ahead = polygon[:, 2] >= NEAR_M
    if ahead.all():
        return polygon
    if not ahead.any():
        return polygon[:0]
    kept = []
    for i, point in enumerate(polygon):
        before = polygon[i - 1]
        if ahead[i] != ahead[i - 1]:
            part = (NEAR_M - before[2]) / (point[2] - before[2])
            kept.append(before + part * (point - before))
        if ahead[i]:
            kept.append(point)
    return np.array(kept)
