"""Pedestrians, cyclists and bicycles: jointed figures of round-ended limbs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import NEAR_M, Camera
from .canvas import BIKE, PERSON, Canvas, capsules, hull, sixteenths
from .lighting import Lighting
from .world import Fixture, Person, Weather

WHEEL_M = 0.33
SKIN_K = 305.5
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
) -> list[tuple[np.ndarray, list]]:
    """Outlines in sixteenths and values of every figure's limbs, far ones first.

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
    depth = 0.5 * (first_depth + last_depth) - layers
    nearest = np.minimum(first_depth, last_depth)
    found = []
    for i, end in enumerate(np.cumsum(counts)):
        own = slice(end - counts[i], end)
        order = own.start + np.argsort(-depth[own], kind="stable")
        if nearest[own].min() <= NEAR_M:
            order = order[:0]
        if figure_px(camera, placed[i].z) < 45:
            found.append((outer[order], values[order].tolist()))
            continue
        both = np.stack([outer[order], inner[order]], axis=1).reshape(-1, *outer.shape[1:])
        pair = np.stack([shaded[order], bright[order]], axis=1).reshape(-1, 4)
        found.append((both, pair.tolist()))
    return found


def figure_px(camera: Camera, z: float) -> float:
    """Height in pixels of a person at z metres."""
    return 1.7 * camera.focal / max(z, 0.5)


def _clothing(person: Person, weather: Weather, share: float) -> float:
    """Temperature of cloth: between air and skin; thinner cloth (share) shows more skin."""
    return weather.air + (SKIN_K - weather.air) * person.warmth * share + 0.8


def _skin(weather: Weather) -> float:
    return SKIN_K + 0.12 * (weather.air - 293.0)


def _leg(
    figure: Figure, person: Person, weather: Weather, hip: tuple, knee: tuple, ankle: tuple,
    layer: float,
) -> None:  # fmt: skip
    b = person.build * person.height / 1.75
    bare = person.outfit in ("skirt", "shorts")
    cloth = person.trousers
    warm = _clothing(person, weather, 0.85)
    skin = _skin(weather) - 1.5
    lower, lower_warm = (person.skin, skin) if bare else (cloth, warm - 0.8)
    thigh, thigh_warm = (cloth, warm) if person.outfit != "skirt" else (person.skin, skin)
    figure.limb(hip, knee, (0.082 * b, 0.058 * b), thigh, thigh_warm, layer=layer)
    figure.limb(knee, ankle, (0.055 * b, 0.036 * b), lower, lower_warm, layer=layer)
    toe = (ankle[0] + 0.15, ankle[1] - 0.035, ankle[2])
    shoe = np.full(3, 0.03) + 0.4 * (person.phase > 4.5)
    heel = (ankle[0] - 0.03, ankle[1] - 0.03, ankle[2])
    figure.limb(heel, toe, (0.045, 0.035), shoe, weather.air + 3.0, layer=layer)


def _arm(
    figure: Figure, person: Person, weather: Weather, shoulder: tuple, elbow: tuple, hand: tuple,
    layer: float,
) -> None:  # fmt: skip
    b = person.build * person.height / 1.75
    short = person.outfit == "shorts"
    warm = _clothing(person, weather, 0.9)
    lower, lower_warm = (person.skin, _skin(weather) - 1.0) if short else (person.shirt, warm)
    figure.limb(shoulder, elbow, (0.058 * b, 0.045 * b), person.shirt, warm, layer=layer)
    figure.limb(elbow, hand, (0.042 * b, 0.03 * b), lower, lower_warm, layer=layer)
    figure.limb(hand, hand, (0.042, 0.042), person.skin, _skin(weather) - 2.0, layer=layer)


