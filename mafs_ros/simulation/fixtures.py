"""Things that stand along the street: lamps, trees, signs, signals, machines, hedges."""

from __future__ import annotations

import cv2
import numpy as np

from .camera import Camera
from .canvas import Canvas, capsules, pack
from .lighting import Lighting
from .scenery import halvings, smooth_noise
from .world import Fixture, Weather

TREE_SIZE = 288


class TreePicture:
    """One tree seen from the side: picture and mask with their halvings, unlit."""

    def __init__(self, rng: np.random.Generator, weather: Weather):
        size = TREE_SIZE
        mask = np.zeros((size, size), np.uint8)
        picture = np.zeros((size, size, 4), np.uint16)
        bark = np.array([0.16, 0.12, 0.09]) * rng.uniform(0.6, 1.3)
        self._branches(rng, picture, mask, pack(bark, weather.leaves + 0.5).tolist())
        greens = [[0.09, 0.17, 0.04], [0.13, 0.16, 0.04], [0.3, 0.19, 0.04], [0.06, 0.12, 0.05]]
        green = np.array(greens[rng.integers(len(greens))])
        crown = np.array([size / 2, size * rng.uniform(0.34, 0.4)])
        spread = np.array([size * rng.uniform(0.27, 0.38), size * rng.uniform(0.26, 0.33)])
        clumps = rng.normal(0, 0.5, (rng.integers(90, 190), 2))
        clumps = clumps[np.linalg.norm(clumps, axis=1) < 1.0]
        # From the shaded inside and below to the bright top.
        for clump in clumps[np.argsort(-clumps[:, 1] + rng.normal(0, 0.2, len(clumps)))]:
            x, y = crown + clump * spread
            shade = np.clip(0.75 - 0.55 * clump[1] + rng.normal(0, 0.2), 0.25, 1.6)
            kelvin = weather.leaves + rng.normal(0, 0.35)
            radius = int(size * rng.uniform(0.03, 0.075))
            value = pack(green * shade * rng.uniform(0.85, 1.15, 3), kelvin).tolist()
            cv2.circle(picture, (int(x), int(y)), radius, value, -1)
            cv2.circle(mask, (int(x), int(y)), radius, 255, -1)
        leafy = mask.copy()
        ragged = smooth_noise(rng, size, size, (7, 3))
        edge = cv2.GaussianBlur(leafy, (0, 0), 4.0).astype(np.float32) + 38 * ragged
        leafy = np.where(edge > 120, leafy, 0)
        trunk = self._trunk
        self.mask = halvings(np.maximum(leafy, trunk).astype(np.uint8), 4)
        speckle = np.clip(1 + 0.3 * ragged, 0.3, 1.9)
        picture[..., :3] = np.where(
            (leafy > 0)[..., None], picture[..., :3] * speckle[..., None], picture[..., :3]
        )
        # Colour beyond the mask, so that halvings do not darken the rim.
        base = pack(green * 0.7, weather.leaves)
        picture[picture[..., 3] == 0] = base
        self.picture = halvings(picture, 4)

    def _branches(
        self, rng: np.random.Generator, picture: np.ndarray, mask: np.ndarray, value: list
    ) -> None:
        size = TREE_SIZE
        foot, fork = np.array([size / 2, size - 1.0]), np.array([size / 2, size * 0.5])
        lines = [(foot, fork, size * 0.022)]
        for _ in range(5):
            tip = fork + size * np.array([rng.uniform(-0.22, 0.22), rng.uniform(-0.3, -0.08)])
            lines.append((fork + [0, rng.uniform(0, 25)], tip, size * 0.009))
        for start, end, radius in lines:
            outline = capsules(
                start[None], end[None], np.array([radius]), np.array([0.7 * radius])
            )[0]
            points = np.rint(outline).astype(np.int32)
            cv2.fillConvexPoly(picture, points, value)
            cv2.fillConvexPoly(mask, points, 255)
        self._trunk = mask.copy()


