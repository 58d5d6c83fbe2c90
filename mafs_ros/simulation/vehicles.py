"""Cars as small meshes of flat faces, with windows, wheels, lights and warm parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from .camera import Camera
from .canvas import CAR, Canvas, sixteenths
from .lighting import Lighting
from .world import Car, Weather

# Side profile from rear bumper over the roof to front bumper: (z / length, y / height).
_PROFILES = {
    "sedan": [(-0.5, 0.16), (-0.505, 0.5), (-0.48, 0.66), (-0.36, 0.7), (-0.2, 0.98),
              (0.05, 1.0), (0.24, 0.68), (0.45, 0.58), (0.495, 0.45), (0.5, 0.16)],
    "hatch": [(-0.5, 0.17), (-0.505, 0.5), (-0.495, 0.62), (-0.48, 0.66), (-0.39, 0.97),
              (0.06, 1.0), (0.27, 0.66), (0.46, 0.55), (0.5, 0.44), (0.5, 0.17)],
    "suv": [(-0.5, 0.2), (-0.505, 0.48), (-0.495, 0.6), (-0.485, 0.64), (-0.43, 0.98),
            (0.08, 1.0), (0.24, 0.66), (0.47, 0.58), (0.5, 0.46), (0.5, 0.2)],
    "van": [(-0.5, 0.13), (-0.505, 0.42), (-0.5, 0.5), (-0.495, 0.53), (-0.475, 0.98),
            (0.27, 1.0), (0.43, 0.58), (0.49, 0.47), (0.5, 0.37), (0.5, 0.13)],
    "truck": [(-0.5, 0.17), (-0.5, 0.3), (-0.5, 0.36), (-0.5, 0.42), (-0.5, 1.0),
              (0.46, 1.0), (0.49, 0.52), (0.495, 0.4), (0.5, 0.33), (0.5, 0.13)],
}  # fmt: skip
# Length, width, height in metres; how much narrower the roof is; wheel radius in metres.
_SIZES = {
    "sedan": (4.6, 1.78, 1.44, 0.78, 0.32),
    "hatch": (4.0, 1.7, 1.5, 0.8, 0.3),
    "suv": (4.6, 1.88, 1.72, 0.82, 0.36),
    "van": (4.6, 1.75, 1.95, 0.88, 0.31),
    "truck": (6.4, 2.1, 2.75, 1.0, 0.4),
}
_PAINT, _GLASS, _DARK, _TYRE, _RIM, _HEADLAMP = range(6)
_TAILLAMP, _PLATE, _CHROME, _HOT, _SEAM, _SHEEN = range(6, 12)
_ALBEDO = np.array(
    [[1, 1, 1], [0.035, 0.045, 0.05], [0.025, 0.025, 0.027], [0.015, 0.015, 0.015],
     [0.35, 0.35, 0.37], [0.75, 0.77, 0.8], [0.38, 0.015, 0.012], [0.7, 0.7, 0.6],
     [0.3, 0.3, 0.32], [0.05, 0.05, 0.05], [0.2, 0.2, 0.2], [0.06, 0.075, 0.08]]
)  # fmt: skip
# Where the engine, exhaust and brakes warm a car: kelvin above air in full use.
_BODY, _BONNET, _NOSE, _WHEEL, _UNDER, _EXHAUST, _CABIN, _LAMP = range(8)
# Body width at each point of the profile: narrower at the ends and below.
_TUCK = [0.86, 0.95, 0.97, 1.0, 1.0, 1.0, 1.0, 0.97, 0.94, 0.86]
_TURN = np.linspace(0, 2 * np.pi, 10)[:-1]
_DISC = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
SEEN_M = 115.0
_HEAT = np.array([1.0, 9.0, 12.0, 14.0, 6.0, 42.0, 3.0, 10.0])


@dataclass(frozen=True)
class Mesh:
    """Faces of one car shape in metres: x right, y up, z forward, origin on the ground.

    Each face has a parent: it is drawn with it (same visibility), right after it.
    """

    vertices: np.ndarray
    faces: list[np.ndarray]
    parents: np.ndarray
    materials: np.ndarray
    zones: np.ndarray
    normals: np.ndarray
    centres: np.ndarray
    base: np.ndarray
    lamps: list[tuple[np.ndarray, bool]]
    fine: np.ndarray


class _Builder:
    def __init__(self) -> None:
        self.vertices: list[np.ndarray] = []
        self.faces: list[np.ndarray] = []
        self.parents: list[int] = []
        self.materials: list[int] = []
        self.zones: list[int] = []

    def face(self, points: np.ndarray, material: int, zone: int, parent: int | None = None) -> int:
        first = sum(len(v) for v in self.vertices)
        self.vertices.append(np.asarray(points, float))
        self.faces.append(np.arange(first, first + len(points)))
        own = len(self.faces) - 1
        self.parents.append(own if parent is None else parent)
        self.materials.append(material)
        self.zones.append(zone)
        return own


def _part(quad: np.ndarray, u0: float, v0: float, u1: float, v1: float) -> np.ndarray:
    """The sub-rectangle of a quad (corners in order), in shares along its two directions."""
    a, b, c, d = quad
    spots = ((u0, v0), (u1, v0), (u1, v1), (u0, v1))
    return np.array([(1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * c)
                     for u, v in spots])  # fmt: skip


def _slanted(quad: np.ndarray, u0: float, u1: float, v0: float, v1: float) -> np.ndarray:
    """A leaning stripe on a quad: the sky seen in a window."""
    spots = ((u0, v0), (u1, v0), (u1 - 0.15, v1), (u0 - 0.15, v1))
    return np.concatenate([_part(quad, u, v, u, v)[:1] for u, v in spots])


@cache
def mesh(shape: str) -> Mesh:
    """The mesh of a car shape: a key of the profiles above."""
    length, width, height, taper, wheel = _SIZES[shape]
    profile = np.array(_PROFILES[shape]) * (length, height)
    belt = profile[3:7, 1].min()
    share = np.clip((profile[:, 1] - belt) / (height - belt), 0, 1)
    half = 0.5 * width * (1 - (1 - taper) * share)
    # Corners pulled in at both ends and below, so that bumpers are no razor-sharp boxes.
    half = half * (1.0 if shape == "truck" else np.array(_TUCK))
    build = _Builder()

    def strip(i: int) -> np.ndarray:
        (z0, y0), (z1, y1) = profile[i], profile[i + 1]
        a, b = half[i], half[i + 1]
        return np.array([[-a, y0, z0], [a, y0, z0], [b, y1, z1], [-b, y1, z1]])

    boxy = shape == "truck"
    low = build.face(strip(0), _PAINT, _BODY)
    build.face(_part(strip(0), 0.0, 0.0, 1.0, 0.3), _DARK, _UNDER, low)
    build.face(_part(strip(0), 0.36, 0.5, 0.64, 0.78), _PLATE, _BODY, low)
    build.face(_part(strip(0), 0.1, 0.0, 0.18, 0.16), _HOT, _EXHAUST, low)
    rear = build.face(strip(1), _PAINT, _BODY)
    tail = strip(1) if not boxy else strip(0)
    for u0, u1 in ((0.0, 0.2), (0.8, 1.0)):
        build.face(_part(tail, u0, 0.1, u1, 0.85), _TAILLAMP, _LAMP, rear)
    build.face(strip(2), _PAINT, _BODY)
    window = build.face(strip(3), _PAINT, _BODY)
    if not boxy:
        build.face(_part(strip(3), 0.09, 0.1, 0.91, 0.88), _GLASS, _CABIN, window)
        build.face(_slanted(strip(3), 0.2, 0.5, 0.14, 0.84), _SHEEN, _CABIN, window)
    else:
        build.face(_part(strip(3), 0.48, 0.03, 0.52, 0.97), _CHROME, _BODY, window)
    build.face(strip(4), _PAINT, _BODY)
    screen = build.face(strip(5), _PAINT, _CABIN)
    build.face(_part(strip(5), 0.06, 0.08, 0.94, 0.95), _GLASS, _CABIN, screen)
    build.face(_slanted(strip(5), 0.55, 0.85, 0.12, 0.9), _SHEEN, _CABIN, screen)
    build.face(strip(6), _PAINT, _BONNET)
    nose = build.face(strip(7), _PAINT, _NOSE)
    front = build.face(strip(8), _PAINT, _NOSE)
    lights = strip(7)
    for u0, u1 in ((0.02, 0.24), (0.76, 0.98)):
        build.face(_part(lights, u0, 0.1, u1, 0.8), _HEADLAMP, _LAMP, nose)
    build.face(_part(strip(7), 0.3, 0.3, 0.7, 0.95), _DARK, _NOSE, nose)
    build.face(_part(strip(8), 0.2, 0.5, 0.8, 0.9), _DARK, _NOSE, front)
    build.face(_part(strip(8), 0.36, 0.3, 0.64, 0.55), _PLATE, _BODY, front)
    for side in (-1, 1):
        _side(build, profile, half, side, boxy, wheel, length)
    vertices = np.concatenate(build.vertices)
    parents = np.array(build.parents)
    middle = np.array([0.0, 0.5 * height, 0.0])
    normals = np.array([_normal(vertices[face], middle) for face in build.faces])[parents]
    centres = np.array([vertices[face].mean(axis=0) for face in build.faces])
    z0, z1, w = -0.5 * length, 0.5 * length, 0.46 * width
    base = np.array([[-w, 0, z0], [w, 0, z0], [w, 0, z1], [-w, 0, z1]])
    fine = np.array([_is_fine(m, z) for m, z in zip(build.materials, build.zones, strict=True)])
    lamps = []
    for u in (0.13, 0.87):
        lamps.append((_part(lights, u, 0.45, u, 0.45)[0], True))
        lamps.append((_part(tail, u if u > 0.5 else 0.12, 0.5, u, 0.5)[0], False))
    return Mesh(
        vertices, build.faces, parents, np.array(build.materials), np.array(build.zones),
        normals, centres, base, lamps, fine,
    )  # fmt: skip


def _is_fine(material: int, zone: int) -> bool:
    """Whether a face is trim that a far car can do without."""
    hub = material == _DARK and zone == _WHEEL
    return hub or material in (_SEAM, _SHEEN, _RIM, _PLATE, _HOT)


def _side(
    build: _Builder,
    profile: np.ndarray,
    half: np.ndarray,
    side: int,
    boxy: bool,
    wheel: float,
    length: float,
) -> None:
    def at(i: int, shift: float = 0.0) -> list[float]:
        return [side * half[i], profile[i, 1] + shift, profile[i, 0]]

    lower = np.array([at(i) for i in ((0, 1, 2, 3, 6, 7, 8, 9) if not boxy else range(10))])
    widest = np.abs(half).max() * side
    sill, base = profile[0, 1] + 0.14, profile[0, 1]
    # Below, too, the body is as wide as its sill between the pulled-in ends.
    floor = [[widest, base, 0.43 * length], [widest, base, -0.43 * length]]
    body = build.face(np.concatenate([lower, floor]), _PAINT, _BODY)
    strip = [[widest, y, z] for y, z in ((base, -0.43), (base, 0.43), (sill, 0.43), (sill, -0.43))]
    build.face(np.array(strip) * [1, 1, length], _DARK, _UNDER, body)
    if not boxy:
        # The shoulder catches the light.
        belt = profile[6, 1]
        shoulder = [[widest, belt - 0.16, -0.46], [widest, belt - 0.2, 0.42],
                    [widest, belt - 0.12, 0.4], [widest, belt - 0.06, -0.46]]  # fmt: skip
        build.face(np.array(shoulder) * [1, 1, length], _PAINT, _CABIN, body)
        for z in (-0.2, 0.03, 0.2):  # door gaps
            gap = [[widest, sill, z], [widest, sill, z + 0.005], [widest, belt, z + 0.005],
                   [widest, belt, z]]  # fmt: skip
            build.face(np.array(gap) * [1, 1, length], _SEAM, _BODY, body)
        mirror = [
            [widest * 1.12, belt + 0.02, 0.19],
            [widest * 0.98, belt + 0.02, 0.2],
            [widest * 0.98, belt + 0.15, 0.2],
            [widest * 1.12, belt + 0.15, 0.19],
        ]
        build.face(np.array(mirror) * [1, 1, length], _DARK, _BODY)
        cabin = np.array([at(3), at(6), at(5), at(4)])
        house = build.face(cabin, _PAINT, _BODY)
        build.face(_part(cabin, 0.07, 0.1, 0.46, 0.86), _GLASS, _CABIN, house)
        build.face(_part(cabin, 0.5, 0.1, 0.9, 0.86), _GLASS, _CABIN, house)
    else:
        cabin = np.array([at(3), at(6), at(5), at(4)])
        build.face(_part(cabin, 0.86, 0.05, 0.97, 0.6), _GLASS, _CABIN, body)
        line = _part(cabin, 0.82, -0.3, 0.83, 1.0)
        build.face(line, _DARK, _BODY, body)
    turn = np.linspace(0, 2 * np.pi, 15)[:-1]
    for z in (-0.29 * length, 0.31 * length):
        ring = np.stack([np.zeros(14), np.sin(turn), np.cos(turn)], axis=1)
        hub = np.array([widest, wheel, z])
        arch = ring * wheel * 1.18 + hub
        arch[:, 1] = np.maximum(arch[:, 1], base)
        build.face(arch, _DARK, _UNDER, body)
        build.face(ring * wheel + hub, _TYRE, _WHEEL, body)
        build.face(ring * wheel * 0.62 + hub, _RIM, _WHEEL, body)
        build.face(ring * wheel * 0.2 + hub, _DARK, _WHEEL, body)


def _normal(points: np.ndarray, middle: np.ndarray) -> np.ndarray:
    # Newell's sum: any outline, corners in a row included.
    normal = np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0)
    normal = normal / np.linalg.norm(normal)
    return normal if normal @ (points.mean(axis=0) - middle) > 0 else -normal


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
        to_eye = np.array([camera.x, camera.y, 0.0]) - centres
        distance = np.sqrt((to_eye * to_eye).sum(axis=1))[shape.parents]
        towards = (to_eye[shape.parents] * normals).sum(axis=1) > 0.0
        order = np.lexsort((np.arange(len(distance)), -distance))
        order = order[towards[order]]
        if camera.focal / max(at[2], 1.0) < 9.0:  # under 15 pixels wide: no trim, no wheel hubs
            order = order[~shape.fine[order]]
        self._underside(canvas, camera, light, i, at)
        vertices = self._vertices[i] + at
        inside = camera.to_camera(vertices)
        if inside[:, 2].min() < 0.5:
            for k in order:
                canvas.fill(camera.project_polygon(vertices[shape.faces[k]]), values[k])
        else:
            pixels = sixteenths(camera.to_pixels(inside))
            canvas.fill_all([pixels[shape.faces[k]] for k in order], [values[k] for k in order])
        self._lamps(canvas, camera, i, at, braking)

    def _underside(
        self, canvas: Canvas, camera: Camera, light: Lighting, i: int, at: np.ndarray
    ) -> None:
        """The dark ground below the car, warmed by a running engine: not part of the car."""
        car, weather = self.cars[i], self._weather
        colour = np.full((1, 3), 0.02) * light.ambient
        kelvin = np.array([weather.road + 2.0 * car.heat - 1.5 * float(weather.sun[0])])
        value = canvas.values(colour, kelvin, 0, np.array([max(at[2], 1.0)])).tolist()[0]
        canvas.fill(camera.project_polygon(self._bases[i] + at), value)

    def _lamps(
        self, canvas: Canvas, camera: Camera, i: int, at: np.ndarray, braking: float
    ) -> None:
        """Discs of glare over head and tail lamps that face the camera."""
        car = self.cars[i]
        if not (car.lights and self._weather.night):
            return
        scale = np.array([car.heading, 1.0, car.heading]) * car.scale
        for spot, front in self._meshes[i].lamps:
            inside = camera.to_camera((spot * scale + at)[None])
            if inside[0, 2] < 1.0 or (car.heading < 0) != front:
                continue
            radius = max(camera.focal * (0.085 if front else 0.05) / inside[0, 2], 0.9)
            glare = np.full((1, 3), 5.2) if front else np.array([[1.6 + 2.5 * braking, 0.1, 0.05]])
            warm = np.array([self._weather.air + 12.0])
            value = canvas.values(glare, warm, CAR, np.zeros(1)).tolist()[0]
            canvas.fill(camera.to_pixels(inside)[0] + radius * _DISC, value)


def _albedo(car: Car, shape: Mesh) -> np.ndarray:
    """Colour [N, 3] of the faces."""
    albedo = _ALBEDO[shape.materials].copy()
    painted = shape.materials == _PAINT
    albedo[painted] = car.paint
    albedo[painted & (shape.zones == _CABIN)] = np.minimum(car.paint * 1.25 + 0.02, 1.0)
    albedo[shape.materials == _SEAM] = car.paint * 0.45
    return albedo


def _mirrored(shape: Mesh, weather: Weather, normals: np.ndarray) -> np.ndarray:
    """What glossy faces reflect of the sky, [N, 3]: glass more than paint, more from above."""
    shine = np.zeros(len(shape.materials))
    shine[shape.materials == _PAINT] = 0.05
    shine[shape.materials == _GLASS] = 0.1
    shine[shape.materials == _SHEEN] = 0.3
    shine = shine * np.clip(0.35 + normals[:, 1], 0.0, 1.0)
    return shine[:, None] * weather.sky_horizon


def _kelvin(car: Car, shape: Mesh, weather: Weather, normals: np.ndarray) -> np.ndarray:
    """Temperature [N] of the faces: engine heat, sun on the paint, cold sky in glass and roof."""
    kelvin = weather.air + car.heat * _HEAT[shape.zones]
    dark = 1.0 - 0.6 * car.paint.mean()
    sun = float(weather.sun[0]) * np.clip(normals @ weather.to_sun, 0, 1)
    kelvin = kelvin + 14.0 * sun * dark
    up = np.clip(normals[:, 1], 0.0, 1.0)
    glass = np.isin(shape.materials, (_GLASS, _SHEEN))
    mirrored = np.where(glass, 0.12 + 0.2 * up, 0.06 + 0.07 * up)
    return kelvin + mirrored * 0.5 * (weather.sky_kelvin - weather.air)


def _shine(car: Car, shape: Mesh, weather: Weather, braking: float) -> np.ndarray:
    """Light [N, 3] that lamps give off themselves."""
    own = np.zeros((len(shape.materials), 3))
    if car.lights:
        tail = np.array([1.0, 0.04, 0.02]) * (0.9 * float(weather.night) + 1.6 * braking)
        own[shape.materials == _TAILLAMP] = tail
        own[shape.materials == _HEADLAMP] = 2.5 * float(weather.night)
    return own
