"""What the two cameras make of the scene: glare, tone and noise; microbolometer blur and drift."""

from __future__ import annotations

import cv2
import numpy as np

from mafs_ros.simulation.canvas import COLDEST, THERMAL_MASK, WHITE

GLARE_SHRINK = 4
NOISE_MARGIN = 61


def _tile(rng: np.random.Generator, height: int, width: int, planes: int) -> np.ndarray:
    """Noise of deviation 1 that frames cut their windows from."""
    shape = (height + NOISE_MARGIN, width + NOISE_MARGIN, planes)
    return rng.standard_normal(shape, np.float32)


def _window(tile: np.ndarray, number: int, height: int, width: int) -> np.ndarray:
    row, col = (number * 37) % NOISE_MARGIN, (number * 23 + number // NOISE_MARGIN) % NOISE_MARGIN
    return tile[row : row + height, col : col + width]


class RgbSensor:
    """Linear light to 8 bit: lens blur, bloom of what is brighter than white, tone, noise."""

    def __init__(self, rng: np.random.Generator, height: int, width: int, night: bool, wet: float):
        self._night = night
        self._wet = wet
        sigma = rng.uniform(2.0, 5.5) if night else rng.uniform(0.8, 2.0)
        tile = _tile(rng, height, width, 3)
        grey = tile.mean(axis=2, keepdims=True) * 1.2
        self._noise = np.rint((0.6 * tile + grey) * sigma).astype(np.int16)
        self._bloom = rng.uniform(0.5, 1.6)
        v, u = np.mgrid[0:height, 0:width].astype(np.float32)
        radius = np.hypot((u - width / 2) / width, (v - height / 2) / height)
        gain = (1.0 - rng.uniform(0.2, 0.6) * radius**2) * 255.0**2 / WHITE
        cast = rng.uniform(0.9, 1.1, 3) * (rng.uniform(0.35, 1.0) if night else 1.0)
        if night:
            cast = cast * [0.95, 1.06, 0.92]  # cheap sensors turn greenish in the dark
        self._gain = (gain[..., None] * cast).astype(np.float32)
        self._softness = float(rng.uniform(0.6, 1.1))

    def __call__(self, light: np.ndarray, horizon: float, number: int) -> np.ndarray:
        """Image uint8 [H, W, 3] of linear light uint16 [H, W, 4] (fourth channel unused)."""
        height, width = light.shape[:2]
        if self._night:
            light = cv2.add(light, self._glare(light, horizon))
        light = cv2.cvtColor(light, cv2.COLOR_BGRA2BGR)
        exposed = cv2.multiply(light, self._gain, dtype=cv2.CV_32F)
        image = cv2.convertScaleAbs(cv2.sqrt(exposed))
        image = cv2.GaussianBlur(image, (3, 3), self._softness)
        noise = _window(self._noise, number, height, width)
        return cv2.add(image, noise, dtype=cv2.CV_8U)

    def _glare(self, light: np.ndarray, horizon: float) -> np.ndarray:
        height, width = light.shape[:2]
        small = (-(-width // GLARE_SHRINK), -(-height // GLARE_SHRINK))
        above = (WHITE, WHITE, WHITE, 65535)
        excess = cv2.subtract(light, above)  # type: ignore[call-overload]
        excess = cv2.resize(excess, small, interpolation=cv2.INTER_AREA).astype(np.float32)
        scale = small[0] / 160.0
        near = cv2.GaussianBlur(excess, (0, 0), 1.3 * scale)
        tiny = cv2.resize(excess, (max(small[0] // 4, 2), max(small[1] // 4, 2)),
                          interpolation=cv2.INTER_AREA)  # fmt: skip
        wide = cv2.resize(cv2.GaussianBlur(tiny, (0, 0), 2.6 * scale), small)
        glow = self._bloom * (1.4 * near + 3.0 * wide)
        if self._wet > 0.0:
            glow += self._reflection(near, horizon / GLARE_SHRINK)
        return cv2.resize(np.clip(glow, 0, 65535).astype(np.uint16), (width, height))

    def _reflection(self, glow: np.ndarray, horizon: float) -> np.ndarray:
        """Lights mirrored in a wet road, drawn out lengthwise."""
        rows, cols = glow.shape[:2]
        flip = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 2.0 * horizon]])
        mirrored = cv2.warpAffine(glow, flip, (cols, rows))
        mirrored[: int(np.clip(horizon + 1, 0, rows))] = 0.0
        drawn = cv2.GaussianBlur(mirrored, (0, 0), sigmaX=0.8 * cols / 160, sigmaY=rows / 12)
        return self._wet * 3.0 * drawn


class ThermalSensor:
    """Scene temperature to centikelvin counts: blur, noise (NETD), columns, warm corners."""

    def __init__(self, rng: np.random.Generator, height: int, width: int):
        self._blur = float(rng.uniform(0.6, 1.2) * max(width / 640.0, 0.6))
        self._noise = np.rint(_tile(rng, height, width, 1)[..., 0] * rng.uniform(3.5, 7.0))
        self._noise = self._noise.astype(np.int16)
        columns = rng.normal(0.0, rng.uniform(1.0, 3.0), (1, width))
        pixels = rng.normal(0.0, 1.5, (height, width))
        v, u = np.mgrid[0:height, 0:width]
        radius = np.hypot((u - width / 2) / width, (v - height / 2) / height)
        corners = rng.uniform(-40.0, 40.0) * radius**2
        self._pattern = np.rint(columns + pixels + corners + COLDEST).astype(np.uint16)

    def __call__(self, heat: np.ndarray, number: int) -> np.ndarray:
        """Image uint16 [H, W] in centikelvin of the canvas's fourth channel."""
        height, width = heat.shape
        seen = cv2.GaussianBlur(heat & np.uint16(THERMAL_MASK), (5, 5), self._blur)
        seen = cv2.add(seen, self._pattern)
        return cv2.add(seen, _window(self._noise, number, height, width), dtype=cv2.CV_16U)
