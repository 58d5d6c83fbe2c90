"""Cases with a known homography: aligned pairs seen by two cameras that are not aligned.

A view of 640x480 and a thermal view, turned, shifted and wider or narrower, are laid into each
aligned frame as large as they fit, and what they see is rendered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import cv2
import numpy as np

from mafs_ros.commands.calibrate.method.frames import Frame, Grey, frame_of
from mafs_ros.commands.calibrate.method.geometry import centre, corners, moved, shifted
from mafs_ros.images.files.folders import Pair, pair_folders
from mafs_ros.images.files.read import read_rgb, read_thermal
from mafs_ros.perception.registration.numbers import Matrix, Size

RGB_SIZE: Size = (480, 640)
THERMAL_SIZES: tuple[Size, ...] = ((256, 320), (120, 160), (512, 640), (288, 384))
LARGEST_SCALE = 1.02  # images that are smaller than their set's frame are left out


@dataclass(frozen=True)
class AlignedSet:
    """folder: with vi and ir, below the data folder; names: of the pairs; size: of the frames.

    shrunk: whether larger images are reduced to that size, else they are cut to it.
    """

    folder: str
    names: str
    size: Size
    shrunk: bool = False


SETS = {
    "street_day": AlignedSet("street_rgbt/train", "*D", (480, 640)),
    "street_night": AlignedSet("street_rgbt/train", "*N", (480, 640)),
    "road": AlignedSet("fusion_pairs/roadscene", "*", (320, 480)),
    "flir": AlignedSet("fusion_pairs/flir_aligned", "*", (512, 640)),
    "drone": AlignedSet("drone_sequence", "*", (512, 640)),
    "tno": AlignedSet("fusion_pairs/tno", "*", (336, 448), shrunk=True),
}


@dataclass(frozen=True)
class Views:
    """rgb: pixels of the RGB view to those of the aligned frame; homography: thermal to RGB
    pixels; sizes of both."""

    rgb: Matrix
    homography: Matrix
    thermal_size: Size


def pairs_of(data: Path, chosen: AlignedSet) -> list[Pair]:
    """The pairs of a set; raises OSError or ValueError."""
    folder = data / chosen.folder
    return [p for p in pair_folders(folder / "vi", folder / "ir") if fnmatch(p[0], chosen.names)]


def read_aligned(pair: Pair, chosen: AlignedSet) -> tuple[Grey, Grey] | None:
    """RGB and thermal image cut to the set's size about their middle; None for those too small."""
    rgb, thermal = read_rgb(pair[1]), read_thermal(pair[2])
    size = chosen.size
    scale = max(size[0] / rgb.shape[0], size[1] / rgb.shape[1], 0 if chosen.shrunk else 1)
    if rgb.shape[:2] != thermal.shape or scale > LARGEST_SCALE or thermal.dtype != np.uint8:
        return None
    return _cut(rgb, scale, size), _cut(thermal, scale, size)


def draw_views(size: Size, rng: np.random.Generator, thermal_size: Size | None = None) -> Views:
    """Random views in aligned frames of `size`; thermal_size: None for one of THERMAL_SIZES."""
    drawn = THERMAL_SIZES[rng.integers(len(THERMAL_SIZES))]
    thermal_size = thermal_size or drawn
    ratio = np.exp(rng.uniform(np.log(0.7), np.log(1.4)))
    angle = np.deg2rad(rng.uniform(-4, 4))
    right = rng.uniform(-0.15, 0.15) * RGB_SIZE[1]
    down = rng.uniform(-0.1, 0.1) * RGB_SIZE[0]
    scale = ratio * RGB_SIZE[1] / thermal_size[1]
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    bent = np.eye(3)
    bent[2, :2] = rng.uniform(-0.04, 0.04, 2) / np.array(thermal_size[::-1])
    x, y = centre(thermal_size)
    middle = centre(RGB_SIZE)
    homography = shifted(middle[0] + right, middle[1] + down) @ turned @ bent @ shifted(-x, -y)
    homography /= homography[2, 2]
    return Views(_fitted(homography, thermal_size, size), homography, thermal_size)


def seen(aligned: tuple[Grey, Grey], views: Views, name: str) -> Frame:
    """What the two cameras see of an aligned frame."""
    rgb = _rendered(aligned[0], views.rgb, RGB_SIZE)
    thermal = _rendered(aligned[1], views.rgb @ views.homography, views.thermal_size)
    return frame_of(name, rgb, thermal)


def corrected(views: Views, residual: Matrix) -> Matrix:
    """The true homography where the frames themselves are off by `residual`, which takes thermal
    to RGB pixels of the aligned frame."""
    true = np.linalg.inv(views.rgb) @ residual @ views.rgb @ views.homography
    return np.asarray(true / true[2, 2])


def _fitted(homography: Matrix, thermal_size: Size, size: Size) -> Matrix:
    """From RGB pixels to those of a frame of `size` that holds both views."""
    both = np.concatenate([moved(homography, corners(thermal_size)), corners(RGB_SIZE)])
    low, high = both.min(0), both.max(0)
    scale = float(((np.array(size[::-1]) - 1) / (high - low)).min())
    x, y = np.array(centre(size)) - scale * (low + high) / 2
    return np.array([[scale, 0, x], [0, scale, y], [0, 0, 1]])


def _rendered(image: Grey, to_frame: Matrix, size: Size) -> Grey:
    """A view of a frame; where its pixels are larger than the frame's, their mean."""
    x, y = centre(size)
    first, second = moved(to_frame, [[x, y], [x + 1, y]])
    finer = max(int(np.ceil(np.linalg.norm(second - first))), 1)
    part = np.array(
        [[1 / finer, 0, (1 / finer - 1) / 2], [0, 1 / finer, (1 / finer - 1) / 2], [0, 0, 1]]
    )
    large = cv2.warpPerspective(
        image,
        to_frame @ part,
        (size[1] * finer, size[0] * finer),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if finer == 1:
        return np.asarray(large, np.uint8)
    return np.asarray(cv2.resize(large, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _cut(image: Grey, scale: float, size: Size) -> Grey:
    if scale != 1:
        image = np.asarray(
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        )
    top, left = (image.shape[0] - size[0]) // 2, (image.shape[1] - size[1]) // 2
    return image[top : top + size[0], left : left + size[1]]


def drawn(items: Sequence[Pair], count: int, rng: np.random.Generator) -> list[Pair]:
    """`count` of the pairs in random order."""
    return [items[index] for index in rng.permutation(len(items))[:count]]