def draw_tree(
    canvas: Canvas, camera: Camera, light: Lighting, tree: TreePicture, item: Fixture, z: float
) -> None:
    """A tree of item.height metres, as wide as high."""
    half = 0.5 * item.height
    corners = np.array(
        [
            [item.x - half, 0.0, z],
            [item.x + half, 0.0, z],
            [item.x + half, item.height, z],
            [item.x - half, item.height, z],
        ]
    )
    outline = camera.project_polygon(corners)
    texel = item.height / TREE_SIZE
    matrix = camera.plane_homography(
        corners[3], np.array([texel, 0, 0]), np.array([0, -texel, 0])
    )
    middle = np.array([[item.x, 0.55 * item.height, z]])
    canvas.picture(
        tree.picture, matrix, outline, max(z, 0.5), tree.mask, light=light.at(middle)[0]
    )


def tree_shadow(light: Lighting, item: Fixture, z: float) -> list[np.ndarray]:
    """Outlines on the ground of the shadows of trunk and crown."""
    h = item.height
    turn = np.linspace(0, 2 * np.pi, 9)[:-1]
    ring = np.stack([np.cos(turn), np.sin(turn), np.cos(turn)], 1) * [0.3 * h, 0.27 * h, 0.0]
    crown = ring + [item.x, 0.62 * h, z]
    trunk = np.array(
        [[item.x + dx, y, z] for dx in (-0.13, 0.13) for y in (0.0, 0.5 * h)]
    )
    return [light.shadow(trunk), light.shadow(crown)]


def _post(
    canvas: Canvas, camera: Camera, light: Lighting, ends: np.ndarray, radius: float,
    colour: np.ndarray, kelvin: float,
) -> None:
    """A pole between two points [2, 3]."""
    pixels, depth = camera.project(ends)
    size = np.maximum(camera.focal * radius / depth, 0.5)
    outline = capsules(pixels[:1], pixels[1:], size[:1], size[1:])
    lit = colour * light.at(ends.mean(axis=0, keepdims=True))
    canvas.fill_all(outline, canvas.values(lit, kelvin, 0, depth[:1]))


def _board(
    canvas: Canvas, camera: Camera, light: Lighting, box: tuple[float, float, float, float],
    z: float, colour: np.ndarray, kelvin: float, glow: bool = False,
) -> None:
    """An upright rectangle (x0, y0, x1, y1) that faces the camera."""
    x0, y0, x1, y1 = box
    corners = np.array([[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]])
    lit = np.asarray(colour, float)[None]
    if not glow:
        normal = np.array([[0.0, 0.0, -1.0]])
        lit = lit * light.at(corners.mean(axis=0, keepdims=True), normal)
    value = canvas.values(lit, kelvin, 0, np.array([max(z, 0.5)]))[0]
    canvas.fill(camera.project_polygon(corners), value)


def lamp_head(item: Fixture) -> np.ndarray:
    """Where the lamp's light comes from: [x, y, dz]."""
    return np.array([item.x - item.variant * 1.3, item.height, 0.0])


def draw_lamp(
    canvas: Canvas, camera: Camera, light: Lighting, weather: Weather, item: Fixture, z: float
) -> None:
    """Pole, arm and head; the head shines and is warm at night."""
    metal = np.full(3, 0.25)
    foot, top = np.array([item.x, 0.0, z]), np.array([item.x, item.height, z])
    _post(canvas, camera, light, np.stack([foot, top]), 0.065, metal, weather.air - 0.5)
    head = lamp_head(item) + [0.0, 0.0, z]
    _post(canvas, camera, light, np.stack([top, head]), 0.045, metal, weather.air - 0.8)
    box = (head[0] - 0.32, head[1] - 0.09, head[0] + 0.32, head[1] + 0.06)
    if weather.night:
        glow = 4.5 * weather.lamp_colour
        _board(canvas, camera, light, box, z, metal, weather.air + 4.0)
        box = (box[0], box[1] - 0.06, box[2], box[1] + 0.06)
        _board(canvas, camera, light, box, z, glow, weather.air + 14.0, glow=True)
    else:
        _board(canvas, camera, light, box, z, metal, weather.air + 1.0)


