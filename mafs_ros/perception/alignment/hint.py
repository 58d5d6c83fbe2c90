"""Whether images that no registration was given for need one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.perception.alignment.offset import measure_offset, offset_surface

PAIRS = 8  # that are looked at; fewer tell too little
# Eight aligned pairs of five data sets have certainties of 0.31 to 0.51 and lie within 2.3 pixels
# of 640; unaligned ones (9 cases) 0 to 0.19, those above the limit 16 pixels apart.
LEAST_CERTAINTY = 0.16
LARGEST_OFFSET = 8.0 / 640  # of the width


class RegistrationHint:
    """Looks at PAIRS pairs and tells whether the thermal image lies on the RGB image."""

    def __init__(self) -> None:
        self._surface: NDArray[np.float32] | float = 0.0
        self._count = self._width = 0

    @property
    def complete(self) -> bool:
        return self._count >= PAIRS

    def add(self, rgb: NDArray[Any], thermal: NDArray[Any]) -> None:
        """Look at a pair: uint8 [H, W, 3] and [H, W], pairs of another size are left out."""
        if self.complete or self._width not in (0, rgb.shape[1]):
            return
        self._surface = self._surface + offset_surface(rgb, thermal)
        self._width = rgb.shape[1]
        self._count += 1

    def text(self) -> str:
        """A line where a registration is needed; '' where it is not or nobody can tell."""
        if not self.complete:
            return ""
        offset = measure_offset(np.asarray(self._surface, np.float32), self._width)
        if offset.certainty < LEAST_CERTAINTY:
            where = "agree at no small shift"
        elif offset.length > LARGEST_OFFSET * self._width:
            where = f"lie {offset.length:.0f} pixels apart"
        else:
            return ""
        return (
            f"no registration is given, and the edges of RGB and thermal images {where} "
            f"({PAIRS} pairs looked at): if the cameras do not see the same rectangle, "
            "`mafs calibrate` measures the registration_file"
        )
