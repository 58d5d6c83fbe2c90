"""Pedestrians, cyclists and bicycles: jointed figures of round-ended limbs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mafs_ros.simulation.camera import NEAR_M, Camera
from mafs_ros.simulation.canvas import BIKE, PERSON, Canvas, capsules, hull, sixteenths
from mafs_ros.simulation.lighting import Lighting
from mafs_ros.simulation.weather import Weather
from mafs_ros.simulation.world import Fixture, Person

WHEEL_M = 0.33
_TURN = np.linspace(0, 2 * np.pi, 17)[:-1]
_WHEEL = np.stack([np.cos(_TURN), 1.0 + np.sin(_TURN), 0.0 * _TURN], axis=1) * WHEEL_M
_WHEELS = np.concatenate([_WHEEL - [0.52, 0.0, 0.0], _WHEEL + [0.52, 0.0, 0.0]])


class Figure:
    """Limbs of one figure in its own axes: forward, up, right, in metres from the ground."""

    def __init__(self) -> None:
        self.starts: list[tuple] = []
        self.ends: list[tuple] = []
        self.radii: list[tuple[float, float]] = []
        self.colours: list[np.ndarray] = []
        self.kelvins: list[float] = []
        self.labels: list[int] = []
        self.layers: list[float] = []
        self.flat: list[bool] = []

    def limb(
        self,
        start: tuple,
        end: tuple,
        radii: tuple[float, float],
        colour: np.ndarray,
        kelvin: float,
        label: int = PERSON,
        layer: float = 0.0,
        flat: bool = False,
    ) -> None:
        """Add a round-ended limb. Higher layers are drawn later; flat ones have no dark rim."""
        self.starts.append(start)
        self.ends.append(end)
        self.radii.append(radii)
        self.colours.append(colour)
        self.kelvins.append(kelvin)
        self.labels.append(label)
        self.layers.append(layer)
        self.flat.append(flat)


def _to_world(
    points: np.ndarray,
    x: np.ndarray | float,
    z: np.ndarray | float,
    direction: np.ndarray | float,
) -> np.ndarray:
    """Figure axes (forward, up, right) to world. Direction 0 walks away along the street."""
    sin, cos = np.sin(direction), np.cos(direction)
    forward, up, right = points[:, 0], points[:, 1], points[:, 2]
    return np.stack([x + forward * sin + right * cos, up, z + forward * cos - right * sin], axis=1)


@dataclass(frozen=True)
class Placed:
    """A figure and where it is: x, z in metres and the direction it faces."""

    figure: Figure
    x: float
    z: float
    direction: float


def prepare(
    canvas: Canvas, camera: Camera, light: Lighting, placed: list[Placed]
) -> list[tuple[np.ndarray, list, list[int]]]:
    """Outlines in sixteenths, values and surfaces of every figure's limbs, far ones first.

    Each limb is lit by itself; near figures get a bright side. Empty for figures too close.
    """
    counts = [len(p.figure.starts) for p in placed]
    if not counts:
        return []
    limbs = [p.figure for p in placed]
    x, z, direction = (
        np.repeat([getattr(p, name) for p in placed], counts) for name in ("x", "z", "direction")
    )
    starts = _to_world(np.array([v for f in limbs for v in f.starts]), x, z, direction)
    ends = _to_world(np.array([v for f in limbs for v in f.ends]), x, z, direction)
    radii = np.array([v for f in limbs for v in f.radii])
    layers = np.array([v for f in limbs for v in f.layers])
    first, first_depth = camera.project(starts)
    last, last_depth = camera.project(ends)
    start_px = np.maximum(camera.focal * radii[:, 0] / first_depth, 0.45)
    end_px = np.maximum(camera.focal * radii[:, 1] / last_depth, 0.45)
    colours = np.array([v for f in limbs for v in f.colours])
    values = canvas.values(
        colours * light.at(0.5 * (starts + ends)),
        np.array([v for f in limbs for v in f.kelvins]),
        np.array([v for f in limbs for v in f.labels]),
        np.maximum(z, 0.5),
    )
    outer = sixteenths(capsules(first, last, start_px, end_px))
    # The limb itself is the side away from the light; a narrower one on top is the side towards.
    toward = float(light.to_sun[0]) if light.sun.any() else 0.0
    side = np.stack([0.28 * np.sign(toward) * start_px, -0.1 * start_px], axis=1)
    inner = sixteenths(capsules(first + side, last + side, 0.62 * start_px, 0.62 * end_px))
    contrast = 0.3 if light.sun.any() else 0.14
    rim = ~np.array([v for f in limbs for v in f.flat])
    bright, shaded = values.copy(), values.copy()
    bright[rim, :3] = np.minimum(values[rim, :3] * (1 + contrast), 65535)
    shaded[rim, :3] = values[rim, :3] * (1 - contrast)
    shaded[rim, 3] -= 40  # 0.4 K: the rim is seen at a flat angle
    surfaces = np.array(_limb_surfaces(canvas, camera, starts, ends))
    depth = 0.5 * (first_depth + last_depth) - layers
    nearest = np.minimum(first_depth, last_depth)
    found = []
    for i, end in enumerate(np.cumsum(counts)):
        own = slice(end - counts[i], end)
        order = own.start + np.argsort(-depth[own], kind="stable")
        if nearest[own].min() <= NEAR_M:
            order = order[:0]
        if figure_px(camera, placed[i].z) < 45:
            found.append((outer[order], values[order].tolist(), surfaces[order].tolist()))
            continue
        both = np.stack([outer[order], inner[order]], axis=1).reshape(-1, *outer.shape[1:])
        pair = np.stack([shaded[order], bright[order]], axis=1).reshape(-1, 4)
        found.append((both, pair.tolist(), np.repeat(surfaces[order], 2).tolist()))
    return found


def _limb_surfaces(
    canvas: Canvas, camera: Camera, starts: np.ndarray, ends: np.ndarray
) -> list[int]:
    """Surfaces through the axes of limbs from world points [N, 3] to [N, 3], facing the eye."""
    if canvas.surfaces is None:
        return [0] * len(starts)
    middle, along = 0.5 * (starts + ends), ends - starts
    view = middle - camera.place
    # The part of the view across the limb, and a little of all of it for limbs that point here.
    squared = (along * along).sum(axis=1, keepdims=True)
    normals = (squared + 1e-4) * view - (view * along).sum(axis=1, keepdims=True) * along
    return canvas.flat(middle, normals, 0.5 * np.sqrt(squared[:, 0]))


def figure_px(camera: Camera, z: float) -> float:
    """Height in pixels of a person at z metres."""
    return 1.7 * camera.focal / max(z, 0.5)


def _bicycle(figure: Figure, weather: Weather, variant: int) -> None:
    """Frame, saddle, handlebar, mudguards and perhaps a basket; wheels are drawn apart."""
    paints = [[0.05] * 3, [0.5, 0.05, 0.05], [0.1, 0.15, 0.45], [0.6] * 3, [0.35] * 3]
    paint = np.array(paints[variant % len(paints)])
    metal, black = np.full(3, 0.4), np.full(3, 0.02)
    k = weather.air - 1.0
    rear, front, crank = (-0.52, 0.33, 0.0), (0.52, 0.33, 0.0), (0.0, 0.29, 0.0)
    seat, head = (-0.2, 0.82, 0.0), (0.4, 0.84, 0.0)
    tubes = [(crank, seat), (crank, head), (seat, (0.42, 0.7, 0.0)), (crank, rear), (seat, rear)]
    for start, end in tubes:
        figure.limb(start, end, (0.02, 0.02), paint, k, BIKE)
    figure.limb(head, front, (0.02, 0.015), metal, k, BIKE)
    figure.limb(seat, (-0.22, 0.92, 0.0), (0.016, 0.016), metal, k, BIKE)
    figure.limb((-0.32, 0.95, 0.0), (-0.1, 0.95, 0.0), (0.06, 0.03), black, k + 0.5, BIKE)
    figure.limb(head, (0.42, 1.0, 0.0), (0.02, 0.02), metal, k, BIKE)
    bar = 0.28
    figure.limb((0.4, 1.02, -bar), (0.4, 1.02, bar), (0.02, 0.02), black, k, BIKE)
    if variant % 2 == 0:
        for r in (-0.12, 0.0, 0.12):
            low, high = (0.58, 0.76, r), (0.6, 0.92, r)
            figure.limb(low, high, (0.09, 0.11), np.full(3, 0.2), k + 0.3, BIKE)


def draw_wheels(
    canvas: Canvas, camera: Camera, light: Lighting, weather: Weather, at: Placed
) -> None:
    """Both wheels: what shows between the spokes is labelled as bicycle, as annotators do."""
    pixels, depth = camera.project(_to_world(_WHEELS, at.x, at.z, at.direction))
    if depth.min() <= NEAR_M:
        return
    thickness = max(round(camera.focal * 0.045 / float(depth.min())), 1)
    lit = np.full((1, 3), 0.02) * light.at(np.array([[at.x, WHEEL_M, at.z]]))
    warm = np.array([weather.air + 0.5])
    value = canvas.values(lit, warm, BIKE, np.array([max(at.z, 0.5)])).tolist()[0]
    across = np.array([[np.cos(at.direction), 0.0, -np.sin(at.direction)]])
    surface = canvas.flat(np.array([[at.x, WHEEL_M, at.z]]), across, 0.9)[0]
    for ring in (pixels[:16], pixels[16:]):
        canvas.veil(hull(ring), BIKE)
        canvas.ring(ring, thickness, value, surface)


def bicycle(item: Fixture, weather: Weather) -> Figure:
    """A parked bicycle."""
    figure = Figure()
    _bicycle(figure, weather, item.variant)
    return figure


def draw_bicycle_lamp(canvas: Canvas, camera: Camera, at: Placed) -> None:
    """Head or tail lamp of a ridden bicycle, whichever is seen."""
    ahead = np.cos(at.direction) > 0.0
    spot = np.array([[-0.6 if ahead else 0.65, 0.7, 0.0]])
    place = _to_world(spot, at.x, at.z, at.direction)
    pixels, depth = camera.project(place)
    radius = max(camera.focal * 0.035 / float(depth[0]), 0.6)
    turn = np.linspace(0, 2 * np.pi, 9)[:-1]
    disc = pixels[0] + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    glare = np.array([[2.2, 0.1, 0.05]]) if ahead else np.full((1, 3), 4.5)
    value = canvas.values(glare, np.array([295.0]), BIKE, np.zeros(1)).tolist()[0]
    canvas.fill(disc, value, canvas.flat(place, place - camera.place, 0.1)[0])


def shadow(light: Lighting, person: Person, x: float, z: float) -> np.ndarray:
    """Outline [M, 3] on the ground of a standing figure's shadow."""
    h, w = person.height, 0.17
    points = np.array([[x + dx, y, z + dz] for y in (0.0, 0.75 * h) for dx, dz in
                       ((-w, 0.0), (w, 0.0), (0.0, w))] + [[x, h, z]])  # fmt: skip
    return light.shadow(points)
