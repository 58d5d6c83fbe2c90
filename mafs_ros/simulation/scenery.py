"""Sky, skyline, ground and buildings: textures drawn once per street, placed in every frame."""

from __future__ import annotations

import cv2
import numpy as np

from .camera import Camera
from .canvas import WHITE, Canvas, pack, pack_one, sixteenths
from .lighting import Lighting
from .world import STREET_M, Building, Weather, World

GROUND_TEXEL_M = 0.04
GROUND_TEXELS = 512  # the asphalt's grain repeats every 20.48 m
SIDE_TEXELS = 1024
FACADE_TEXELS_PER_M = 10.0
SKY_MARGIN = 48
MARKED_FROM_M = 1.0  # nearer ground is below the image


def smooth_noise(
    rng: np.random.Generator, height: int, width: int, sizes: tuple[int, ...]
) -> np.ndarray:
    """Noise float32 [H, W] of mean 0 and deviation about 1, with blotches of these sizes in px."""
    total = np.zeros((height, width), np.float32)
    for size in sizes:
        coarse = rng.standard_normal((height // size + 2, width // size + 2), np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return total / np.sqrt(len(sizes))


def halvings(picture: np.ndarray, count: int) -> list[np.ndarray]:
    """The picture and `count` successive halvings."""
    levels = [picture]
    for _ in range(count):
        if min(levels[-1].shape[:2]) < 4:
            break
        levels.append(cv2.pyrDown(levels[-1]))
    return levels


class Sky:
    """Sky with clouds and a far skyline, uint16 [H, W, 4], anchored at the horizon."""

    def __init__(self, rng: np.random.Generator, world: World, height: int, width: int):
        weather = world.weather
        self._rows = int(np.ceil(world.horizon)) + 2 * SKY_MARGIN
        self._base = self._rows - SKY_MARGIN
        cols = width + 2 * SKY_MARGIN
        rise = np.clip((self._base - np.arange(self._rows)) / self._base, 0, 1)[:, None, None]
        blend = rise**0.6
        colours = weather.sky_horizon * (1 - blend) + weather.sky_top * blend
        kelvin = weather.air - 3.0 - (weather.air - weather.sky_kelvin - 3.0) * rise[..., 0] ** 0.5
        size = max(8, height // 6)
        puffs = smooth_noise(rng, self._rows, cols, (size, size // 2, max(size // 5, 2)))
        cover = np.clip(puffs * 0.8 + 3.0 * weather.clouds - 1.2, 0, 1)[..., None]
        cloud = weather.sky_horizon * (1.05 - 0.18 * np.clip(puffs, -1, 1)[..., None])
        if weather.night:
            cloud = weather.sky_horizon * 0.8
        colours = colours * (1 - 0.8 * cover) + cloud * 0.8 * cover
        haze = cv2.GaussianBlur(cover[..., 0], (0, 0), 3.0)
        kelvin = kelvin + haze * 0.35 * (weather.air - 6.0 - kelvin)
        self._picture = pack(colours, kelvin)
        self._skyline(rng, weather, cols, world.focal)

    def _skyline(
        self, rng: np.random.Generator, weather: Weather, cols: int, focal: float
    ) -> None:
        hills = smooth_noise(rng, 1, cols, (max(cols // 6, 2), max(cols // 30, 2)))[0]
        top = self._base - focal * (0.03 + 0.012 * hills)
        clear = 0.45
        shade = 0.3 * (weather.ambient + 0.5 * weather.sun)
        far = weather.sky_horizon * (1 - clear)
        leaves = shade * np.array([0.25, 0.34, 0.2])
        outline = np.stack([np.arange(cols), top], 1)
        outline = np.concatenate([outline, [[cols, self._rows], [0, self._rows]]])
        value = pack_one(far + clear * leaves, weather.leaves)
        cv2.fillPoly(self._picture, [outline.astype(np.int32)], value)
        for _ in range(rng.integers(4, 16)):
            x, wide = rng.uniform(0, cols), focal * rng.uniform(0.02, 0.08)
            high = focal * rng.uniform(0.03, 0.16)
            grey = shade * rng.uniform(0.5, 1.5) * rng.uniform(0.85, 1.1, 3)
            value = pack_one(far + clear * grey, weather.wall - rng.uniform(0, 3))
            low, end = int(self._base - high), int(x + wide)
            cv2.rectangle(self._picture, (int(x), low), (end, self._rows), value, -1)
            self._far_windows(rng, weather, int(x), low, end)

    def _far_windows(
        self, rng: np.random.Generator, weather: Weather, left: int, top: int, right: int
    ) -> None:
        if not weather.night:
            return
        for _ in range(rng.integers(3, 25)):
            x = int(rng.integers(left + 1, max(right - 1, left + 2)))
            y = int(rng.integers(top + 2, max(self._base, top + 3)))
            light = rng.uniform(0.1, 1.0) * np.array([1.0, 0.85, 0.6])
            cv2.rectangle(self._picture, (x, y), (x + 1, y + 1), pack_one(light, weather.wall), -1)

    def draw(self, canvas: Canvas, camera: Camera, yaw: float) -> None:
        """Fill the canvas down to a little below the horizon."""
        rows = int(np.clip(np.ceil(camera.horizon_v) + 4, 1, camera.height))
        # So far away, a shift by whole pixels will do.
        shift_u = SKY_MARGIN - round(np.clip((yaw - camera.yaw) * camera.focal, -40, 40))
        shift_v = int(np.clip(self._base - round(camera.horizon_v), 0, self._rows - 1))
        seen = self._picture[shift_v : shift_v + rows, shift_u : shift_u + camera.width]
        canvas.pixels[: len(seen)] = seen
        canvas.pixels[len(seen) : rows] = self._picture[-1, 0]


class Ground:
    """Asphalt, kerbs and paving as one picture of the plane y = 0."""

    def __init__(self, rng: np.random.Generator, world: World):
        weather = world.weather
        x = (np.arange(SIDE_TEXELS) - SIDE_TEXELS / 2 + 0.5) * GROUND_TEXEL_M
        away = np.abs(x)
        shape = (GROUND_TEXELS, SIDE_TEXELS)
        grain = rng.standard_normal(shape, np.float32)
        blotch = smooth_noise(rng, *shape, (128, 40))
        road = np.array([0.1, 0.1, 0.105]) * rng.uniform(0.6, 1.7)
        paving = np.array([0.3, 0.28, 0.26]) * rng.uniform(0.5, 1.2) * rng.uniform(0.9, 1.1, 3)
        beyond = [[0.09, 0.14, 0.05], [0.22, 0.2, 0.17]][rng.integers(2)]
        edge = world.road_half
        on_road = (away < edge)[:, None]
        on_paving = (away < edge + world.pavement_m)[:, None]
        colours = np.where(on_road, road, np.where(on_paving, paving, beyond)).astype(np.float32)
        kerb = (np.abs(away - edge) < 0.09)[:, None]
        colours = np.where(kerb, np.float32(0.42), colours)
        texture = np.where(on_road[:, 0], 0.16, 0.10).astype(np.float32)[None]
        picture = colours[None] * np.clip(1 + texture * grain + 0.1 * blotch, 0.4, 1.7)[..., None]
        # Wheel tracks and the paving's joints.
        tracks = np.exp(-(((away % max(edge, 3.0)) - 0.5 * edge) ** 2) / 0.5)
        tracks = (tracks * on_road[:, 0]).astype(np.float32)[None]
        picture *= (1 - 0.12 * tracks)[..., None]
        step = int(rng.choice([8, 16]))
        joints = np.ones(shape, np.float32)
        joints[::step] = 0.78
        joints[:, ::step] = 0.78
        joints[:, on_road[:, 0]] = 1.0
        picture *= joints[..., None]
        kelvin = np.where(on_road[:, 0], weather.road, weather.pavement)
        kelvin = (kelvin + np.where(kerb[:, 0], -0.6, 0.0)).astype(np.float32)[None]
        kelvin = kelvin + 0.35 * blotch + 0.12 * grain + 0.5 * tracks
        # Patches where the road was dug up.
        for _ in range(rng.integers(0, 4)):
            row, col = rng.integers(GROUND_TEXELS - 100), rng.integers(380, 600)
            part = slice(row, row + rng.integers(20, 100)), slice(col, col + rng.integers(15, 40))
            picture[part] *= rng.uniform(0.6, 1.3)
            kelvin[part] += rng.uniform(-0.6, 0.6)
        self._levels = self._stretch(pack(picture, kelvin))

    @staticmethod
    def _stretch(picture: np.ndarray) -> list[tuple[float, int, np.ndarray]]:
        """(from metres, texel rows merged, picture) for ever greater distances.

        Seen at a flat angle a pixel covers much street lengthwise, so the picture is blurred along
        it; it repeats along its rows as far as that distance needs.
        """
        levels = [(0.0, 1, np.concatenate([picture, picture]))]
        for start, along, across, merged, repeat in (
            (4.0, 3, 1, 1, 2), (6.0, 5, 1, 1, 2), (9.0, 11, 1, 2, 2), (13.0, 23, 1, 4, 3),
            (19.0, 49, 3, 8, 3), (28.0, 101, 3, 16, 4), (42.0, 221, 5, 32, 12),
        ):  # fmt: skip
            above, below = picture[-along:], picture[:along]
            wrapped = np.concatenate([above, picture, below])
            blurred = cv2.blur(wrapped, (across, along))[along:-along]
            blurred = blurred[merged // 2 :: merged]
            levels.append((start, merged, np.concatenate([blurred] * repeat)))
        return levels

    def draw(self, canvas: Canvas, camera: Camera, driven: float, top: int) -> None:
        """Fill the canvas from image row `top` down."""
        texel = GROUND_TEXEL_M
        start = -(driven % (GROUND_TEXELS * texel))
        bottom = camera.height
        for i, (_, merged, level) in enumerate(self._levels):
            end = float(top)
            if i + 1 < len(self._levels):
                end = self._row(camera, self._levels[i + 1][0])
            end = int(np.clip(end, top, bottom))
            if end >= bottom:
                continue
            origin = np.array([-SIDE_TEXELS / 2 * texel, 0.0, start])
            steps = np.array([texel, 0, 0]), np.array([0, 0, texel * merged])
            matrix = camera.plane_homography(origin, *steps)
            matrix[1] -= end * matrix[2]
            canvas.pixels[end:bottom] = cv2.warpPerspective(
                level,
                matrix,
                (camera.width, bottom - end),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            bottom = end

    @staticmethod
    def _row(camera: Camera, distance: float) -> float:
        return camera.horizon_v + camera.y * camera.focal / distance


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
        canvas.picture(levels, matrix, outline, depth, texels)


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


def draw_markings(canvas: Canvas, camera: Camera, world: World, driven: float) -> None:
    """Lane lines, stop line and zebra crossing on the ground."""
    paint = np.array([0.62, 0.62, 0.6])
    kelvin = world.weather.road - 0.8 - 1.6 * float(world.weather.sun[0])
    value = pack_one(paint, kelvin)
    edge = world.road_half
    corners: list[list[float]] = []

    def stripe(x0: float, x1: float, z0: float, z1: float) -> None:
        if z1 > z0:
            corners.extend([[x0, 0, z0], [x1, 0, z0], [x1, 0, z1], [x0, 0, z1]])

    for side in (-1, 1):
        stripe(side * (edge - 0.32), side * (edge - 0.2), MARKED_FROM_M, 120.0)
    if world.lanes == "two":
        step = 6.0
        for i in range(16):
            z = i * step - driven % step
            if world.crossing_z is None or abs(z + 1.5 - world.crossing_z) > 5.4:
                stripe(-0.07, 0.07, max(z, MARKED_FROM_M), z + 3.0)
    if world.crossing_z is not None:
        z = world.crossing_z
        for x in np.arange(-edge + 0.45, edge - 0.5, 0.95):
            stripe(x, x + 0.48, z - 1.8, z + 1.8)
        stripe(0.15 if world.camera_x > 0 else -edge + 0.4, edge - 0.4, z - 3.6, z - 3.2)
    pixels, _ = camera.project(np.array(corners))
    outlines = sixteenths(pixels).reshape(-1, 4, 2)
    canvas.fill_all(outlines, [value] * len(outlines))


def in_street(z: np.ndarray, driven: float, behind: float) -> np.ndarray:
    """Distance ahead of the camera of things fixed at z along the repeating street."""
    return (z - driven + behind) % STREET_M - behind
