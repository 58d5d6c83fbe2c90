"""Light and shadow of the simulated street, in units of a white surface on the image (1.0)."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from mafs_ros.simulation.camera import Camera
from mafs_ros.simulation.canvas import WHITE, hull

MAP_SHRINK = 4


@dataclass
class Lighting:
    """All light of one frame. Colours are linear RGB [3]; lamps are [N, 3] world positions."""

    ambient: np.ndarray
    sun: np.ndarray
    to_sun: np.ndarray
    beam: float
    lamps: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    lamp_colours: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))

    def at(self, points: np.ndarray, normals: np.ndarray | None = None) -> np.ndarray:
        """Light [N, 3] that falls on points [N, 3]; without normals, on rounded things."""
        if normals is None:
            facing = np.full(len(points), 0.6)
            up = np.zeros(len(points))
        else:
            facing = np.clip(normals @ self.to_sun, 0.0, 1.0)
            up = normals[:, 1]
        light = self.ambient * (0.85 + 0.3 * up)[:, None] + self.sun * facing[:, None]
        if self.beam > 0.0:
            light += self._beam(points[:, 0], points[:, 1], points[:, 2])[:, None]
        if len(self.lamps):
            light += self._lamps(points[:, 0], points[:, 1], points[:, 2])
        return light

    def on_ground(self, camera: Camera, top: int, shadows: list[np.ndarray]) -> np.ndarray:
        """Light uint16 [H - top, W, 4] on the ground from image row `top` down (WHITE = 1).

        shadows: world outlines [N, 3] on the ground. The fourth channel is all WHITE.
        """
        rows = -(-(camera.height - top) // MAP_SHRINK)
        cols = -(-camera.width // MAP_SHRINK)
        v = top + (np.arange(rows) + 0.5) * MAP_SHRINK
        u = (np.arange(cols) + 0.5) * MAP_SHRINK
        x, z = camera.ground_at(u[None, :], v[:, None])
        light = np.empty((rows, cols, 4), np.float32)
        light[..., :3] = self.ambient * 1.15 + self.sun * self.to_sun[1]
        light[..., 3] = 1.0
        if self.sun.any():
            self._cast(light, camera, top, shadows)
        if self.beam > 0.0:
            light[..., :3] += self._beam(x, np.zeros_like(x), z)[..., None]
        if len(self.lamps):
            ground = self._lamps(x.ravel(), np.zeros(x.size), z.ravel())
            light[..., :3] += ground.reshape(rows, cols, 3)
        light = np.clip(light * WHITE, 0, 65535).astype(np.uint16)
        full = (cols * MAP_SHRINK, rows * MAP_SHRINK)
        return cv2.resize(light, full)[: camera.height - top, : camera.width]

    def shadow(self, points: np.ndarray) -> np.ndarray:
        """Outline [M, 3] on the ground of the shadow of a convex thing with corners [N, 3]."""
        fall = points[:, 1:2] / max(self.to_sun[1], 0.15)
        flat = points - fall * self.to_sun
        outline = hull(flat[:, [0, 2]])
        return np.stack([outline[:, 0], np.zeros(len(outline)), outline[:, 1]], axis=1)

    def _cast(
        self, light: np.ndarray, camera: Camera, top: int, shadows: list[np.ndarray]
    ) -> None:
        dark = [*(self.ambient * 0.9).tolist(), 1.0]
        for outline in shadows:
            pixels = camera.project_polygon(outline)
            if len(pixels) > 2:
                points = (pixels - (0, top)) / MAP_SHRINK - 0.5
                points = np.rint(points * 16).astype(np.int32)
                cv2.fillConvexPoly(light, points, dark, cv2.LINE_8, 4)
        cv2.GaussianBlur(light, (3, 3), 0.7, dst=light)

    def _beam(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        # Dipped headlights: a wide carpet that fades beyond 25 m and leaves heads in the dark.
        ahead = np.maximum(z, 1.0)
        side = np.exp(-((x / (1.2 + 0.32 * ahead)) ** 2))
        reach = ahead / (3.0 + ahead) * np.exp(-ahead / 16.0)
        cut = 1.0 / (1.0 + np.exp((y - 0.55 - 0.012 * ahead) * 5.0))
        return (self.beam * side * reach * (0.06 + 0.94 * cut)).astype(np.float32)

    def _lamps(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        lamps = self.lamps.astype(np.float32)[:, :, None]
        drop = np.maximum(lamps[:, 1] - y.astype(np.float32), 0.2)
        squared = (lamps[:, 0] - x.astype(np.float32)) ** 2
        squared += (lamps[:, 2] - z.astype(np.float32)) ** 2
        squared += drop * drop + 1.0  # no lamp is a point
        return (drop / (squared * np.sqrt(squared))).T @ self.lamp_colours.astype(np.float32)