def _head(figure: Figure, person: Person, weather: Weather, neck: tuple, away: float) -> None:
    """Head on top of the neck; `away` > 0 when the back of the head is seen."""
    s = person.height / 1.75
    skin = _skin(weather)
    x, y, r = neck
    figure.limb((x, y - 0.04, r), (x + 0.01, y + 0.08 * s, r), (0.052 * s,) * 2, person.skin, skin)
    low, high = (x + 0.025, y + 0.12 * s, r), (x + 0.02, y + 0.19 * s, r)
    figure.limb(low, high, (0.074 * s, 0.085 * s), person.skin, skin + 0.6, layer=0.12)
    hair_k = 0.55 * skin + 0.45 * weather.air
    crown = (x - 0.012, y + 0.235 * s, r)
    back = (x - 0.05, y + (0.13 if away > 0.3 else 0.19) * s, r)
    layer = 0.3 if away > -0.6 else 0.0
    figure.limb(crown, back, (0.066 * s, 0.066 * s), person.hair, hair_k, layer=layer, flat=True)
    brow = (x + 0.025, y + 0.25 * s, r)
    figure.limb(crown, brow, (0.06 * s, 0.048 * s), person.hair, hair_k, layer=0.31, flat=True)


def _trunk(figure: Figure, person: Person, weather: Weather, hips: tuple, chest: tuple) -> None:
    """Torso from hips to shoulders; five limbs side by side give it its breadth."""
    s = person.height / 1.75
    b = person.build * s
    warm = _clothing(person, weather, 1.0)
    for part in (-1.0, 1.0, -0.5, 0.5, 0.0):
        low = (hips[0], hips[1], hips[2] + part * 0.085 * b)
        high = (chest[0], chest[1] - 0.02 * abs(part), chest[2] + part * 0.125 * b)
        cloth = person.shirt * (1.0 - 0.18 * part)  # one side is in its own shadow
        radii = 0.095 * b, 0.085 * b
        figure.limb(low, high, radii, cloth, warm - 0.3 * abs(part), layer=0.06, flat=True)
    if person.outfit == "coat":
        for part in (-1.0, 1.0, 0.0):
            hem = (hips[0] - 0.02, hips[1] - 0.36 * s, hips[2] + part * 0.11 * b)
            top = (hips[0], hips[1] + 0.05, hips[2] + part * 0.07 * b)
            figure.limb(top, hem, (0.1 * b, 0.11 * b), person.shirt, warm - 1.0, layer=0.1)
    elif person.outfit == "skirt":
        for part in (-1.0, 1.0, 0.0):
            hem = (hips[0], hips[1] - 0.33 * s, hips[2] + part * 0.12 * b)
            top = (hips[0], hips[1], hips[2] + part * 0.06 * b)
            figure.limb(top, hem, (0.09 * b, 0.11 * b), person.trousers, warm - 1.5, layer=0.1)
    if person.bag:
        low = (hips[0] - 0.17, hips[1] + 0.12, hips[2])
        high = (chest[0] - 0.17, chest[1] - 0.1, chest[2])
        pack = np.array([0.05, 0.05, 0.08]) + 0.3 * (person.phase % 1.0 > 0.7)
        figure.limb(low, high, (0.13, 0.12), pack, weather.air + 2.5, layer=0.0)


def walker(person: Person, weather: Weather, walked: float, away: float) -> Figure:
    """A pedestrian after `walked` metres; standing when person.speed is 0."""
    s = person.height / 1.75
    moving = person.speed > 0.0
    stride = 1.45 * s
    phase = 2 * np.pi * walked / stride + person.phase
    swing = 0.42 if moving else 0.05
    figure = Figure()
    thigh, shin = 0.43 * s, 0.42 * s
    legs = []
    for side, cycle in ((-1.0, phase), (1.0, phase + np.pi)):
        angle = swing * np.sin(cycle) + (0.14 if moving else 0.0)
        flex = (0.12 + 0.75 * max(0.0, np.cos(cycle)) ** 1.6) if moving else 0.04
        knee = (thigh * np.sin(angle), -thigh * np.cos(angle))
        lower = angle - flex
        ankle = (knee[0] + shin * np.sin(lower), knee[1] - shin * np.cos(lower))
        legs.append((side, knee, ankle))
    hip = 0.075 * s - min(ankle[1] for _, _, ankle in legs)
    for side, knee, ankle in legs:
        r = side * 0.085 * s
        joints = ((0.0, hip, r), (knee[0], hip + knee[1], r), (ankle[0], hip + ankle[1], r))
        _leg(figure, person, weather, *joints, layer=0.0)
    lean = 0.05 if moving else 0.0
    shoulder = hip + 0.53 * s
    _trunk(figure, person, weather, (0.0, hip + 0.02, 0.0), (lean, shoulder - 0.06, 0.0))
    for side, cycle in ((-1.0, phase + np.pi), (1.0, phase)):
        angle = 0.8 * swing * np.sin(cycle)
        r = side * (0.2 * person.build) * s
        elbow = (lean + 0.29 * s * np.sin(angle), shoulder - 0.05 - 0.29 * s * np.cos(angle), r)
        bend = angle + (0.3 if moving else 0.15)
        hand = (elbow[0] + 0.26 * s * np.sin(bend), elbow[1] - 0.26 * s * np.cos(bend), r)
        top = (lean, shoulder - 0.06, 0.85 * r)
        _arm(figure, person, weather, top, elbow, hand, layer=0.04)
    _head(figure, person, weather, (lean, shoulder, 0.0), away)
    return figure


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
    for ring in (pixels[:16], pixels[16:]):
        canvas.veil(hull(ring), BIKE)
        canvas.ring(ring, thickness, value)


