"""From the pairs of a drive to a homography with its evidence, or to the reason for none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mafs_ros.commands.calibrate.method.choice import choose_frames
from mafs_ros.commands.calibrate.method.coarse import RATIOS, STEPS_AROUND, Coarse, coarse_search
from mafs_ros.commands.calibrate.method.errors import CalibrationError
from mafs_ros.commands.calibrate.method.fine import refine
from mafs_ros.commands.calibrate.method.frames import Frame
from mafs_ros.commands.calibrate.method.geometry import REFERENCE_WIDTH, mean_distance, overlap
from mafs_ros.commands.calibrate.method.turned import best_turn
from mafs_ros.perception.registration.numbers import Matrix, Size, rescaling

SEARCHED = 12  # frames of the coarse search
LEAST_EVIDENCE = 1.7  # times better than images of different moments
SURE = 3.0  # from which on nobody asks whether the camera is turned
# Pixels at REFERENCE_WIDTH. The whole drive is about half as far off as its halves lie apart.
LARGEST_DISAGREEMENT = 8.0
CERTAIN_DISAGREEMENT = 4.0
SMALL_OVERLAP = 0.1
LEAST_OVERLAP = 0.35


@dataclass(frozen=True)
class Calibration:
    """A homography and what speaks for it.

    homography: thermal to RGB pixels of images of thermal_size and rgb_size. frames: those
    measured on, in order. start: the homography of the coarse search. halves: the homographies of
    the first and the second half of the drive alone. disagreement_px: mean distance of those two
    at the corners of what both cameras see, in pixels of the RGB image. evidence: how many times
    better the pairs agree than images of different moments. overlap: share of the smaller view.
    """

    homography: Matrix
    thermal_size: Size
    rgb_size: Size
    frames: list[Frame]
    start: Matrix
    halves: tuple[Matrix, Matrix]
    disagreement_px: float
    evidence: float
    overlap: float

    @property
    def uncertain(self) -> bool:
        """Whether it may be off by more than some 2 pixels at REFERENCE_WIDTH."""
        return self.disagreement_px > CERTAIN_DISAGREEMENT * self.rgb_size[1] / REFERENCE_WIDTH


def calibrate(
    frames: Sequence[Frame],
    ratio: float | None = None,
    step: Callable[[], object] = lambda: None,
) -> Calibration:
    """Measure the homography from thermal to RGB pixels.

    frames: of a drive, in order, all of one size. ratio: width of the thermal view by that of the
    RGB view, at equal shapes, where the focal lengths are known. step: called `steps(ratio)`
    times. Raises CalibrationError with the reason where the evidence is weak.
    """
    chosen = choose_frames(frames)
    some = [chosen[i] for i in _spread(len(chosen), SEARCHED)]
    ratios = searched_ratios(ratio)
    coarse = coarse_search(some, ratios, step=step)
    _check_evidence(some, coarse, ratios)
    step()
    half = len(chosen) // 2
    halves = (
        refine(chosen[:half], coarse.halves[0].homography),
        refine(chosen[half:], coarse.halves[1].homography),
    )
    step()
    homography = refine(chosen, coarse.all.homography)
    step()
    first = chosen[0]
    thermal, rgb = _size(first.thermal), _size(first.rgb)
    apart = mean_distance(*halves, thermal, rgb) * REFERENCE_WIDTH / rgb[1]
    if apart > LARGEST_DISAGREEMENT:
        raise CalibrationError(
            f"the two halves of the drive give registrations that lie {apart:.1f} pixels apart "
            f"(at {REFERENCE_WIDTH} of width), expected {LARGEST_DISAGREEMENT:g} at most: record "
            "a longer drive with more to see in the whole image; did a camera move?"
        )
    to_work, from_work = rescaling(first.thermal_size, thermal), rescaling(rgb, first.rgb_size)

    def whole(h: Matrix) -> Matrix:
        full = from_work @ h @ to_work
        return np.asarray(full / full[2, 2])

    return Calibration(
        whole(homography),
        first.thermal_size,
        first.rgb_size,
        chosen,
        whole(coarse.all.homography),
        (whole(halves[0]), whole(halves[1])),
        apart * first.rgb_size[1] / REFERENCE_WIDTH,
        coarse.evidence,
        overlap(homography, thermal, rgb)[1],
    )


def searched_ratios(ratio: float | None) -> tuple[float, ...]:
    """All ratios, or those around the known one."""
    return RATIOS if ratio is None else tuple(ratio * around for around in STEPS_AROUND)


def steps(ratio: float | None) -> int:
    """How often `calibrate` calls `step`."""
    return len(searched_ratios(ratio)) + 3


def _check_evidence(frames: Sequence[Frame], coarse: Coarse, ratios: Sequence[float]) -> None:
    if coarse.evidence >= SURE:
        return
    what_to_do, _, evidence = best_turn(frames)
    if what_to_do and evidence >= LEAST_EVIDENCE:
        raise CalibrationError(
            f"the cameras fit {evidence:.1f} times better than by chance once you {what_to_do} "
            "(or the RGB image the other way): set that in the driver of the camera, or put a "
            "node in between (image_rotate, image_proc), and record again"
        )
    if coarse.evidence >= LEAST_EVIDENCE:
        return
    wide = coarse_search(frames, ratios, least_overlap=SMALL_OVERLAP)
    if wide.evidence >= LEAST_EVIDENCE:
        shared = overlap(wide.all.homography, _size(frames[0].thermal), _size(frames[0].rgb))[1]
        raise CalibrationError(
            f"the cameras share only about {shared:.0%} of the smaller view, expected "
            f"{LEAST_OVERLAP:.0%} at least: turn them towards each other"
        )
    raise CalibrationError(
        "the cameras show nothing in common at the same moment: at the best ratio, rotation and "
        f"shift the pairs agree {coarse.evidence:.1f} times as well as images of different "
        f"moments, expected {LEAST_EVIDENCE:g} at least; do they overlap by a third, and do their "
        "stamps belong together (`mafs bag info`)?"
    )


def _size(image: np.ndarray) -> Size:
    return image.shape[0], image.shape[1]


def _spread(total: int, count: int) -> list[int]:
    return sorted({round(index) for index in np.linspace(0, total - 1, min(total, count))})
