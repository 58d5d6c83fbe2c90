"""The simulated street as the two cameras of a rig see it, with depth and true registration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from mafs_ros.simulation.camera import Camera
from mafs_ros.simulation.canvas import Canvas
from mafs_ros.simulation.rig import SimulatedRig
from mafs_ros.simulation.rig_view import Pose, RigView
from mafs_ros.simulation.scene import Scene
from mafs_ros.simulation.scenery import Sky
from mafs_ros.simulation.sensors import RgbSensor, ThermalSensor
from mafs_ros.simulation.world import make_world


@dataclass(frozen=True)
class RigFrame:
    """What both cameras see at one moment, each in its own pixels.

    rgb uint8 [H, W, 3], labels uint8 [H, W] and depth float32 [H, W] in metres along the axis of
    the RGB camera, inf for the sky; thermal uint16 [h, w] in centikelvin.
    """

    rgb: np.ndarray
    thermal: np.ndarray
    labels: np.ndarray
    depth: np.ndarray


class RigStreet:
    """The street of a seed (see StreetSimulation) seen by a rig; its RGB camera is where the
    street's camera was.

    Depth of people and cyclists is that of the axes of their limbs; that of the pixels between
    spokes is of what shows through. Raises ValueError as SimulatedRig's cameras and for a seed
    below 0.
    """

    def __init__(self, rig: SimulatedRig, seed: int = 0, night: bool | None = None):
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        self.rig = rig
        rgb, thermal = rig.rgb, rig.thermal
        self.world = world = make_world(seed, rgb.width, rgb.height, night)
        weather = world.weather
        # The horizon lies where the seed puts it, by tilting a camera whose axis is fixed.
        self._pitch = float(np.arctan((world.horizon - rgb.k[1, 2]) / rgb.k[1, 1]))
        straight = np.eye(3), np.zeros(3), self._pitch, weather
        self.rgb_view = RigView(rgb, *straight)
        self.thermal_view = RigView(thermal, rig.rotation, rig.translation, *straight[2:])
        rng = np.random.default_rng([seed, 22])
        self._sky = self._make_sky(rng)
        self._scene = Scene(rng, world)
        self._rgb = RgbSensor(rng, rgb.height, rgb.width, weather.night, weather.wet)
        self._thermal = ThermalSensor(rng, thermal.height, thermal.width)

    def frame(self, t_seconds: float) -> RigFrame:
        """Both images, labels and depth at a time in seconds (any order)."""
        t = float(t_seconds)
        pose, paint = self.pose(t), partial(self.paint, t)
        number = round(t * 1000)
        seen = self.rgb_view.see(pose, paint, with_depth=True)
        horizon = self.rig.rgb.k[1, 2] + self.rig.rgb.k[1, 1] * np.tan(pose.pitch)
        return RigFrame(
            rgb=self._rgb(seen.light(), float(horizon), number),
            thermal=self._thermal(self.thermal_view.see(pose, paint).heat(), number),
            labels=seen.labels(),
            depth=seen.depth(),
        )

    def paint(self, t: float, canvas: Canvas, camera: Camera) -> None:
        """Put the moment t seconds on a canvas."""
        self._sky.draw_scaled(canvas, camera, self.world.yaw)
        self._scene.draw(canvas, camera, t)

    def pose(self, t: float) -> Pose:
        """Where the RGB camera is, t in seconds."""
        world = self.world
        pitch = self._pitch + world.shake * world.nod(t)
        return Pose(world.camera_x, world.camera_y, world.heading(t), pitch)

    def _make_sky(self, rng: np.random.Generator) -> Sky:
        """One sky for both cameras, as sharp as the RGB image and as wide as the wider view."""
        extents = np.array([self.rgb_view.extent, self.thermal_view.extent])
        focal = float(self.rig.rgb.k[0, 0])
        above, side = np.ceil(extents.max(axis=0) * focal).astype(int)
        world = replace(self.world, focal=focal, horizon=float(above))
        return Sky(rng, world, int(above), 2 * int(side))
