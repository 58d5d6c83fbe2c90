"""The shapes of vehicles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

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
PAINT, GLASS, _DARK, _TYRE, _RIM, HEADLAMP = range(6)
TAILLAMP, _PLATE, _CHROME, _HOT, SEAM, SHEEN = range(6, 12)
# Where the engine, exhaust and brakes warm a car: kelvin above air in full use.
_BODY, _BONNET, _NOSE, _WHEEL, _UNDER, _EXHAUST, CABIN, _LAMP = range(8)
# Body width at each point of the profile: narrower at the ends and below.
_TUCK = [0.86, 0.95, 0.97, 1.0, 1.0, 1.0, 1.0, 0.97, 0.94, 0.86]
_TURN = np.linspace(0, 2 * np.pi, 10)[:-1]
DISC = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


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


Strip = Callable[[int], np.ndarray]  # number along the profile -> quad across the car


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
    tail = _rear(build, strip, boxy)
    _top(build, strip, boxy)
    lights = _front(build, strip)
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


def _rear(build: _Builder, strip: Strip, boxy: bool) -> np.ndarray:
    """Bumper and rear; returns the quad that holds the tail lamps."""
    low = build.face(strip(0), PAINT, _BODY)
    build.face(_part(strip(0), 0.0, 0.0, 1.0, 0.3), _DARK, _UNDER, low)
    build.face(_part(strip(0), 0.36, 0.5, 0.64, 0.78), _PLATE, _BODY, low)
    build.face(_part(strip(0), 0.1, 0.0, 0.18, 0.16), _HOT, _EXHAUST, low)
    rear = build.face(strip(1), PAINT, _BODY)
    tail = strip(1) if not boxy else strip(0)
    for u0, u1 in ((0.0, 0.2), (0.8, 1.0)):
        build.face(_part(tail, u0, 0.1, u1, 0.85), TAILLAMP, _LAMP, rear)
    return tail


def _top(build: _Builder, strip: Strip, boxy: bool) -> None:
    """Boot, rear window, roof, windscreen and bonnet."""
    build.face(strip(2), PAINT, _BODY)
    window = build.face(strip(3), PAINT, _BODY)
    if not boxy:
        build.face(_part(strip(3), 0.09, 0.1, 0.91, 0.88), GLASS, CABIN, window)
        build.face(_slanted(strip(3), 0.2, 0.5, 0.14, 0.84), SHEEN, CABIN, window)
    else:
        build.face(_part(strip(3), 0.48, 0.03, 0.52, 0.97), _CHROME, _BODY, window)
    build.face(strip(4), PAINT, _BODY)
    screen = build.face(strip(5), PAINT, CABIN)
    build.face(_part(strip(5), 0.06, 0.08, 0.94, 0.95), GLASS, CABIN, screen)
    build.face(_slanted(strip(5), 0.55, 0.85, 0.12, 0.9), SHEEN, CABIN, screen)
    build.face(strip(6), PAINT, _BONNET)


def _front(build: _Builder, strip: Strip) -> np.ndarray:
    """Nose and front; returns the quad that holds the headlamps."""
    nose = build.face(strip(7), PAINT, _NOSE)
    front = build.face(strip(8), PAINT, _NOSE)
    lights = strip(7)
    for u0, u1 in ((0.02, 0.24), (0.76, 0.98)):
        build.face(_part(lights, u0, 0.1, u1, 0.8), HEADLAMP, _LAMP, nose)
    build.face(_part(strip(7), 0.3, 0.3, 0.7, 0.95), _DARK, _NOSE, nose)
    build.face(_part(strip(8), 0.2, 0.5, 0.8, 0.9), _DARK, _NOSE, front)
    build.face(_part(strip(8), 0.36, 0.3, 0.64, 0.55), _PLATE, _BODY, front)
    return lights


def _is_fine(material: int, zone: int) -> bool:
    """Whether a face is trim that a far car can do without."""
    hub = material == _DARK and zone == _WHEEL
    return hub or material in (SEAM, SHEEN, _RIM, _PLATE, _HOT)


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
    body = build.face(np.concatenate([lower, floor]), PAINT, _BODY)
    strip = [[widest, y, z] for y, z in ((base, -0.43), (base, 0.43), (sill, 0.43), (sill, -0.43))]
    build.face(np.array(strip) * [1, 1, length], _DARK, _UNDER, body)
    if not boxy:
        # The shoulder catches the light.
        belt = profile[6, 1]
        shoulder = [[widest, belt - 0.16, -0.46], [widest, belt - 0.2, 0.42],
                    [widest, belt - 0.12, 0.4], [widest, belt - 0.06, -0.46]]  # fmt: skip
        build.face(np.array(shoulder) * [1, 1, length], PAINT, CABIN, body)
        for z in (-0.2, 0.03, 0.2):  # door gaps
            gap = [[widest, sill, z], [widest, sill, z + 0.005], [widest, belt, z + 0.005],
                   [widest, belt, z]]  # fmt: skip
            build.face(np.array(gap) * [1, 1, length], SEAM, _BODY, body)
        mirror = [
            [widest * 1.12, belt + 0.02, 0.19],
            [widest * 0.98, belt + 0.02, 0.2],
            [widest * 0.98, belt + 0.15, 0.2],
            [widest * 1.12, belt + 0.15, 0.19],
        ]
        build.face(np.array(mirror) * [1, 1, length], _DARK, _BODY)
        cabin = np.array([at(3), at(6), at(5), at(4)])
        house = build.face(cabin, PAINT, _BODY)
        build.face(_part(cabin, 0.07, 0.1, 0.46, 0.86), GLASS, CABIN, house)
        build.face(_part(cabin, 0.5, 0.1, 0.9, 0.86), GLASS, CABIN, house)
    else:
        cabin = np.array([at(3), at(6), at(5), at(4)])
        build.face(_part(cabin, 0.86, 0.05, 0.97, 0.6), GLASS, CABIN, body)
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
