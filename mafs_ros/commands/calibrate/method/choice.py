"""Which pairs of a drive are measured on."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.commands.calibrate.method.errors import CalibrationError
from mafs_ros.commands.calibrate.method.frames import Frame, reduced

CANDIDATES = 240  # pairs that are looked at
CHOSEN = 60  # pairs that are measured on, at most
FEWEST = 8
EDGE = 3.0  # grey levels per pixel at SIDE, from which on something is an edge
FEWEST_EDGES = 0.004  # share of an image
FLATTEST = 3.0  # grey levels: standard deviation of an image that shows next to nothing
STILL = 1.5  # grey levels: mean difference of two images in which nothing has moved
SIDE = 160


def choose_frames(frames: Sequence[Frame], count: int = CHOSEN) -> list[Frame]:
    """Of each part of the drive the pair with most edges in both images.

    frames: in the order of the drive. Those that show what the one before showed are left out.
    Raises CalibrationError where too little remains: few pairs, flat images, no edges, a drive
    that stands still.
    """
    if len(frames) < FEWEST:
        raise CalibrationError(
            f"there are {len(frames)} pairs, expected at least {FEWEST}, better {CHOSEN}: record "
            "a longer drive"
        )
    for camera in ("RGB", "thermal"):
        _check_contents(camera, [_image(frame, camera) for frame in frames])
    shares = [edge_share(frame.rgb) * edge_share(frame.thermal) for frame in frames]
    chosen: list[Frame] = []
    for part in np.array_split(np.arange(len(frames)), min(count, len(frames))):
        best = frames[max(part, key=lambda index: shares[index])]
        if not chosen or _has_moved(chosen[-1], best):
            chosen.append(best)
    if len(chosen) < FEWEST:
        raise CalibrationError(
            f"only {len(chosen)} of {len(frames)} pairs differ from the one before, expected at "
            f"least {FEWEST}: the cameras stand still; record while the robot drives or turns"
        )
    return chosen


def edge_share(image: NDArray[np.uint8]) -> float:
    """The share of the pixels that lie on an edge, 0 to 1, of the image at SIDE."""
    return float((_steepness(reduced(image, SIDE)) > EDGE).mean())


def _check_contents(camera: str, images: list[NDArray[np.uint8]]) -> None:
    small = [reduced(image, SIDE) for image in images]
    spread = float(np.median([image.std() for image in small]))
    if spread < FLATTEST:
        raise CalibrationError(
            f"the {camera} images are almost flat: their grey levels spread by {spread:.1f}, "
            f"expected {FLATTEST:g} at least; is the lens covered, the scene of one temperature, "
            "or the range of the thermal scaling too wide?"
        )
    share = float(np.median([edge_share(image) for image in small]))
    if share < FEWEST_EDGES:
        raise CalibrationError(
            f"there are too few edges in the {camera} images: {share:.2%} of their pixels, "
            f"expected {FEWEST_EDGES:.1%} at least; record where there are buildings, cars or "
            "trees, and check that the camera is in focus"
        )


def _image(frame: Frame, camera: str) -> NDArray[np.uint8]:
    return frame.rgb if camera == "RGB" else frame.thermal


def _steepness(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0)
    dx, dy = (cv2.Sobel(smooth, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(dx, dy))


def _has_moved(first: Frame, second: Frame) -> bool:
    differences = [
        cv2.absdiff(reduced(a, SIDE // 2), reduced(b, SIDE // 2)).mean()
        for a, b in ((first.rgb, second.rgb), (first.thermal, second.thermal))
    ]
    return max(differences) > STILL
