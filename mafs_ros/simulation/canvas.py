"""The picture under construction: linear light, temperature and label of every pixel.

One uint16 array [H, W, 4] holds red, green, blue (linear light, WHITE is a white surface in full
light, more is glare) and a fourth channel with the temperature in the low 14 bits (centikelvin
above COLDEST) and the label in the high 2. Every shape is drawn once into all of it, so the edges
of colour, temperature and label agree to the pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from mafs_ros.simulation.surfaces import Surfaces

WHITE = 12000
COLDEST = 22000
LABEL_SHIFT = 14
THERMAL_MASK = (1 << LABEL_SHIFT) - 1
CAR, PERSON, BIKE = 1, 2, 3

# Five directions over half a turn: the round end of a limb.
_HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 5)


def pack(
    colours: np.ndarray, kelvin: np.ndarray | float, labels: np.ndarray | int = 0
) -> np.ndarray:
    """Pixel values uint16 [..., 4] of linear colours [..., 3] (1 = white), kelvin and labels."""
    colours = np.asarray(colours, np.float32)
    values = np.empty(colours.shape[:-1] + (4,), np.uint16)
    values[..., :3] = np.clip(colours * WHITE, 0, 65535)
    centi = np.asarray(kelvin, np.float32) * 100.0 - COLDEST
    centi = np.clip(centi, 0, THERMAL_MASK).astype(np.uint16)
    values[..., 3] = centi | (np.uint16(labels) << LABEL_SHIFT)
    return values


def pack_one(colour: np.ndarray | list, kelvin: float) -> tuple[int, int, int, int]:
    """Pixel value of one unlabelled linear colour [3] and kelvin."""
    red, green, blue = (min(max(int(c * WHITE), 0), 65535) for c in colour)
    return red, green, blue, min(max(int(kelvin * 100.0) - COLDEST, 0), THERMAL_MASK)


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


def sixteenths(pixels: np.ndarray) -> np.ndarray:
    """Pixel positions as the int32 sixteenths that the rasteriser takes."""
    return np.rint(pixels * 16.0).astype(np.int32)


def hull(points: np.ndarray) -> np.ndarray:
    """Convex outline [M, 2] of points [N, 2]."""
    return cv2.convexHull(points.astype(np.float32))[:, 0]


class Haze:
    """What the air adds to far things: its own light [3] and kelvin; and how far one can see."""

    def __init__(
        self, height: int, width: int, light: np.ndarray, kelvin: float, visibility_m: float
    ):
        self.light = light.astype(np.float32)
        self.kelvin = float(kelvin)
        self.visibility_m = visibility_m
        self.picture = np.tile(pack(self.light, kelvin), (height, width, 1))


class Canvas:
    """Draws hard-edged shapes with 1/16 pixel accuracy; far haze included.

    surfaces: takes note of what is drawn where; each shape says by number on which plane it lies.
    """

    def __init__(self, haze: Haze, surfaces: Surfaces | None = None):
        self.pixels = np.empty_like(haze.picture)
        self.surfaces = surfaces
        self._haze = haze

    def flat(
        self, points: np.ndarray, normals: np.ndarray, reach: np.ndarray | float
    ) -> list[int]:
        """Numbers of the planes of N shapes, as `Surfaces.add`; zeros where nobody asks."""
        if self.surfaces is None:
            return [0] * len(points)
        return self.surfaces.add(points, normals, np.broadcast_to(reach, len(points)))

    def upright(self, corner: np.ndarray, along: np.ndarray) -> int:
        """Number of the upright plane through a world point [3] and along a level vector [3]."""
        if self.surfaces is None:
            return 0
        normal = np.array([[along[2], 0.0, -along[0]]])
        reach = np.array([0.5 * np.hypot(along[0], along[2])])
        return self.surfaces.add((corner + 0.5 * along)[None], normal, reach)[0]

    def clearness(self, depth: np.ndarray | float) -> np.ndarray:
        """Share 0..1 of a thing's own light and heat that reaches the camera from depth m."""
        return np.exp(-np.asarray(depth, np.float32) / self._haze.visibility_m)

    def values(
        self, colours: np.ndarray, kelvin: np.ndarray, labels: np.ndarray | int, depth: np.ndarray
    ) -> np.ndarray:
        """Pixel values uint16 [N, 4] for colours [N, 3], faded by haze over depth [N] m."""
        clear = self.clearness(depth)
        faded = colours * clear[:, None] + self._haze.light * (1.0 - clear)[:, None]
        return pack(faded, kelvin * clear + self._haze.kelvin * (1.0 - clear), labels)

    def fill(self, outline: np.ndarray, value: list, surface: int) -> None:
        """Fill one convex outline [N, 2], pixels; nothing where N < 3."""
        if len(outline) > 2:
            self.fill_all([sixteenths(outline)], [value], [surface])

    def fill_all(
        self, outlines: Iterable[np.ndarray], values: list, surfaces: Sequence[int]
    ) -> None:
        """Fill convex outlines given in `sixteenths`, the later over the earlier."""
        outlines = list(outlines)
        for outline, value in zip(outlines, values, strict=True):
            cv2.fillConvexPoly(self.pixels, outline, value, cv2.LINE_8, 4)
        if self.surfaces is not None:
            for outline, surface in zip(outlines, surfaces, strict=True):
                cv2.fillConvexPoly(self.surfaces.numbers, outline, (surface,), cv2.LINE_8, 4)

    def ring(self, outline: np.ndarray, thickness: int, value: list, surface: int) -> None:
        """Draw the closed line along an outline [N, 2], pixels."""
        line = [sixteenths(outline)], True
        cv2.polylines(self.pixels, *line, value, thickness, cv2.LINE_8, 4)
        if self.surfaces is not None:
            cv2.polylines(self.surfaces.numbers, *line, (surface,), thickness, cv2.LINE_8, 4)

    def veil(self, outline: np.ndarray, label: int) -> None:
        """Label what is already drawn inside a convex outline, and darken it by an eighth.

        Its depth stays that of what shows through.
        """
        box = self._box(outline)
        if box is None:
            return
        x0, y0, x1, y1 = box
        part = self.pixels[y0:y1, x0:x1]
        changed = part - (part >> 3)
        changed[..., 3] = (part[..., 3] & THERMAL_MASK) | (label << LABEL_SHIFT)
        cv2.copyTo(changed, self._mask(outline, box), part)

    def picture(
        self,
        levels: list[np.ndarray],
        to_pixels: np.ndarray,
        outline: np.ndarray,
        depth: float,
        texels: float,
        surface: int,
        masks: list[np.ndarray] | None = None,
        light: np.ndarray | None = None,
    ) -> None:
        """Draw a flat picture seen in perspective.

        levels: the picture uint16 [h, w, 4] and its halvings; to_pixels: homography [3, 3] from
        the finest level to pixels; outline: where to draw, pixels [N, 2]; texels: how many of the
        finest level one pixel covers; masks: uint8 [h, w] and halvings, drawn where above 127;
        light: colour factors [3].
        """
        box = self._box(outline)
        if box is None:
            return
        x0, y0, x1, y1 = box
        size = (x1 - x0, y1 - y0)
        i = min(max(round(math.log2(max(texels, 1e-3))), 0), len(levels) - 1)
        # (column, row) of level i to the box's pixels.
        matrix = to_pixels * (1 << i, 1 << i, 1.0)
        matrix[:2] -= np.outer((x0, y0), matrix[2])
        source = levels[i]
        clear = math.exp(-depth / self._haze.visibility_m)
        small_source = source.size < size[0] * size[1] * 4
        if small_source:
            source = self._faded(source, clear, light)
        drawn = cv2.warpPerspective(
            source, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        if not small_source:
            drawn = self._faded(drawn, clear, light)
        if masks is None:
            mask = self._mask(outline, box)
        else:
            mask = cv2.warpPerspective(masks[i], matrix, size, flags=cv2.INTER_LINEAR)
            mask = cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY)[1]
        cv2.copyTo(drawn, mask, self.pixels[y0:y1, x0:x1])
        if self.surfaces is not None:
            self.surfaces.numbers[y0:y1, x0:x1][mask > 0] = surface

    def _faded(self, picture: np.ndarray, clear: float, light: np.ndarray | None) -> np.ndarray:
        """A picture no larger than the canvas under this light, `clear` of it through haze."""
        if light is not None:
            mix = np.diag([*(clear * light), clear])
            haze = (1.0 - clear) * self._haze.picture[0, :1].T
            return cv2.transform(picture, np.hstack([mix, haze]))
        if clear > 0.97:
            return picture
        rows, cols = picture.shape[:2]
        haze = self._haze.picture.reshape(-1, 4)[: rows * cols].reshape(rows, cols, 4)
        return cv2.addWeighted(picture, clear, haze, 1.0 - clear, 0.0)

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
        cv2.fillConvexPoly(mask, sixteenths(outline - (x0, y0)), 255, cv2.LINE_8, 4)
        return mask
