"""Facades of houses."""

from __future__ import annotations

import cv2
import numpy as np

from mafs_ros.simulation.camera import Camera
from mafs_ros.simulation.canvas import WHITE, Canvas, pack, pack_one
from mafs_ros.simulation.lighting import Lighting
from mafs_ros.simulation.textures import halvings, smooth_noise
from mafs_ros.simulation.weather import Weather
from mafs_ros.simulation.world import STREET_M, Building, World

SIDE_TEXELS = 1024
FACADE_TEXELS_PER_M = 10.0


class Facade:
    """One building: the face along the street and the end that faces the camera."""

    def __init__(self, building: Building, world: World, light: Lighting, end_seen: bool):
        self.building = building
        self._end_seen = end_seen
        rng = np.random.default_rng(building.seed)
        style = _FacadeStyle(rng, world.weather)
        normal = np.array([-building.side, 0.0, 0.0])
        front = style.paint(rng, building.width, building.height, windows=True)
        self._light_up(front, light, normal, along_z=True)
        self.front = halvings(front, 4)
        if end_seen:
            end = style.paint(rng, building.depth, building.height, windows=rng.random() < 0.5)
            self._light_up(end, light, np.array([0.0, 0.0, -1.0]), along_z=False)
            self.end = halvings(end, 4)

    def _light_up(
        self, picture: np.ndarray, light: Lighting, normal: np.ndarray, along_z: bool
    ) -> None:
        # Windows that shine carry their own light: their red is stored above 1.5 WHITE.
        b = self.building
        rows, cols = 12, 12
        v = (np.arange(rows) + 0.5) / rows
        u = (np.arange(cols) + 0.5) / cols
        height = np.repeat(b.height * (1 - v), cols)
        if along_z:
            x, z = np.full(rows * cols, b.x), b.z + np.tile(u, rows) * b.width
        else:
            x, z = b.x + b.side * np.tile(u, rows) * b.depth, np.full(rows * cols, b.z)
        points = np.stack([x, height, z], 1)
        fall = light.at(points, np.tile(normal, (rows * cols, 1))).reshape(rows, cols, 3)
        shape = (picture.shape[1], picture.shape[0])
        fall = cv2.resize(np.clip(fall * WHITE, 0, 65535).astype(np.uint16), shape)
        own = picture[..., :1] >= 3 * WHITE // 2
        lit = cv2.multiply(np.ascontiguousarray(picture[..., :3]), fall, scale=1.0 / WHITE)
        picture[..., :3] = np.where(own, picture[..., :3] >> 2, lit) if own.any() else lit

    def draw(self, canvas: Canvas, camera: Camera, z: float) -> None:
        """Draw with the near end at z metres."""
        b = self.building
        up = np.array([0.0, b.height, 0.0])
        near, far = np.array([b.x, 0.0, z]), np.array([b.x, 0.0, z + b.width])
        back = np.array([b.x + b.side * b.depth, 0.0, z])
        if z > 0.5 and self._end_seen:
            self._face(canvas, camera, self.end, near, back, up, max(z, 1.0))
        self._face(canvas, camera, self.front, near, far, up, max(z + 0.3 * b.width, 1.0))

    @staticmethod
    def _face(
        canvas: Canvas,
        camera: Camera,
        levels: list[np.ndarray],
        start: np.ndarray,
        end: np.ndarray,
        up: np.ndarray,
        depth: float,
    ) -> None:
        outline = camera.project_polygon(np.stack([start, end, end + up, start + up]))
        rows, cols = levels[0].shape[:2]
        matrix = camera.plane_homography(start + up, (end - start) / cols, -up / rows)
        texels = FACADE_TEXELS_PER_M * depth / camera.focal
        if end[2] != start[2]:  # lengthwise the wall is seen at a flat angle
            texels *= max(1.0, 0.5 * depth / abs(start[0])) ** 0.5
        surface = canvas.upright(start, end - start)
        canvas.picture(levels, matrix, outline, depth, texels, surface)


def make_facades(world: World, light: Lighting) -> list[Facade]:
    """All buildings, with the street lamps' light on their walls."""
    made = []
    for side in (-1, 1):
        row = [b for b in world.buildings if b.side == side]
        for before, building in zip(row[-1:] + row[:-1], row, strict=True):
            gap = (building.z - before.z - before.width) % STREET_M
            hidden = gap < 0.3 and before.height >= building.height
            hidden = hidden and abs(before.x) <= abs(building.x)
            made.append(Facade(building, world, light, end_seen=not hidden))
    return made


