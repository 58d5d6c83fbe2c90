"""The shapes of walkers and cyclists."""

from __future__ import annotations

import numpy as np

from mafs_ros.simulation.people import Figure, _bicycle
from mafs_ros.simulation.weather import Weather
from mafs_ros.simulation.world import Person

SKIN_K = 305.5


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
