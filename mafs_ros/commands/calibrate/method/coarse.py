"""The coarse search: every ratio of the views, every small rotation, every shift.

The edges of some frames are compared at 128 pixels of width. All shifts are tried at once by
Fourier transforms, and the agreement of all frames is added up. The same with the frames of one
camera put out of step tells what chance alone would give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.commands.calibrate.method.frames import Frame, reduced
from mafs_ros.commands.calibrate.method.geometry import centre, shifted
from mafs_ros.perception.alignment.orientation import Edges, orientation
from mafs_ros.perception.registration.numbers import Matrix, rescaling

SIDE = 128  # pixels of the longer side of the RGB image
RATIOS = tuple(np.exp(np.arange(np.log(0.6), np.log(1.65) + 1e-9, 0.05)))
STEPS_AROUND = tuple(np.exp([-0.1, -0.05, 0, 0.05, 0.1]))  # where the focal lengths are known
ROTATIONS = tuple(np.arange(-8.0, 8.1, 2.0))  # degrees
FEWEST_TO_CENTRE = 5  # frames, from which on what all of them share is taken off
Values = NDArray[np.float32]


@dataclass(frozen=True)
class Peak:
    """The best place that was found. score: higher is better; homography: thermal to RGB pixels
    of the frames."""

    score: float
    ratio: float
    degrees: float
    homography: Matrix


@dataclass(frozen=True)
class Coarse:
    """What was found with all frames, with the first and the last half of them, and by chance.

    chance: the best with every RGB image put to the thermal image of another moment.
    """

    all: Peak
    halves: tuple[Peak, Peak]
    chance: Peak

    @property
    def evidence(self) -> float:
        """How many times better the pairs fit than images of different moments do."""
        return self.all.score / max(self.chance.score, 1e-9)


def coarse_search(
    frames: Sequence[Frame],
    ratios: Sequence[float] = RATIOS,
    rotations: Sequence[float] = ROTATIONS,
    least_overlap: float = 0.35,
    step: Callable[[], object] = lambda: None,
) -> Coarse:
    """Search the similarity between the cameras.

    frames: in the order of the drive, of one size. ratios: width of the thermal view by that of
    the RGB view, at equal shapes. least_overlap: of the smaller view. step: called after each
    ratio. Raises nothing: how good the best is, is told by its score.
    """
    images = [reduced(frame.rgb, SIDE) for frame in frames]
    rgb = _centred([orientation(image, sigma=0.7) for image in images])
    shape, view = images[0].shape, frames[0].thermal.shape
    to_frame = np.linalg.inv(rescaling(frames[0].rgb.shape, shape))
    found: list[list[Peak]] = []
    for ratio in ratios:
        scale = ratio * np.hypot(*shape) / np.hypot(*view)
        size = max(round(view[0] * scale), 8), max(round(view[1] * scale), 8)
        thermal = [orientation(_resized(f.thermal, size), sigma=0.7) for f in frames]
        search = _Search(rgb, _centred(thermal), max(map(abs, rotations)), least_overlap)
        from_frame = rescaling(view, size)
        for degrees in rotations:
            found.append(
                [
                    Peak(score, float(ratio), float(degrees), to_frame @ placed @ from_frame)
                    for score, placed in search.peaks(float(degrees))
                ]
            )
        step()
    best = [max(column, key=lambda peak: peak.score) for column in zip(*found, strict=True)]
    return Coarse(best[0], (best[1], best[2]), best[3])


class _Search:
    """All shifts and rotations at one ratio of the views.

    rgb, thermal: edges of the frames; most_degrees: the largest rotation.
    """

    def __init__(
        self, rgb: list[Edges], thermal: list[Edges], most_degrees: float, least_overlap: float
    ) -> None:
        self.thermal, self.least_overlap = thermal, least_overlap
        self.size = height, width = thermal[0].shape[0], thermal[0].shape[1]
        self.shape = rgb[0].shape[0], rgb[0].shape[1]
        cos, sin = np.cos(np.deg2rad(most_degrees)), np.sin(np.deg2rad(most_degrees))
        # Room for the view when it is turned, and for shifts to the left and upwards.
        self.canvas = int(height * cos + width * sin) + 1, int(width * cos + height * sin) + 1
        self.grid = tuple(
            cv2.getOptimalDFTSize(length + int(0.7 * own))
            for length, own in zip(self.canvas, self.shape, strict=True)
        )
        self.spectra = [self._spectrum(image) for image in rgb]
        self.energy = self._spectrum(_energy(rgb))
        self.area = self._spectrum(np.ones(self.shape, np.float32))

    def peaks(self, degrees: float) -> list[tuple[float, Matrix]]:
        """(score, homography from thermal to RGB pixels of these edges) at the best shift.

        Of all frames, of the first half, of the last half, and of frames out of step.
        """
        turn = self._turn(degrees)
        canvas = self.canvas[::-1]
        turned = [_warped(image, turn, canvas) for image in self.thermal]
        area = _warped(np.ones(self.size, np.float32), turn, canvas)
        weight = self._weight(area, _energy(turned))
        result = []
        for agreement in self._agreements(turned, degrees):
            scores = agreement * weight
            y, x = divmod(int(scores.argmax()), scores.shape[1])
            dx = x - self.grid[1] * (x >= self.canvas[1])
            dy = y - self.grid[0] * (y >= self.canvas[0])
            result.append((float(scores[y, x]), shifted(-dx, -dy) @ turn))
        return result

    def _turn(self, degrees: float) -> Matrix:
        """From pixels of a thermal image to those of the canvas, turned about its middle."""
        cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        x, y = centre(self.size)
        return shifted(*centre(self.canvas)) @ rotation @ shifted(-x, -y)

    def _weight(self, area: Values, energy: Values) -> Values:
        """What makes a score of an agreement: by chance an agreement grows with the root of both
        energies, and a large overlap tells more than a small one."""
        area_spectrum = self._spectrum(area)
        overlap = _correlation(area_spectrum, self.area)
        ours = _correlation(area_spectrum, self.energy)
        theirs = _correlation(self._spectrum(energy), self.area)
        whole = float(np.prod(self.shape))
        weight = np.sqrt(np.maximum(overlap, 0) / whole)
        weight /= np.sqrt(np.maximum(ours, 1e-3) * np.maximum(theirs, 1e-3))
        weight[overlap < self.least_overlap * min(float(area.sum()), whole)] = 0
        return np.asarray(weight, np.float32)

    def _agreements(self, turned: list[Edges], degrees: float) -> list[Values]:
        spectra = [self._spectrum(image) for image in turned]
        halves = [np.zeros_like(spectra[0]), np.zeros_like(spectra[0])]
        chance = np.zeros_like(spectra[0])
        count = len(spectra)
        for number, spectrum in enumerate(spectra):
            half = halves[2 * number >= count]
            half += cv2.mulSpectrums(spectrum, self.spectra[number], 0, conjB=True)
            other = self.spectra[(number + (count + 1) // 2) % count]
            chance += cv2.mulSpectrums(spectrum, other, 0, conjB=True)
        cos, sin = np.cos(2 * np.deg2rad(degrees)), np.sin(2 * np.deg2rad(degrees))
        found = []
        for spectrum in (*halves, chance):
            real, imaginary = cv2.split(cv2.dft(spectrum, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE))
            found.append(np.asarray(real * cos - imaginary * sin))  # directions turn along
        return [found[0] + found[1], *found]

    def _spectrum(self, image: Values) -> Values:
        if image.ndim == 2:
            image = np.dstack([image, np.zeros_like(image)])
        padded = np.zeros((*self.grid, 2), np.float32)
        padded[: image.shape[0], : image.shape[1]] = image
        return np.asarray(cv2.dft(padded), np.float32)


def _warped(image: Values, turn: Matrix, canvas: Sequence[int]) -> Values:
    return np.asarray(cv2.warpAffine(image, turn[:2], canvas), np.float32)


def _energy(edges: list[Edges]) -> Values:
    return np.asarray(np.sum([(image**2).sum(2) for image in edges], 0), np.float32)


def _correlation(first: Values, second: Values) -> Values:
    product = cv2.mulSpectrums(first, second, 0, conjB=True)
    return np.asarray(cv2.dft(product, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)[..., 0])


def _centred(edges: list[Edges]) -> list[Edges]:
    """Without what all frames share: a car's bonnet, dirt on a lens, rows of a sensor."""
    if len(edges) < FEWEST_TO_CENTRE:
        return edges
    common = np.mean(edges, 0)
    return [image - common for image in edges]


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    smaller = size[0] < image.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=how), np.uint8)
