"""Cars as small meshes of flat faces, with windows, wheels, lights and warm parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from mafs_ros.simulation.camera import Camera
from mafs_ros.simulation.canvas import CAR, Canvas, sixteenths
from mafs_ros.simulation.lighting import Lighting
from mafs_ros.simulation.vehicle_shapes import (
    CABIN,
    DISC,
    GLASS,
    HEADLAMP,
    PAINT,
    SEAM,
    SHEEN,
    TAILLAMP,
    Mesh,
    mesh,
)
from mafs_ros.simulation.weather import Weather
from mafs_ros.simulation.world import Car

_ALBEDO = np.array(
    [[1, 1, 1], [0.035, 0.045, 0.05], [0.025, 0.025, 0.027], [0.015, 0.015, 0.015],
     [0.35, 0.35, 0.37], [0.75, 0.77, 0.8], [0.38, 0.015, 0.012], [0.7, 0.7, 0.6],
     [0.3, 0.3, 0.32], [0.05, 0.05, 0.05], [0.2, 0.2, 0.2], [0.06, 0.075, 0.08]]
)  # fmt: skip
SEEN_M = 115.0
_HEAT = np.array([1.0, 9.0, 12.0, 14.0, 6.0, 42.0, 3.0, 10.0])


class Traffic:
    """All cars of a street. What does not change with time is worked out once."""

    def __init__(self, cars: list[Car], weather: Weather):
        self.cars = cars
        self._weather = weather
        self._meshes = [mesh(car.shape) for car in cars]
        turns = [np.array([car.heading, 1.0, car.heading]) for car in cars]
        pairs = list(zip(cars, self._meshes, turns, strict=True))
        self._vertices = [m.vertices * turn * car.scale for car, m, turn in pairs]
        self._centres = [m.centres * turn * car.scale for car, m, turn in pairs]
        self._normals = [m.normals * turn for _, m, turn in pairs]
        self._bases = [m.base * turn * car.scale for car, m, turn in pairs]
        self._reach = [
            np.array([np.ptp(m.vertices[face], axis=0).max() for face in m.faces]) * car.scale
            for car, m, _ in pairs
        ]
        self._albedo = [_albedo(car, m) for car, m, _ in pairs]
        looks = list(zip(self._meshes, self._normals, strict=True))
        self._mirrored = [_mirrored(m, weather, normals) for m, normals in looks]
        self._kelvin = [
            _kelvin(car, m, weather, normals)
            for car, (m, normals) in zip(cars, looks, strict=True)
        ]

    def drawers(
        self,
        canvas: Canvas,
        camera: Camera,
        light: Lighting,
        z: np.ndarray,
        braking: np.ndarray,
    ) -> list[tuple[float, Callable[[], None]]]:
        """(distance, draw) of every car in sight; z [N] m, braking [N] 0..1 lights the tail."""
        x = np.array([car.x for car in self.cars])
        seen = np.flatnonzero((z < SEEN_M) & camera.sees(x, z, 3.8))
        found: list[tuple[float, Callable[[], None]]] = []
        if not len(seen):
            return found
        spots = [np.array([x[i], 0.0, z[i]]) for i in seen]
        centres = [self._centres[i] + at for i, at in zip(seen, spots, strict=True)]
        normals = [self._normals[i] for i in seen]
        lit = light.at(np.concatenate(centres), np.concatenate(normals))
        lit *= np.concatenate([self._albedo[i] for i in seen])
        lit += np.concatenate([self._mirrored[i] for i in seen])
        shining = [_shine(self.cars[i], self._meshes[i], self._weather, braking[i]) for i in seen]
        lit += np.concatenate(shining)
        counts = [len(c) for c in centres]
        depth = np.repeat([max(z[i], 1.0) for i in seen], counts)
        kelvin = np.concatenate([self._kelvin[i] for i in seen])
        values = canvas.values(lit, kelvin, CAR, depth)
        borders = np.cumsum(counts)[:-1]
        for i, at, middle, own in zip(
            seen, spots, centres, np.split(values, borders), strict=True
        ):
            draw = partial(
                self._draw, canvas, camera, light, int(i), at, middle, own.tolist(), braking[i]
            )
            found.append((float(z[i]), draw))
        return found

    def shadow(self, light: Lighting, i: int, z: float) -> np.ndarray:
        """Outline [M, 3] on the ground of the shadow of car i at z metres."""
        return light.shadow(self._vertices[i][::3] + [self.cars[i].x, 0.0, z])

    def _draw(
        self,
        canvas: Canvas,
        camera: Camera,
        light: Lighting,
        i: int,
        at: np.ndarray,
        centres: np.ndarray,
        values: list,
        braking: float,
    ) -> None:
        shape, normals = self._meshes[i], self._normals[i]
        to_eye = camera.place - centres
        distance = np.sqrt((to_eye * to_eye).sum(axis=1))[shape.parents]
        towards = (to_eye[shape.parents] * normals).sum(axis=1) > 0.0
        order = np.lexsort((np.arange(len(distance)), -distance))
        order = order[towards[order]]
        if camera.focal / max(at[2], 1.0) < 9.0:  # under 15 pixels wide: no trim, no wheel hubs
            order = order[~shape.fine[order]]
        self._underside(canvas, camera, light, i, at)
        surfaces = canvas.flat(centres, normals, self._reach[i])
        vertices = self._vertices[i] + at
        inside = camera.to_camera(vertices)
        if inside[:, 2].min() < 0.5:
            for k in order:
                outline = camera.project_polygon(vertices[shape.faces[k]])
                canvas.fill(outline, values[k], surfaces[k])
        else:
            pixels = sixteenths(camera.to_pixels(inside))
            canvas.fill_all(
                [pixels[shape.faces[k]] for k in order],
                [values[k] for k in order],
                [surfaces[k] for k in order],
            )
        self._lamps(canvas, camera, i, at, braking)

    def _underside(
        self, canvas: Canvas, camera: Camera, light: Lighting, i: int, at: np.ndarray
    ) -> None:
        """The dark ground below the car, warmed by a running engine: not part of the car."""
        car, weather = self.cars[i], self._weather
        colour = np.full((1, 3), 0.02) * light.ambient
        kelvin = np.array([weather.road + 2.0 * car.heat - 1.5 * float(weather.sun[0])])
        value = canvas.values(colour, kelvin, 0, np.array([max(at[2], 1.0)])).tolist()[0]
        base = self._bases[i] + at
        surface = canvas.flat(base.mean(axis=0)[None], np.array([[0.0, 1.0, 0.0]]), 4.0)[0]
        canvas.fill(camera.project_polygon(base), value, surface)

    def _lamps(
        self, canvas: Canvas, camera: Camera, i: int, at: np.ndarray, braking: float
    ) -> None:
        """Discs of glare over head and tail lamps that face the camera."""
        car = self.cars[i]
        if not (car.lights and self._weather.night):
            return
        scale = np.array([car.heading, 1.0, car.heading]) * car.scale
        for spot, front in self._meshes[i].lamps:
            place = (spot * scale + at)[None]
            inside = camera.to_camera(place)
            if inside[0, 2] < 1.0 or (car.heading < 0) != front:
                continue
            radius = max(camera.focal * (0.085 if front else 0.05) / inside[0, 2], 0.9)
            glare = np.full((1, 3), 5.2) if front else np.array([[1.6 + 2.5 * braking, 0.1, 0.05]])
            warm = np.array([self._weather.air + 12.0])
            value = canvas.values(glare, warm, CAR, np.zeros(1)).tolist()[0]
            surface = canvas.flat(place, place - camera.place, 0.1)[0]
            canvas.fill(camera.to_pixels(inside)[0] + radius * DISC, value, surface)


def _albedo(car: Car, shape: Mesh) -> np.ndarray:
    """Colour [N, 3] of the faces."""
    albedo = _ALBEDO[shape.materials].copy()
    painted = shape.materials == PAINT
    albedo[painted] = car.paint
    albedo[painted & (shape.zones == CABIN)] = np.minimum(car.paint * 1.25 + 0.02, 1.0)
    albedo[shape.materials == SEAM] = car.paint * 0.45
    return albedo


def _mirrored(shape: Mesh, weather: Weather, normals: np.ndarray) -> np.ndarray:
    """What glossy faces reflect of the sky, [N, 3]: glass more than paint, more from above."""
    shine = np.zeros(len(shape.materials))
    shine[shape.materials == PAINT] = 0.05
    shine[shape.materials == GLASS] = 0.1
    shine[shape.materials == SHEEN] = 0.3
    shine = shine * np.clip(0.35 + normals[:, 1], 0.0, 1.0)
    return shine[:, None] * weather.sky_horizon


def _kelvin(car: Car, shape: Mesh, weather: Weather, normals: np.ndarray) -> np.ndarray:
    """Temperature [N] of the faces: engine heat, sun on the paint, cold sky in glass and roof."""
    kelvin = weather.air + car.heat * _HEAT[shape.zones]
    dark = 1.0 - 0.6 * car.paint.mean()
    sun = float(weather.sun[0]) * np.clip(normals @ weather.to_sun, 0, 1)
    kelvin = kelvin + 14.0 * sun * dark
    up = np.clip(normals[:, 1], 0.0, 1.0)
    glass = np.isin(shape.materials, (GLASS, SHEEN))
    mirrored = np.where(glass, 0.12 + 0.2 * up, 0.06 + 0.07 * up)
    return kelvin + mirrored * 0.5 * (weather.sky_kelvin - weather.air)


def _shine(car: Car, shape: Mesh, weather: Weather, braking: float) -> np.ndarray:
    """Light [N, 3] that lamps give off themselves."""
    own = np.zeros((len(shape.materials), 3))
    if car.lights:
        tail = np.array([1.0, 0.04, 0.02]) * (0.9 * float(weather.night) + 1.6 * braking)
        own[shape.materials == TAILLAMP] = tail
        own[shape.materials == HEADLAMP] = 2.5 * float(weather.night)
    return own
