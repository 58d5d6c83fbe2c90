"""For which distances one homography holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

TOLERANCE_PX = 4.0


@dataclass(frozen=True)
class DepthRange:
    """Distances in metres between which things lie right within tolerance_px.

    farthest_m: inf where all that is far away lies right too. focal_px: of the RGB camera.
    """

    plane_m: float
    nearest_m: float
    farthest_m: float
    focal_px: float
    baseline_m: float
    tolerance_px: float = TOLERANCE_PX

    @property
    def farthest_text(self) -> str:
        return "infinity" if math.isinf(self.farthest_m) else f"{self.farthest_m:.1f} m"


def depth_range(focal_px: float, baseline_m: float, plane_m: float) -> DepthRange:
    """The range of a registration that is right at plane_m.

    Something at z is off by focal_px * baseline_m * |1/z - 1/plane_m| pixels. Raises ValueError
    for values that are not above 0.
    """
    if min(focal_px, baseline_m, plane_m) <= 0:
        raise ValueError(
            "focal length, baseline and distance must be above 0, got "
            f"{focal_px:g} px, {baseline_m:g} m, {plane_m:g} m"
        )
    allowed = TOLERANCE_PX / (focal_px * baseline_m)
    farthest = 1 / plane_m - allowed
    return DepthRange(
        plane_m,
        1 / (1 / plane_m + allowed),
        1 / farthest if farthest > 0 else math.inf,
        focal_px,
        baseline_m,
    )
