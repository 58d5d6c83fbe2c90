"""Things that stand along the street: lamps, trees, signs, signals, machines, hedges."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from mafs_ros.simulation.camera import Camera
from mafs_ros.simulation.canvas import Canvas, pack, sixteenths
from mafs_ros.simulation.lighting import Lighting
from mafs_ros.simulation.scenery import in_street
from mafs_ros.simulation.textures import halvings, smooth_noise
from mafs_ros.simulation.weather import Weather
from mafs_ros.simulation.world import BEHIND_M, Fixture

SEEN_M = 110.0
CROWN_TEXELS = (192, 224)  # rows, columns
CROWN_SHARE = (0.68, 0.84)  # of the tree's height: height and width of the crown
HEDGE_TEXELS = (32, 256)
HEDGE_M = 9.0
HEDGE_SEEN_M = 60.0


class Leaves:
    """Foliage as a picture with a ragged mask, unlit, and halvings of both."""

    def __init__(
        self, rng: np.random.Generator, weather: Weather, cover: np.ndarray, shade: np.ndarray
    ):
        """cover 0..255 and shade (about 1) float32 [h, w]: where leaves are, how bright."""
        rows, cols = cover.shape
        leafy = smooth_noise(rng, rows, cols, (9, 4, 2))
        blurred = cv2.GaussianBlur(cover, (0, 0), 4.0)
        mask = np.where(blurred + 45.0 * leafy > 118.0, 255, 0).astype(np.uint8)
        greens = [[0.09, 0.17, 0.04], [0.13, 0.16, 0.04], [0.3, 0.19, 0.04], [0.06, 0.12, 0.05]]
        green = np.array(greens[rng.integers(len(greens))]) * rng.uniform(0.7, 1.3)
        soft = cv2.GaussianBlur(shade, (0, 0), 2.5)
        glint = smooth_noise(rng, rows, cols, (5, 3, 2))
        bright = np.clip(soft * (1 + 0.38 * glint), 0.1, 2.5)[..., None]
        kelvin = weather.leaves + 0.5 * (soft - 1.0) * (0.3 + float(weather.sun[0]))
        self.pictures = halvings(pack(green * bright, kelvin + 0.12 * glint), 4)
        self.masks = halvings(mask, 4)


def crown(rng: np.random.Generator, weather: Weather) -> Leaves:
    """The crown of one tree, made of clumps: bright above, dark below and inside."""
    rows, cols = CROWN_TEXELS
    cover = np.zeros((rows, cols), np.float32)
    shade = np.full((rows, cols), 0.55, np.float32)
    clumps = rng.normal(0, 0.45, (rng.integers(120, 240), 2))
    clumps = clumps[np.linalg.norm(clumps, axis=1) < 0.85]
    for across, down in clumps[np.argsort(-clumps[:, 1], kind="stable")]:
        spot = int(cols * (0.5 + 0.48 * across)), int(rows * (0.52 + 0.48 * down))
        radius = int(rows * rng.uniform(0.04, 0.1))
        bright = float(np.clip(0.9 - 0.5 * down + rng.normal(0, 0.2), 0.3, 1.8))
        cv2.circle(shade, spot, radius, bright, -1)
        cv2.circle(cover, spot, radius, 255.0, -1)
    cover[:3] = cover[-3:] = cover[:, :3] = cover[:, -3:] = 0.0
    return Leaves(rng, weather, cover, shade)


def hedge(rng: np.random.Generator, weather: Weather) -> Leaves:
    """The upright face of a clipped hedge."""
    rows, cols = HEDGE_TEXELS
    cover = np.full((rows, cols), 400.0, np.float32)
    cover[:5] = 60.0
    shade = np.repeat(np.linspace(1.3, 0.6, rows, dtype=np.float32)[:, None], cols, axis=1)
    return Leaves(rng, weather, cover, shade + 0.15 * smooth_noise(rng, rows, cols, (10,)))


# A rectangle that faces along the street: x0, y0, x1, y1, colour, kelvin, shines.
Board = tuple[float, float, float, float, list[float], float, bool]


def _board(
    box: tuple[float, ...], colour: list | np.ndarray, kelvin: float, shines: bool = False
) -> Board:
    x0, y0, x1, y1 = (float(v) for v in box)
    return x0, y0, x1, y1, [float(c) for c in colour], kelvin, shines


def _grey(value: float) -> list[float]:
    return [value, value, value]


def lamp_head(item: Fixture) -> tuple[float, float]:
    """Where the lamp's light comes from: x, y."""
    return item.x - item.variant * 1.3, item.height


