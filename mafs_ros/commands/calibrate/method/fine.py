"""The fine fit: from a homography that is a few pixels off to one that is right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mafs_ros.commands.calibrate.method.fit import SurfaceFit
from mafs_ros.commands.calibrate.method.frames import Frame
from mafs_ros.commands.calibrate.method.surfaces import cell_surfaces, in_units_of_noise
from mafs_ros.perception.registration.numbers import Matrix, rescaling

# Width in pixels, reach in pixels, stages. A level of 640 leads astray: at that size the parallax
# and the edges of the sensors themselves are stronger than what the cameras share.
LEVELS = (
    (160, 8, ((2, 2.0), (4, 1.0), (8, 0.5))),
    (320, 6, ((8, 1.0), (8, 0.5))),
)
RIDGE = 5e-3


def refine(frames: Sequence[Frame], homography: Matrix, ridge: float = RIDGE) -> Matrix:
    """The homography from thermal to RGB pixels of the frames that makes their edges agree best.

    homography: a start, at most some 30 pixels off at 640 of width.
    """
    before, last_width = np.zeros(8), 1.0
    for longest, reach, stages in LEVELS:
        surfaces, size = cell_surfaces(frames, homography, longest, reach)
        before *= size[1] / last_width
        moved, beside = SurfaceFit(in_units_of_noise(surfaces), size, ridge)(before, stages)
        before, last_width = before + moved, size[1]
        scale = rescaling(frames[0].rgb.shape, size)
        homography = np.linalg.inv(scale) @ np.linalg.inv(beside) @ scale @ homography
        homography = homography / homography[2, 2]
    return homography
