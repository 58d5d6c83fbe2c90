"""A camera of a rig: painted straight and level by a pinhole, then seen through its lens.

The painter knows level pinhole cameras alone. A camera at the same place that is merely turned,
bent or zoomed sees the same rays, so all that a real one adds (roll, pitch, lens, pixels) is one
remapping of the painted picture, without parallax. The picture is painted with FINER times the
focal length; colours are taken from it bilinearly, labels and surfaces from the nearest pixel,
which is half a painted pixel away at most: a quarter of a pixel of the image. The depth of a
surface is worked out at the middle of the image's own pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from mafs_ros.simulation.camera import Camera
from mafs_ros.simulation.canvas import LABEL_SHIFT, THERMAL_MASK, Canvas, Haze
from mafs_ros.simulation.rig_camera import RigCamera
from mafs_ros.simulation.surfaces import Surfaces
from mafs_ros.simulation.weather import Weather

FINER = 2.0
_MARGIN_PX = 12  # of the painted picture, for the nodding of the car


@dataclass(frozen=True)
class Pose:
    """Where a car's RGB camera is at a moment: world x and y in metres (z is 0), radians.

    yaw: to the right along the street; pitch: upwards.
    """

    x: float
    y: float
    yaw: float
    pitch: float

    def to_level(self) -> np.ndarray:
        """Rotation [3, 3] from the RGB optical frame to the level one, which has the yaw alone."""
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        return np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])

    def from_world(self, points: np.ndarray) -> np.ndarray:
        """World points [N, 3] (x right, y up, z along the street) in the RGB optical frame."""
        level = Camera(1, 1, 1.0, 0.0, 0.0, self.x, self.y, self.yaw).to_camera(points)
        return (level * (1.0, -1.0, 1.0)) @ self.to_level()


class RigView:
    """One camera, which stands at `place` [3] of the RGB optical frame, turned by `rotation`.

    pitch: about which the car nods, radians. Raises ValueError for a lens that cannot be.
    """

    def __init__(
        self,
        camera: RigCamera,
        rotation: np.ndarray,
        place: np.ndarray,
        pitch: float,
        weather: Weather,
    ):
        self.camera = camera
        self._rotation, self._place = rotation, place
        self._rays = camera.rays.reshape(-1, 3)
        self._focal = FINER * float(max(camera.k[0, 0], camera.k[1, 1]))
        level = self._level_rays(Pose(0.0, 0.0, 0.0, pitch))
        if level[:, 2].min() < 0.1:
            raise ValueError(
                f"camera {camera}: sees more than half around, expected a narrower view"
            )
        u, v = self._focal * level[:, 0] / level[:, 2], self._focal * level[:, 1] / level[:, 2]
        self._left, self._top = _MARGIN_PX - u.min(), _MARGIN_PX - v.min()
        # The horizon is always within, though perhaps not in what is seen of it.
        self._top = max(self._top, 2.0)
        self._size = (
            int(np.ceil(self._top + max(v.max(), 2.0))) + _MARGIN_PX,
            int(np.ceil(self._left + u.max())) + _MARGIN_PX,
        )
        self._haze = Haze(*self._size, weather.sky_horizon, weather.air, weather.visibility_m)

    @property
    def extent(self) -> tuple[float, float]:
        """How far the picture reaches above the horizon and aside, as share of the distance."""
        side = max(self._left, self._size[1] - self._left)
        return self._top / self._focal, side / self._focal

    def painter(self, pose: Pose) -> Camera:
        """The level pinhole at this camera's place."""
        right, down, forward = pose.to_level() @ self._place
        cos, sin = np.cos(pose.yaw), np.sin(pose.yaw)
        return Camera(
            width=self._size[1],
            height=self._size[0],
            focal=self._focal,
            centre_u=self._left,
            horizon_v=self._top,
            x=pose.x + cos * right + sin * forward,
            y=pose.y - down,
            yaw=pose.yaw,
            z=cos * forward - sin * right,
        )

    def see(
        self, pose: Pose, paint: Callable[[Canvas, Camera], None], with_depth: bool = False
    ) -> Seen:
        """What the camera sees of what `paint` puts on a canvas."""
        painter = self.painter(pose)
        canvas = Canvas(self._haze, Surfaces(painter) if with_depth else None)
        paint(canvas, painter)
        rays = self._level_rays(pose)
        shape = (self.camera.height, self.camera.width)
        u = (painter.centre_u + painter.focal * rays[:, 0] / rays[:, 2]).reshape(shape)
        v = (painter.horizon_v + painter.focal * rays[:, 1] / rays[:, 2]).reshape(shape)
        return Seen(canvas, (u.astype(np.float32), v.astype(np.float32)), rays)

    def _level_rays(self, pose: Pose) -> np.ndarray:
        """The camera's rays [N, 3] in level optical axes."""
        return np.asarray(self._rays @ (pose.to_level() @ self._rotation).T)


class Seen:
    """A painted picture, seen through a lens."""

    def __init__(self, canvas: Canvas, maps: tuple[np.ndarray, np.ndarray], rays: np.ndarray):
        self._canvas, self._maps = canvas, maps
        self._rays = rays * (1.0, -1.0, 1.0)

    def light(self) -> np.ndarray:
        """Linear light uint16 [H, W, 4]; the fourth channel is of no use."""
        return cv2.remap(self._canvas.pixels, *self._maps, cv2.INTER_LINEAR)

    def heat(self) -> np.ndarray:
        """Temperature uint16 [H, W], as in the canvas."""
        heat = self._canvas.pixels[..., 3] & np.uint16(THERMAL_MASK)
        return cv2.remap(heat, *self._maps, cv2.INTER_LINEAR)

    def labels(self) -> np.ndarray:
        """Class ids uint8 [H, W]."""
        return self._nearest((self._canvas.pixels[..., 3] >> LABEL_SHIFT).astype(np.uint8))

    def depth(self) -> np.ndarray:
        """Metres along the camera's axis, float32 [H, W]; inf for the sky."""
        surfaces = self._canvas.surfaces
        assert surfaces is not None  # see(..., with_depth=True)
        numbers = self._nearest(surfaces.numbers)
        rays = self._rays.reshape(*numbers.shape, 3).astype(np.float32)
        return surfaces.depth(numbers, rays)

    def _nearest(self, picture: np.ndarray) -> np.ndarray:
        # Not by cv2.remap, which knows no int32 in all releases.
        u, v = (np.rint(m).astype(np.int32) for m in self._maps)
        rows, cols = picture.shape[:2]
        return picture[np.clip(v, 0, rows - 1), np.clip(u, 0, cols - 1)]