def _lamp(item: Fixture, weather: Weather) -> list[Board]:
    metal, air, h = _grey(0.22), weather.air, item.height
    x, y = lamp_head(item)
    boards = [
        _board((item.x - 0.09, 0, item.x + 0.09, 1.1), metal, air - 0.4),
        _board((item.x - 0.055, 1.1, item.x + 0.055, h), metal, air - 0.8),
        _board((min(x, item.x), h - 0.03, max(x, item.x), h + 0.05), metal, air - 1.2),
        _board((x - 0.34, y - 0.07, x + 0.34, y + 0.08), metal, air + 4.0 * weather.night),
    ]
    if weather.night:
        glow = 4.8 * weather.lamp_colour / weather.lamp_colour.max() ** 0.6
        boards.append(_board((x - 0.3, y - 0.13, x + 0.3, y - 0.02), glow, air + 14.0, True))
    return boards


def _sign(item: Fixture, weather: Weather) -> list[Board]:
    x, s, air = item.x, item.height, weather.air
    paints = [[0.6, 0.05, 0.05], [0.05, 0.12, 0.5], [0.7, 0.7, 0.7], [0.7, 0.5, 0.05]]
    return [
        _board((x - 0.035, 0, x + 0.035, 2.5 * s), _grey(0.4), air - 0.5),
        _board((x - 0.3, 2.0 * s, x + 0.3, 2.6 * s), _grey(0.75), air - 1.5),
        _board((x - 0.26, 2.04 * s, x + 0.26, 2.56 * s), paints[item.variant], air - 1.8),
        _board((x - 0.16, 2.27 * s, x + 0.16, 2.34 * s), _grey(0.7), air - 1.8),
    ]


def _signal(item: Fixture, weather: Weather) -> list[Board]:
    x, air = item.x, weather.air
    side = float(np.sign(x))
    left = x - side * 2.6 - 0.6
    boards = [
        _board((x - 0.09, 0, x + 0.09, 5.3), _grey(0.3), air - 0.5),
        _board((min(x, left + 0.6), 4.95, max(x, left + 0.6), 5.05), _grey(0.3), air - 0.8),
        _board((left, 4.75, left + 1.2, 5.2), _grey(0.06), air),
    ]
    lamps = [[0.1, 4.0, 2.2], [3.5, 2.2, 0.2], [4.5, 0.25, 0.15]]
    for i, lamp in enumerate(lamps):
        on = i == item.variant % 3
        u = left + 0.25 + 0.35 * i
        colour = lamp if on else [0.04 * c for c in lamp]
        boards.append(_board((u - 0.12, 4.86, u + 0.12, 5.1), colour, air + 9.0 * on, on))
    return boards


def _vending(item: Fixture, weather: Weather) -> list[Board]:
    air, night = weather.air, weather.night
    paints = [[0.6, 0.05, 0.04], [0.7, 0.7, 0.72], [0.06, 0.2, 0.5]]
    left = item.x - 0.5
    glow = [1.2, 1.3, 1.4] if night else _grey(0.5)
    boards = [
        _board((left, 0.05, left + 1.0, 1.83), paints[item.variant % 3], air + 2.0),
        _board((left + 0.08, 0.85, left + 0.92, 1.72), glow, air + 3.0, night),
        _board((left + 0.1, 0.1, left + 0.9, 0.4), _grey(0.05), air + 7.0),
    ]
    for row in range(3):
        for i in range(6):
            u, v = left + 0.14 + 0.125 * i, 0.92 + 0.26 * row
            hue = 0.6 + 0.5 * np.sin(np.array([0.0, 2.1, 4.2]) + 2.4 * i + row + item.variant)
            boards.append(_board((u, v, u + 0.07, v + 0.17), 0.5 * hue, air + 3.0, night))
    return boards


