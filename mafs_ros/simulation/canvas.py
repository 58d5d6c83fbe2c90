"""The picture under construction: linear light, temperature and label of every pixel.

One uint16 array [H, W, 4] holds red, green, blue (linear light, WHITE is a white surface in full
light, more is glare) and a fourth channel with the temperature in the low 14 bits (centikelvin
above COLDEST) and the label in the high 2. Every shape is drawn once into all of it, so the edges
of colour, temperature and label agree to the pixel.
"""

from __future__ import annotations

import cv2
import numpy as np

WHITE = 12000
COLDEST = 22000
LABEL_SHIFT = 14
THERMAL_MASK = (1 << LABEL_SHIFT) - 1
CAR, PERSON, BIKE = 1, 2, 3

# Five directions over half a turn: the round end of a limb.
_HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 5)


def pack(colours: np.ndarray, kelvin: np.ndarray | float, label: int = 0) -> np.ndarray:
    """Pixel values uint16 [..., 4] of linear colours [..., 3] (1 = white), kelvin and a label."""
    colours = np.asarray(colours, np.float32)
    values = np.empty(colours.shape[:-1] + (4,), np.uint16)
    values[..., :3] = np.clip(colours * WHITE, 0, 65535)
    centi = np.clip(np.asarray(kelvin) * 100.0 - COLDEST, 0, THERMAL_MASK).astype(np.uint16)
    values[..., 3] = centi | (label << LABEL_SHIFT)
    return values


def capsules(
    start: np.ndarray, end: np.ndarray, start_radius: np.ndarray, end_radius: np.ndarray
) -> np.ndarray:
    """Outlines [N, 10, 2] of limbs with round ends from start [N, 2] to end [N, 2], in pixels."""
    along = np.arctan2(end[:, 1] - start[:, 1], end[:, 0] - start[:, 0])[:, None]
    back = along + np.pi + _HALF_TURN
    front = along + _HALF_TURN
    first = np.stack([np.cos(back), np.sin(back)], -1) * start_radius[:, None, None]
    last = np.stack([np.cos(front), np.sin(front)], -1) * end_radius[:, None, None]
    return np.concatenate([start[:, None] + first, end[:, None] + last], axis=1)


def hull(points: np.ndarray) -> np.ndarray:
    """Convex outline [M, 2] of points [N, 2]."""
    return cv2.convexHull(points.astype(np.float32))[:, 0]