def bicycle(item: Fixture, weather: Weather) -> Figure:
    """A parked bicycle."""
    figure = Figure()
    _bicycle(figure, weather, item.variant)
    return figure


def _bent(start: tuple, end: tuple, length: float, forward: float) -> tuple:
    """Joint between two equal limbs from start to end (same right), bent forward or back."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    reach = min(float(np.hypot(dx, dy)), 1.98 * length)
    out = forward * np.sqrt(max(length**2 - 0.25 * reach**2, 0.0)) / max(reach, 1e-6)
    return (start[0] + 0.5 * dx - out * dy, start[1] + 0.5 * dy + out * dx, start[2])


def cyclist(person: Person, weather: Weather, ridden: float, away: float) -> Figure:
    """A rider (person) on a bicycle (bike) after `ridden` metres, without the wheels."""
    s = person.height / 1.75
    figure = Figure()
    _bicycle(figure, weather, int(person.phase * 2))
    phase = ridden / 2.2 * 2 * np.pi / 2 + person.phase
    for side, cycle in ((-1.0, phase), (1.0, phase + np.pi)):
        r = side * 0.1
        hip = (-0.18, 1.0, r)
        ankle = (0.17 * np.cos(cycle) - 0.04, 0.36 - 0.17 * np.sin(cycle), r)
        knee = _bent(hip, ankle, 0.43 * s, 1.0)
        _leg(figure, person, weather, hip, knee, ankle, layer=0.0)
    chest = (0.06, 1.0 + 0.46 * s, 0.0)
    _trunk(figure, person, weather, (-0.18, 1.0, 0.0), chest)
    for side in (-1.0, 1.0):
        shoulder = (chest[0], chest[1], side * 0.17 * person.build)
        hand = (0.4, 1.05, side * 0.26)
        elbow = _bent(shoulder, hand, 0.3 * s, -1.0)
        _arm(figure, person, weather, shoulder, elbow, hand, layer=0.04)
    _head(figure, person, weather, (chest[0] + 0.04, chest[1] + 0.06, 0.0), away)
    return figure


def draw_bicycle_lamp(canvas: Canvas, camera: Camera, at: Placed) -> None:
    """Head or tail lamp of a ridden bicycle, whichever is seen."""
    ahead = np.cos(at.direction) > 0.0
    spot = np.array([[-0.6 if ahead else 0.65, 0.7, 0.0]])
    pixels, depth = camera.project(_to_world(spot, at.x, at.z, at.direction))
    radius = max(camera.focal * 0.035 / float(depth[0]), 0.6)
    turn = np.linspace(0, 2 * np.pi, 9)[:-1]
    disc = pixels[0] + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    glare = np.array([[2.2, 0.1, 0.05]]) if ahead else np.full((1, 3), 4.5)
    value = canvas.values(glare, np.array([295.0]), BIKE, np.zeros(1)).tolist()[0]
    canvas.fill(disc, value)


def shadow(light: Lighting, person: Person, x: float, z: float) -> np.ndarray:
    """Outline [M, 3] on the ground of a standing figure's shadow."""
    h, w = person.height, 0.17
    points = np.array([[x + dx, y, z + dz] for y in (0.0, 0.75 * h) for dx, dz in
                       ((-w, 0.0), (w, 0.0), (0.0, w))] + [[x, h, z]])  # fmt: skip
    return light.shadow(points)