def _bollard(item: Fixture, weather: Weather) -> list[Board]:
    x, s, air = item.x, item.height, weather.air
    paints = [[0.7, 0.2, 0.04], _grey(0.5), _grey(0.08), [0.45, 0.4, 0.3]]
    return [
        _board((x - 0.08, 0, x + 0.08, 0.75 * s), paints[item.variant], air - 0.3),
        _board((x - 0.08, 0.55 * s, x + 0.08, 0.63 * s), _grey(0.7), air - 0.5),
    ]


def _trunk(item: Fixture, weather: Weather) -> list[Board]:
    x, h, k = item.x, item.height, weather.leaves + 0.6
    w = 0.02 * h + 0.04
    bark, dark = [0.15, 0.115, 0.09], [0.09, 0.07, 0.055]
    return [
        _board((x - w, 0, x + w, 0.5 * h), bark, k),
        _board((x + 0.3 * w, 0, x + w, 0.5 * h), dark, k - 0.2),
    ]


_MAKERS = {"lamp": _lamp, "sign": _sign, "signal": _signal, "vending": _vending,
           "bollard": _bollard, "tree": _trunk}  # fmt: skip
_REACH = {"tree": 0.45, "lamp": 0.3, "signal": 3.5, "hedge": HEDGE_M}