class Canvas:
    """Draws hard-edged shapes with 1/16 pixel accuracy; far haze included."""

    def __init__(self, height: int, width: int, haze: np.ndarray, visibility_m: float):
        self.pixels = np.zeros((height, width, 4), np.uint16)
        self._haze = haze.astype(np.float32)
        self._visibility = visibility_m

    def clearness(self, depth: np.ndarray | float) -> np.ndarray:
        """Share 0..1 of a thing's own light and heat that reaches the camera from depth m."""
        return np.exp(-np.asarray(depth, np.float32) / self._visibility)

    def values(
        self,
        colours: np.ndarray,
        kelvin: np.ndarray | float,
        label: int,
        depth: np.ndarray | float,
    ) -> list:
        """Pixel values for `fill`, faded by haze: a list of 4-lists for colours [N, 3]."""
        clear = self.clearness(depth)[..., None]
        faded = colours * clear + self._haze[:3] * (1.0 - clear)
        warm = kelvin * clear[..., 0] + self._haze[3] * (1.0 - clear[..., 0])
        return pack(faded, warm, label).tolist()

    def fill(self, outline: np.ndarray, value: list) -> None:
        """Fill a convex outline [N, 2] in pixels."""
        if len(outline) > 2:
            points = np.rint(outline * 16).astype(np.int32)
            cv2.fillConvexPoly(self.pixels, points, value, cv2.LINE_8, 4)

    def fill_any(self, outline: np.ndarray, value: list) -> None:
        """Fill an outline [N, 2] that may have notches."""
        if len(outline) > 2:
            points = np.rint(outline * 16).astype(np.int32)
            cv2.fillPoly(self.pixels, [points], value, cv2.LINE_8, 4)

    def fill_all(self, outlines: np.ndarray, values: list) -> None:
        """Fill convex outlines [N, M, 2], the later over the earlier."""
        points = np.rint(outlines * 16).astype(np.int32)
        for outline, value in zip(points, values, strict=True):
            cv2.fillConvexPoly(self.pixels, outline, value, cv2.LINE_8, 4)

    def relabel(self, outline: np.ndarray, label: int, dim: float = 1.0) -> None:
        """Give what is already drawn inside a convex outline a label; optionally darken it."""
        box = self._box(outline)
        if box is None:
            return
        x0, y0, x1, y1 = box
        inside = self._mask(outline, box).astype(bool)
        part = self.pixels[y0:y1, x0:x1]
        heat = part[..., 3]
        heat[inside] = (heat[inside] & THERMAL_MASK) | (label << LABEL_SHIFT)
        if dim < 1.0:
            part[..., :3][inside] = (part[..., :3][inside] * dim).astype(np.uint16)

    def picture(
        self,
        levels: list[np.ndarray],
        to_pixels: np.ndarray,
        outline: np.ndarray,
        depth: float,
        mask_levels: list[np.ndarray] | None = None,
        light: np.ndarray | None = None,
    ) -> None:
        """Draw a flat picture seen in perspective.

        levels: the picture uint16 [h, w, 4] and its halvings; to_pixels: homography from the
        finest level to pixels; outline: where to draw, pixels [N, 2]; mask_levels: uint8 masks
        of the picture, drawn where above 127; light: colour factors [3].
        """
        box = self._box(outline)
        if box is None:
            return
        x0, y0, x1, y1 = box
        size = (x1 - x0, y1 - y0)
        level = self._level(levels, to_pixels, outline)
        scale = np.diag([float(1 << level), float(1 << level), 1.0])
        shift = np.array([[1.0, 0.0, -x0], [0.0, 1.0, -y0], [0.0, 0.0, 1.0]])
        matrix = shift @ to_pixels @ scale
        drawn = cv2.warpPerspective(
            levels[level], matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        clear = float(self.clearness(depth))
        factors = np.full(4, clear)
        if light is not None:
            factors[:3] *= light
        if light is not None or clear < 0.97:
            haze = pack(self._haze[:3], self._haze[3]) * (1.0 - clear)
            cv2.multiply(drawn, tuple(factors.tolist()), drawn)
            cv2.add(drawn, tuple(haze.tolist()), drawn)
        if mask_levels is None:
            mask = self._mask(outline, box)
        else:
            mask = cv2.warpPerspective(mask_levels[level], matrix, size, flags=cv2.INTER_LINEAR)
            mask = cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY)[1]
        cv2.copyTo(drawn, mask, self.pixels[y0:y1, x0:x1])

    def _box(self, outline: np.ndarray) -> tuple[int, int, int, int] | None:
        if len(outline) < 3:
            return None
        height, width = self.pixels.shape[:2]
        x0, y0 = np.floor(outline.min(axis=0)).astype(int)
        x1, y1 = np.ceil(outline.max(axis=0)).astype(int) + 1
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
        return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def _mask(self, outline: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
        x0, y0, x1, y1 = box
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        points = np.rint((outline - (x0, y0)) * 16).astype(np.int32)
        cv2.fillConvexPoly(mask, points, 255, cv2.LINE_8, 4)
        return mask

    def _level(self, levels: list[np.ndarray], to_pixels: np.ndarray, outline: np.ndarray) -> int:
        # How many texels one pixel covers in the middle of what is drawn.
        middle = outline.mean(axis=0)
        steps = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]) + middle
        texels = cv2.perspectiveTransform(steps[None], np.linalg.inv(to_pixels))[0]
        (a, b), (c, d) = texels[1:] - texels[0]
        cover = max(np.sqrt(abs(a * d - b * c)), 1e-3)
        return int(np.clip(np.rint(np.log2(cover)), 0, len(levels) - 1))