class _FacadeStyle:
    """Materials and window grid of one building."""

    def __init__(self, rng: np.random.Generator, weather: Weather):
        self.weather = weather
        base = [[0.5, 0.45, 0.38], [0.35, 0.18, 0.13], [0.45] * 3, [0.6, 0.56, 0.48]]
        base += [[0.25, 0.26, 0.28], [0.42, 0.32, 0.22], [0.68, 0.68, 0.66]]
        self.wall = np.array(base[rng.integers(len(base))]) * rng.uniform(0.6, 1.15)
        self.trim = self.wall * rng.uniform(0.5, 1.4)
        self.storey = rng.uniform(2.8, 3.9)
        self.pitch = rng.uniform(1.8, 3.8)
        self.window = rng.uniform(0.4, 0.85), rng.uniform(0.4, 0.7)
        self.warmth = weather.wall + rng.normal(0, 0.8)
        self.lit_share = rng.choice([0.03, 0.15, 0.4])
        self.shop = rng.random() < 0.4

    def paint(
        self, rng: np.random.Generator, width: float, height: float, windows: bool
    ) -> np.ndarray:
        """Picture uint16 [h, w, 4] of a face of width x height metres."""
        k = FACADE_TEXELS_PER_M
        cols, rows = max(int(width * k), 8), max(int(height * k), 8)
        stain = smooth_noise(rng, rows, cols, (40, 9, 2))
        shade = np.linspace(-0.5, 0.4, rows, dtype=np.float32)  # warmer near the ground
        picture = pack(
            self.wall.astype(np.float32) * np.clip(1 + 0.07 * stain, 0.5, 1.5)[..., None],
            np.float32(self.warmth) + 0.25 * stain + shade[:, None],
        )
        trim = pack_one(self.trim, self.warmth - 0.4)
        cv2.rectangle(picture, (0, 0), (cols, 4), trim, -1)
        if not windows:
            return picture
        storeys = max(int(height / self.storey), 1)
        count = max(int(width / self.pitch), 1)
        for floor in range(storeys):
            bottom = rows - floor * self.storey * k
            if floor:
                cv2.line(picture, (0, int(bottom)), (cols, int(bottom)), trim, 1)
            if floor == 0 and self.shop:
                self._shop(rng, picture, int(bottom))
                continue
            for i in range(count):
                self._window(rng, picture, (i + 0.5) * width / count * k, bottom)
        return picture

    def _window(
        self, rng: np.random.Generator, picture: np.ndarray, middle: float, bottom: float
    ) -> None:
        k = FACADE_TEXELS_PER_M
        half = 0.5 * self.window[0] * self.pitch * k
        top = bottom - self.storey * k * (0.22 + self.window[1])
        low = bottom - self.storey * k * 0.22
        start, end = (int(middle - half), int(top)), (int(middle + half), int(low))
        frame = pack_one(self.trim * 0.8, self.warmth - 0.3)
        cv2.rectangle(picture, (start[0] - 1, start[1] - 1), (end[0] + 1, end[1] + 2), frame, -1)
        colour, kelvin = self.pane(rng)
        cv2.rectangle(picture, start, end, pack_one(colour, kelvin), -1)
        if rng.random() < 0.5:  # blind or curtain
            drop = int(top + rng.uniform(0.2, 0.7) * (low - top))
            shade = np.minimum(colour * 0.75 + 0.04, 7.9)
            value = pack_one(shade, kelvin + 0.4)
            cv2.rectangle(picture, start, (end[0], drop), value, -1)
        cv2.line(picture, (int(middle), start[1]), (int(middle), end[1]), frame, 1)
        if rng.random() < 0.06:  # air conditioner, warm when it runs
            warm = pack_one(np.full(3, 0.55), self.warmth + rng.choice([0.0, 6.0]))
            cv2.rectangle(picture, (start[0], end[1] + 3), (start[0] + 9, end[1] + 9), warm, -1)

    def pane(self, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Colour and temperature of one window. Shining ones are stored four times too bright."""
        weather = self.weather
        if weather.night and rng.random() < self.lit_share:
            tint = [[1.0, 0.75, 0.42], [1.0, 0.95, 0.8], [0.85, 1.0, 1.0]][rng.integers(3)]
            glow = np.maximum(np.array(tint) * rng.uniform(0.6, 4.5), 0.0)
            glow[0] = max(glow[0], 1.6)
            return glow, self.warmth + rng.uniform(0.3, 1.5)
        # Glass mirrors the cold sky.
        cold = self.warmth - rng.uniform(0.3, 2.5)
        if weather.night:
            return np.full(3, 0.05), cold
        mirror = 0.16 * weather.sky_top + 0.12 * weather.sky_horizon
        return np.minimum(mirror + 0.02, 1.0) * rng.uniform(0.5, 1.2), cold

    def _shop(self, rng: np.random.Generator, picture: np.ndarray, bottom: int) -> None:
        k = FACADE_TEXELS_PER_M
        cols = picture.shape[1]
        top = int(bottom - 0.8 * self.storey * k)
        edge = int(rng.uniform(2, 8))
        colour, kelvin = self.pane(rng)
        if self.weather.night and rng.random() < 0.5:
            colour = np.array([2.6, 2.2, 1.6]) * rng.uniform(0.8, 2.0)
        glass = pack_one(colour, kelvin + 0.5)
        cv2.rectangle(picture, (edge, top + 6), (cols - edge, bottom - 4), glass, -1)
        goods = pack_one(np.minimum(colour * 0.5, 5.0) + 0.02, kelvin)
        for x in range(edge, cols - edge, 14):
            if rng.random() < 0.6:
                high = int(rng.uniform(4, 14))
                part = (x + 2, bottom - 4 - high), (x + 9, bottom - 4)
                cv2.rectangle(picture, *part, goods, -1)
            cv2.line(picture, (x, top + 6), (x, bottom - 4), (900, 900, 900, glass[3]), 1)
        tint = rng.uniform(0.05, 0.7, 3)
        board = tint * (2.5 if self.weather.night and rng.random() < 0.6 else 1.0)
        sign = pack_one(board, self.warmth + 0.3)
        cv2.rectangle(picture, (edge, top - 4), (cols - edge, top + 5), sign, -1)
