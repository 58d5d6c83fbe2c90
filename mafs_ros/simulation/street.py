"""The simulated street: exact labels, colour and temperature of any moment, from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mafs_ros.simulation.camera import Camera
from mafs_ros.simulation.canvas import LABEL_SHIFT, Canvas, Haze
from mafs_ros.simulation.scene import Scene
from mafs_ros.simulation.scenery import Sky
from mafs_ros.simulation.sensors import RgbSensor, ThermalSensor
from mafs_ros.simulation.world import make_world


@dataclass(frozen=True)
class SimulatedFrame:
    """rgb uint8 [H, W, 3]; thermal uint16 [H, W] in centikelvin; labels uint8 [H, W], 0 to 3."""

    rgb: np.ndarray
    thermal: np.ndarray
    labels: np.ndarray


class StreetSimulation:
    """A night or day street seen from a car, the same for the same seed and time.

    Ids of `labels`: 0 background, 1 car, 2 person, 3 bike (table `street`). Frames may be asked
    for in any order. `night` None lets the seed choose. Raises ValueError for sizes below 16.
    """

    def __init__(
        self, seed: int = 0, height: int = 480, width: int = 640, night: bool | None = None
    ):
        if height < 16 or width < 16:
            raise ValueError(f"image size {width}x{height} is too small: at least 16x16")
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        self.height, self.width = height, width
        self.world = world = make_world(seed, width, height, night)
        self.night = world.weather.night
        rng = np.random.default_rng([seed, 21])
        weather = world.weather
        self._haze = Haze(height, width, weather.sky_horizon, weather.air, weather.visibility_m)
        self._sky = Sky(rng, world, height, width)
        self._scene = Scene(rng, world)
        self._rgb = RgbSensor(rng, height, width, self.night, weather.wet)
        self._thermal = ThermalSensor(rng, height, width)

    def frame(self, t_seconds: float) -> SimulatedFrame:
        """The two images and the labels at a time in seconds (any order, any number of times)."""
        t = float(t_seconds)
        camera = self._camera(t)
        canvas = Canvas(self._haze)
        self._sky.draw(canvas, camera, self.world.yaw)
        self._scene.draw(canvas, camera, t)
        number = round(t * 1000)
        heat = np.ascontiguousarray(canvas.pixels[..., 3])
        return SimulatedFrame(
            rgb=self._rgb(canvas.pixels, camera.horizon_v, number),
            thermal=self._thermal(heat, number),
            labels=(heat >> LABEL_SHIFT).astype(np.uint8),
        )

    def _camera(self, t: float) -> Camera:
        world = self.world
        return Camera(
            width=self.width,
            height=self.height,
            focal=world.focal,
            centre_u=0.5 * self.width,
            horizon_v=world.horizon + world.focal * world.shake * world.nod(t),
            x=world.camera_x,
            y=world.camera_y,
            yaw=world.heading(t),
        )