def draw_small(
    canvas: Canvas, camera: Camera, light: Lighting, weather: Weather, item: Fixture, z: float
) -> None:
    """Sign, signal, vending machine, bollard or hedge."""
    x, s, air = item.x, item.height, weather.air
    if item.kind == "sign":
        ends = np.array([[x, 0.0, z], [x, 2.5 * s, z]])
        _post(canvas, camera, light, ends, 0.035, np.full(3, 0.4), air - 0.5)
        colour = [[0.6, 0.05, 0.05], [0.05, 0.12, 0.5], [0.7, 0.7, 0.7], [0.7, 0.5, 0.05]]
        box = (x - 0.3, 2.0 * s, x + 0.3, 2.6 * s)
        _board(canvas, camera, light, box, z, np.full(3, 0.75), air - 1.5)
        inner = (x - 0.25, 2.05 * s, x + 0.25, 2.55 * s)
        _board(canvas, camera, light, inner, z, np.array(colour[item.variant]), air - 1.8)
    elif item.kind == "signal":
        side = 1.0 if x > 0 else -1.0
        ends = np.array([[x, 0.0, z], [x, 5.2, z]])
        _post(canvas, camera, light, ends, 0.08, np.full(3, 0.3), air - 0.5)
        arm = np.array([[x, 5.0, z], [x - side * 2.6, 5.0, z]])
        _post(canvas, camera, light, arm, 0.05, np.full(3, 0.3), air - 0.8)
        left = x - side * 2.6 - 0.6
        _board(canvas, camera, light, (left, 4.75, left + 1.2, 5.2), z, np.full(3, 0.06), air)
        lamps = [[0.1, 4.0, 2.2], [3.5, 2.2, 0.2], [4.5, 0.25, 0.15]]
        on = item.variant % 3
        middle = left + 0.25 + 0.35 * on
        box = (middle - 0.13, 4.85, middle + 0.13, 5.11)
        _board(canvas, camera, light, box, z, np.array(lamps[on]), air + 9.0, glow=True)
    elif item.kind == "vending":
        for i in range(1 + item.variant % 3):
            left = x - 0.5 + 0.02
            at = z + 1.1 * i
            box = (left, 0.05, left + 1.0, 1.83)
            paint = [[0.6, 0.05, 0.04], [0.7, 0.7, 0.72], [0.06, 0.2, 0.5]][(item.variant + i) % 3]
            _board(canvas, camera, light, box, at, np.array(paint), air + 2.0)
            pane = (left + 0.08, 0.75, left + 0.92, 1.7)
            glow = np.array([1.2, 1.3, 1.4]) if weather.night else np.full(3, 0.5)
            _board(canvas, camera, light, pane, at, glow, air + 3.0, glow=weather.night)
            slot = (left + 0.1, 0.1, left + 0.9, 0.4)
            _board(canvas, camera, light, slot, at, np.full(3, 0.05), air + 7.0)
    elif item.kind == "bollard":
        ends = np.array([[x, 0.0, z], [x, 0.75 * s, z]])
        colour = [[0.7, 0.2, 0.04], [0.5, 0.5, 0.5], [0.08, 0.08, 0.08], [0.45, 0.4, 0.3]]
        _post(canvas, camera, light, ends, 0.08, np.array(colour[item.variant]), air - 0.3)
    else:
        _hedge(canvas, camera, light, weather, item, z)


def _hedge(
    canvas: Canvas, camera: Camera, light: Lighting, weather: Weather, item: Fixture, z: float
) -> None:
    inner = item.x - np.sign(item.x) * 0.35
    outer = item.x + np.sign(item.x) * 0.35
    green = np.array([0.07, 0.12, 0.04])
    high = item.height
    steps = np.linspace(z, z + 9.0, 7)
    for z0, z1 in reversed(list(zip(steps[:-1], steps[1:], strict=True))):
        if z1 < 0.5:
            continue
        bump = high * (1 + 0.06 * np.sin(5.0 * (z1 - z) + item.x))
        faces = (
            ([[inner, bump, z0], [outer, bump, z0], [outer, bump, z1], [inner, bump, z1]], 1.2),
            ([[inner, 0, z0], [inner, 0, z1], [inner, bump, z1], [inner, bump, z0]], 0.8),
            ([[inner, 0, z0], [outer, 0, z0], [outer, bump, z0], [inner, bump, z0]], 0.7),
        )
        for corners, shade in faces:
            points = np.array(corners, float)
            lit = green * shade * light.at(points.mean(axis=0, keepdims=True))
            depth = np.array([max(z0, 0.5)])
            value = canvas.values(lit, weather.leaves + 0.2 * np.sin(9 * z1), 0, depth)[0]
            canvas.fill(camera.project_polygon(points), value)
