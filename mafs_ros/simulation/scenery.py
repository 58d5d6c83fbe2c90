"""Sky, skyline, ground and buildings: textures drawn once per street, placed in every frame."""

from __future__ import annotations

import cv2
import numpy as np

from mafs_ros.simulation.camera import Camera
from mafs_ros.simulation.canvas import Canvas, pack, pack_one, sixteenths
from mafs_ros.simulation.facades import SIDE_TEXELS
from mafs_ros.simulation.textures import smooth_noise
from mafs_ros.simulation.weather import Weather
from mafs_ros.simulation.world import STREET_M, World

GROUND_TEXEL_M = 0.04
GROUND_TEXELS = 512  # the asphalt's grain repeats every 20.48 m
SKY_MARGIN = 48
MARKED_FROM_M = 1.0  # nearer ground is below the image


class Sky:
    """Sky with clouds and a far skyline, uint16 [H, W, 4], anchored at the horizon."""

    def __init__(self, rng: np.random.Generator, world: World, height: int, width: int):
        weather = world.weather
        self._rows = int(np.ceil(world.horizon)) + 2 * SKY_MARGIN
        self._base = self._rows - SKY_MARGIN
        cols = width + 2 * SKY_MARGIN
        self._focal, self._centre = world.focal, 0.5 * width + SKY_MARGIN
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

    def draw_scaled(self, canvas: Canvas, camera: Camera, yaw: float) -> None:
        """The same for a camera of any focal length and size: all see one and the same sky."""
        rows = int(np.clip(np.ceil(camera.horizon_v) + 4, 1, camera.height))
        scale = self._focal / camera.focal
        turned = (yaw - camera.yaw) * self._focal
        to_sky = np.array(
            [
                [scale, 0.0, self._centre - turned - scale * camera.centre_u],
                [0.0, scale, self._base - scale * camera.horizon_v],
            ]
        )
        canvas.pixels[:rows] = cv2.warpAffine(
            self._picture,
            to_sky,
            (camera.width, rows),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )


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

    def draw(self, canvas: Canvas, camera: Camera, driven: float, top: int, surface: int) -> None:
        """Fill the canvas from image row `top` down."""
        if canvas.surfaces is not None:
            canvas.surfaces.numbers[top:] = surface
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


def draw_markings(
    canvas: Canvas, camera: Camera, world: World, driven: float, surface: int
) -> None:
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
    canvas.fill_all(outlines, [value] * len(outlines), [surface] * len(outlines))


def in_street(z: np.ndarray, driven: float, behind: float) -> np.ndarray:
    """Distance ahead of the camera of things fixed at z along the repeating street."""
    return (z - driven + behind) % STREET_M - behind
