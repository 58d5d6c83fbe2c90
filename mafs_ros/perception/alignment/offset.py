"""How far a registered thermal image lies beside the RGB image: by the edges of both.

    surfaces = sum(offset_surface(rgb, thermal) for rgb, thermal in pairs)
    offset = measure_offset(surfaces, rgb.shape[1])

The surfaces of some frames are added before the peak is looked for: that of one frame is off by
1 to 2 pixels, that of 8 by less than one. Frames a second apart tell more than neighbours do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.perception.alignment.orientation import orientation

Surface = NDArray[np.float32]
WIDTH = 320  # pixels that the images are reduced to
REACH = 8  # pixels of the reduced image: 16 of an image 640 wide
_MARGIN = 8  # pixels at the border of the reduced image that do not count
_APART = 3  # pixels from the peak, from which on another place is another one


@dataclass(frozen=True)
class Offset:
    """Where the thermal image lies.

    dx, dy: pixels of the RGB image from where something is in it to where it is in the thermal
    image on it: dx above 0, the thermal image lies too far right. certainty: 0 to 1, how far the
    peak stands above the next best place; 0 also where the peak is at the edge of what was
    searched, so that the offset may be larger.
    """

    dx: float
    dy: float
    certainty: float

    @property
    def length(self) -> float:
        return float(np.hypot(self.dx, self.dy))


def offset_surface(
    rgb: NDArray[Any], thermal: NDArray[Any], seen: NDArray[Any] | None = None
) -> Surface:
    """Agreement of the edges at each shift of the thermal image.

    rgb: uint8 [H, W] or [H, W, 3]; thermal: uint8 [H, W], registered; seen: [H, W], 0 where the
    thermal camera sees nothing. Returns float32 [2 REACH + 1, 2 REACH + 1], shift (0, 0) in the
    middle. Some 8 ms for 640x480. Raises ValueError for images of different sizes.
    """
    if rgb.shape[:2] != thermal.shape[:2]:
        raise ValueError(
            f"expected a thermal image of the size of the RGB image, {list(rgb.shape[:2])}, got "
            f"{list(thermal.shape[:2])}: register it first"
        )
    size = WIDTH, max(round(WIDTH * rgb.shape[0] / rgb.shape[1]), 4 * _MARGIN)
    reduced = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(reduced, cv2.COLOR_RGB2GRAY) if reduced.ndim == 3 else reduced
    counted = np.zeros(size[::-1], np.float32)
    counted[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = 1
    ours = orientation(grey) * counted[..., None]
    if seen is not None:
        there = cv2.resize((seen != 0).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        counted *= cv2.erode((there > 0.999).astype(np.float32), np.ones((5, 5)))
    theirs = orientation(cv2.resize(thermal, size, interpolation=cv2.INTER_AREA), counted)
    spectrum = cv2.mulSpectrums(cv2.dft(theirs), cv2.dft(ours), 0, conjB=True)
    agreement = cv2.dft(spectrum, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)[..., 0]
    wrapped = np.roll(agreement, (REACH, REACH), (0, 1))
    return np.ascontiguousarray(wrapped[: 2 * REACH + 1, : 2 * REACH + 1])


def measure_offset(surface: Surface, rgb_width: int) -> Offset:
    """The offset at the peak of one surface of `offset_surface`, or of a sum of them.

    rgb_width: pixels, of the images that the surface is of. The peak is found to a part of a
    pixel, by a parabola.
    """
    smooth = cv2.GaussianBlur(surface, (0, 0), 0.7, borderType=cv2.BORDER_REPLICATE)
    y, x = np.unravel_index(int(smooth.argmax()), smooth.shape)
    scale = rgb_width / WIDTH
    if not (0 < x < 2 * REACH and 0 < y < 2 * REACH):
        return Offset(scale * (int(x) - REACH), scale * (int(y) - REACH), 0.0)
    dx = x - REACH + _top(*smooth[y, x - 1 : x + 2])
    dy = y - REACH + _top(*smooth[y - 1 : y + 2, x])
    rows, columns = np.indices(smooth.shape)
    elsewhere = smooth[(rows - y) ** 2 + (columns - x) ** 2 > _APART**2]
    height = smooth[y, x] - np.median(smooth)
    certainty = (smooth[y, x] - elsewhere.max()) / height if height > 0 else 0.0
    return Offset(scale * float(dx), scale * float(dy), float(np.clip(certainty, 0, 1)))


def _top(before: float, at: float, after: float) -> float:
    """Where the parabola through three values at -1, 0, 1 has its top."""
    bend = before - 2 * at + after
    return 0.5 * float(before - after) / float(bend) if bend < 0 else 0.0