class Furniture:
    """All fixtures of a street but the bicycles: flat boards, foliage on top."""

    def __init__(self, rng: np.random.Generator, items: list[Fixture], weather: Weather):
        self.items = [item for item in items if item.kind in _MAKERS or item.kind == "hedge"]
        made = [_MAKERS[i.kind](i, weather) if i.kind in _MAKERS else [] for i in self.items]
        counts = [len(boards) for boards in made]
        self._owner = np.repeat(np.arange(len(made)), counts)
        flat = [board for boards in made for board in boards]
        box = np.array([board[:4] for board in flat]).reshape(-1, 4)
        self._x, self._y = box[:, [0, 2, 2, 0]], box[:, [1, 1, 3, 3]]
        self._colours = np.array([board[4] for board in flat]).reshape(-1, 3)
        self._kelvin = np.array([board[5] for board in flat])
        self._shines = np.array([board[6] for board in flat], bool)
        self._at = np.array([[i.x, i.z] for i in self.items]).reshape(-1, 2)
        reach = [_REACH.get(i.kind, 0.6) * (i.height if i.kind in ("tree", "lamp") else 1.0)
                 for i in self.items]  # fmt: skip
        self._reach = np.array(reach)
        self._crowns = [crown(rng, weather) for _ in range(3)]
        self._hedge = hedge(rng, weather)
        self._leaves_kelvin = weather.leaves

    def drawers(
        self, canvas: Canvas, camera: Camera, light: Lighting, driven: float
    ) -> list[tuple[float, Callable[[], None]]]:
        """(distance, draw) of every fixture in sight."""
        z = in_street(self._at[:, 1], driven, BEHIND_M)
        seen = (z < SEEN_M) & camera.sees(self._at[:, 0], z, self._reach)
        kept = np.flatnonzero(seen[self._owner])
        first = np.searchsorted(self._owner[kept], np.arange(len(self.items) + 1))
        depth = z[self._owner[kept]]
        planes = np.repeat(depth[:, None], 4, axis=1)
        corners = np.stack([self._x[kept], self._y[kept], planes], axis=2)
        pixels, _ = camera.project(corners.reshape(-1, 3))
        outlines = sixteenths(pixels).reshape(-1, 4, 2)
        normals = np.tile([0.0, 0.0, -1.0], (len(depth), 1))
        colours, shines = self._colours[kept], self._shines[kept]
        lit = colours * light.at(corners.mean(axis=1), normals)
        lit[shines] = colours[shines]
        values = canvas.values(lit, self._kelvin[kept], 0, np.maximum(depth, 0.5)).tolist()
        surfaces = canvas.flat(corners.mean(axis=1), normals, np.ptp(corners[..., 0], axis=1))
        foliage = light.at(np.stack([self._at[:, 0], self._foliage_height(), z], axis=1))
        found: list[tuple[float, Callable[[], None]]] = []
        for i in np.flatnonzero(seen):
            item, own = self.items[i], slice(first[i], first[i + 1])
            where = float(z[i])
            if item.kind == "hedge" and where < HEDGE_SEEN_M:
                # Along the walls, behind everything in the street: drawn before it.
                draw = partial(self._draw_hedge, canvas, camera, item, where, foliage[i])
                found.append((where + SEEN_M, draw))
                continue
            if where < 0.6 or item.kind == "hedge":
                continue
            boards = partial(canvas.fill_all, outlines[own], values[own], surfaces[own])
            draw = boards
            if item.kind == "tree":
                draw = partial(self._draw_tree, boards, canvas, camera, item, where, foliage[i])
            found.append((where, draw))
        return found

    def _foliage_height(self) -> np.ndarray:
        return np.array([0.65 * i.height if i.kind == "tree" else 0.6 for i in self.items])

    def _draw_tree(
        self,
        boards: Callable[[], None],
        canvas: Canvas,
        camera: Camera,
        item: Fixture,
        z: float,
        light: np.ndarray,
    ) -> None:
        boards()
        high, wide = CROWN_SHARE[0] * item.height, CROWN_SHARE[1] * item.height
        left, top = item.x - 0.5 * wide, item.height
        self._picture(
            canvas, camera, self._crowns[item.variant], np.array([left, top, z]),
            np.array([wide, 0.0, 0.0]), high, light, z,
        )  # fmt: skip

    def _draw_hedge(
        self, canvas: Canvas, camera: Camera, item: Fixture, z: float, light: np.ndarray
    ) -> None:
        side = np.sign(item.x)
        inner, thick, high = item.x - side * 0.35, 0.7 * side, item.height
        corners = [
            [inner, 0.93 * high, z],
            [inner + thick, 0.93 * high, z],
            [inner + thick, 0.93 * high, z + HEDGE_M],
            [inner, 0.93 * high, z + HEDGE_M],
        ]
        colour = np.array([[0.07, 0.12, 0.04]]) * light * 1.2
        kelvin = np.array([self._leaves_kelvin])
        value = canvas.values(colour, kelvin, 0, np.array([max(z, 0.5)])).tolist()[0]
        top = np.array(corners)
        surface = canvas.flat(top.mean(axis=0)[None], np.array([[0.0, 1.0, 0.0]]), HEDGE_M)[0]
        canvas.fill(camera.project_polygon(top), value, surface)
        near = np.array([inner, high, z])
        along = np.array([0.0, 0.0, HEDGE_M])
        self._picture(canvas, camera, self._hedge, near, along, high, light, z + 1.0)
        if z > 0.5 and item.variant:
            across = np.array([thick, 0.0, 0.0])
            self._picture(canvas, camera, self._hedge, near, across, high, 0.8 * light, z)

    @staticmethod
    def _picture(
        canvas: Canvas,
        camera: Camera,
        leaves: Leaves,
        corner: np.ndarray,
        along: np.ndarray,
        high: float,
        light: np.ndarray,
        z: float,
    ) -> None:
        """Foliage from its upper left corner, `along` wide and `high` metres tall."""
        down = np.array([0.0, -high, 0.0])
        outline = camera.project_polygon(
            np.stack([corner, corner + along, corner + along + down, corner + down])
        )
        rows, cols = leaves.masks[0].shape
        matrix = camera.plane_homography(corner, along / cols, down / rows)
        depth = max(z, 1.0)
        texels = rows / high * depth / camera.focal
        surface = canvas.upright(corner, along)
        canvas.picture(
            leaves.pictures, matrix, outline, depth, texels, surface, leaves.masks, light
        )


def tree_shadow(light: Lighting, item: Fixture, z: float) -> list[np.ndarray]:
    """Outlines on the ground of the shadows of trunk and crown."""
    h = item.height
    turn = np.linspace(0, 2 * np.pi, 9)[:-1]
    ring = np.stack([np.cos(turn), np.sin(turn), 0.0 * turn], 1) * [0.33 * h, 0.27 * h, 0.0]
    depth = np.stack([0.0 * turn, 0.0 * turn, np.cos(turn)], 1) * 0.25 * h
    middle = np.array([item.x, 0.66 * h, z])
    trunk = np.array([[item.x + dx, y, z] for dx in (-0.13, 0.13) for y in (0.0, 0.5 * h)])
    return [light.shadow(trunk), light.shadow(np.concatenate([ring, depth]) + middle)]
