"""A watch on the registration: how far the thermal images of the last seconds lie beside the RGB.

One frame is off by 1 to 2 pixels, and neighbouring frames err alike. So the surfaces of FRAMES
frames, each PERIOD_S after the one before, are added.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.perception.alignment.offset import Offset, Surface, measure_offset, offset_surface

FRAMES = 8
PERIOD_S = 1.0
CERTAIN = 0.1  # aligned pairs of five cameras had .12 or more, most pairs of other moments less


class OffsetWatch:
    """The offset of the newest FRAMES frames; `offset` is None until there are as many.

    due: whether a frame of that time (seconds, of any one clock) would be taken by `add`. Images
    of another size, and a clock that goes back, begin anew.
    """

    def __init__(self) -> None:
        self.offset: Offset | None = None
        self._surfaces: deque[Surface] = deque(maxlen=FRAMES)
        self._size: tuple[int, ...] = ()
        self._last_s: float | None = None

    def due(self, now_s: float) -> bool:
        return self._last_s is None or not 0 <= now_s - self._last_s < PERIOD_S

    def add(self, rgb: NDArray[Any], thermal: NDArray[np.uint8], now_s: float) -> None:
        """Measure a frame: rgb [H, W, 3], thermal [H, W] registered to it, 0 where nothing is."""
        if self._size != rgb.shape or (self._last_s is not None and now_s < self._last_s):
            self._surfaces.clear()
            self.offset = None
        self._size, self._last_s = rgb.shape, now_s
        self._surfaces.append(offset_surface(rgb, thermal, thermal))
        if len(self._surfaces) == FRAMES:
            self.offset = measure_offset(np.sum(self._surfaces, axis=0), rgb.shape[1])


def advice(offset: Offset, warn_px: float) -> str:
    """What to do about an offset, '' where it is below `warn_px` or not certain."""
    if offset.length < warn_px or offset.certainty < CERTAIN:
        return ""
    return (
        f"the thermal image lies {offset.length:.1f} pixels {direction(offset)} of where the RGB "
        "image shows the same things: a camera has moved, or the registration is wrong or made "
        "for another distance; make it anew with mafs calibrate"
    )


def direction(offset: Offset) -> str:
    """Where the thermal image lies, such as 'right and below', '' for an offset of 0."""
    words = []
    for value, ways in ((offset.dx, ("left", "right")), (offset.dy, ("above", "below"))):
        if abs(value) >= 0.4 * offset.length and value:
            words.append(ways[value > 0])
    return " and ".join(words)
