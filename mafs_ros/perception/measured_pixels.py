"""Which pixels of a thermal image are measurements: the thermal range is taken of them alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.base.faults import Fault
from mafs_ros.base.remarks import Remarks
from mafs_ros.perception.foreign_lines import (
    FEWEST_LINES,
    dead_lines,
    foreign_lines,
    ring,
    share_outside,
)

Borders = tuple[int, int, int, int]  # lines at the top, bottom, left and right
# Narrowest range that is spread over the grey levels: below it an image is flat and a spread would
# show the sensor's noise. 100 counts are 1 K in centikelvin; floats are kelvin or degrees.
MIN_SPAN = {"uint8": 16.0, "uint16": 100.0, "float32": 1.0}
_SAMPLES = 20_000  # pixels that percentiles are taken of
# What drivers write where nothing was measured: 0, or an end of the number.
_NAMED = {0.0, 32768.0, *(2.0**bits - 1 for bits in (10, 12, 13, 14, 15, 16))}
_COLDEST = -99.0  # degrees that a thermal camera can tell
_MOST = 4  # values that are found in one image, and kept
_APART = 0.1  # of the others' range: what is nearer costs them less than a tenth of the greys
_FAR_APART = 8.0  # leaves the others less than 32 grey levels
_MARGIN = 4  # pixels beside invalid ones that interpolation mixed with them: Lanczos takes 8 taps
_SLIVER = 3  # pixels that a border without any whole pixel of its own reaches at most
_BESIDE = 0.25  # of the picture's range: what lies farther outside may be mixed with a border
_RING_SHARE = 0.1  # of the outermost pixels that are then mixed
_SQUARE = np.ones((3, 3), np.uint8)


class MeasuredPixels:
    """The sorted values of the pixels that are measurements, of a sample over the image.

    These rules decide, in this order; what none of them names is a measurement:
    1. NaN and infinite values are none.
    2. The values in invalid_values are none.
    3. The smallest or largest value is none where enough pixels to move the range have exactly
       it (half of those that a percentile leaves outside), and it is apart from all others:
       - by a tenth of the range of the others (or of `MIN_SPAN`), if it is 0, 32768 or 2^n - 1
         (n = 10, 12 to 16; of 8 bit 0 alone), a float of -99 or less, or in three or four
         corners of the image;
       - by 8 times their range, if it is any other value; the others then are most pixels.
       An image without noise (all others equal) is trusted. So a true 0 degrees among 1 and -1,
       a cold sky, a hot engine stay.
    4. Rows or columns at a side are none where most of their values lie outside the picture's (10
       to 90 %) by more than twice its range, and differ from pixel to pixel 8 times more than the
       picture's: telemetry, up to 4 lines; or it is one line alone: mixed with a border.
    5. The outermost pixels are none where a tenth of them lie outside the picture's values, and 3
       pixels farther in a third as many: an image turned by so little that no pixel is 0.
    6. Rows or columns inside are none where two thirds of their values lie outside the picture's
       by more than twice its range, and at most 3 pixels are so side by side: dead or dropped
       lines. They are sought in each image anew.
    Within 4 pixels of an invalid value, and of the border of an image that has one, lie mixtures
    of it and the picture (interpolation): they are left out too, unless that would leave out more
    than half. What 3 to 5 found once stays left out.

    invalid_values: 'auto'; 'none': every finite pixel is a measurement; or numbers apart by
        spaces or commas ('0 -10000'), left out besides what is found. Raises ValueError.
    percentiles: those that the range will be taken of.
    remarks: gets a line for each value and for the lines at the border that were found.
    """

    def __init__(
        self, invalid_values: str, percentiles: tuple[float, float], remarks: Remarks
    ) -> None:
        self.given = invalid_numbers(invalid_values)
        self._detects = invalid_values.strip() != "none"
        self._percentiles, self._remarks = percentiles, remarks
        self._step = 1
        self.forget()

    def forget(self) -> None:
        """Forget what was found: the next image is of another camera, or a still."""
        self._found: list[float] = []
        self._borders: Borders = (0, 0, 0, 0)
        self._mixed = False  # by rule 5
        self._dead: NDArray[np.bool_] | None = None  # by rule 6, of the sample of this image
        self._shape: tuple[int, ...] = ()

    def __call__(self, thermal: NDArray[Any]) -> NDArray[Any]:
        """Sorted values of an image uint8, uint16 or float32 [H,W].

        Raises ValueError where no pixel is a measurement by rules 1 and 2.
        """
        if thermal.shape != self._shape:
            self._shape, self._borders, self._mixed = thermal.shape, (0, 0, 0, 0), False
        self._dead = None
        ordered = self._ordered(thermal, self._found)
        if not ordered.size:  # of what was found there is nothing else today
            ordered = self._ordered(thermal, [])
        if not ordered.size:
            given = " or in thermal_invalid_values" if self.given else ""
            raise ValueError(
                f"the thermal image has no finite value (all NaN or infinite{given}): is the "
                "camera starting, or its lens covered?"
            )
        for _ in range(_MOST + 4 if self._detects else 0):
            if not (
                self._find_value(thermal, ordered)
                or self._find_lines(thermal, ordered)
                or self._find_mixed_border(thermal, ordered)
                or self._find_dead_lines(thermal, ordered)
            ):
                break
            ordered = self._ordered(thermal, self._found)
        return ordered

    def _ordered(self, thermal: NDArray[Any], found: list[float]) -> NDArray[Any]:
        sample = self._sample(thermal)
        kept = np.isfinite(sample) if sample.dtype.kind == "f" else None
        invalid = np.zeros(sample.shape, bool)
        if found or self.given:
            for value in (*self.given, *found):
                invalid |= sample == value
        if self._mixed or invalid.any():
            margin = -(-_MARGIN // self._step) if min(thermal.shape) >= FEWEST_LINES else 0
            valid = _without_neighbours(invalid, self._step, margin)
            kept = valid if kept is None else kept & valid
        if self._dead is not None and self._dead.shape == sample.shape:
            kept = ~self._dead if kept is None else kept & ~self._dead
        values = sample if kept is None else sample[kept]
        # numpy's stable sort of 8 and 16 bit is a radix sort, of a quarter of the time.
        return np.sort(values, axis=None, kind="stable" if values.itemsize <= 2 else None)

    def _picture(self, thermal: NDArray[Any]) -> NDArray[Any]:
        """The image without the lines at its border that are none."""
        height, width = thermal.shape
        top, bottom, left, right = self._borders
        return thermal[top : height - bottom, left : width - right]

    def _sample(self, thermal: NDArray[Any]) -> NDArray[Any]:
        picture = self._picture(thermal)
        self._step = max(1, math.ceil(math.sqrt(picture.size / _SAMPLES)))
        return picture[:: self._step, :: self._step]

    def _find_value(self, thermal: NDArray[Any], ordered: NDArray[Any]) -> bool:
        """Whether rule 3 names another value; it is then in `_found`."""
        for value in _repeated_ends(ordered, self._percentiles):
            named = _is_named(value, thermal.dtype.name)
            corners = thermal[[0, 0, -1, -1], [0, -1, 0, -1]]
            cornered = np.count_nonzero(corners == value) >= 3
            needed = _APART if named or cornered else _FAR_APART
            others = ordered[ordered != value]
            least = 0.05 if named else 0.5
            if others.size < least * ordered.size or not _apart(value, others, (10, 90), needed):
                continue  # the cheap look was enough
            low, high = self._percentiles
            if thermal.dtype == np.uint8:  # scaled by the camera: its 0 and 255 may end a slope
                low, high = 0, 100
            found = [*self._found, value][-_MOST:]
            others = self._ordered(thermal, found)
            if _apart(value, others, (low / 2, (high + 100) / 2), needed):
                self._found = found
                share = np.mean(self._sample(thermal) == value)
                self._remarks.add(
                    Fault.THERMAL_PIXELS,
                    f"thermal image: {100 * share:.1f} % of its pixels are exactly {value:g}, "
                    f"apart from all others ({others[0]:g} to {others[-1]:g}), and taken for no "
                    "measurement: they are left out of the thermal range; if they are one, set "
                    "thermal_invalid_values (mafs fuse: --thermal-invalid-values) to none",
                    f"value {value:g}" if named else "value",
                )
                return True
        return False

    def _find_lines(self, thermal: NDArray[Any], ordered: NDArray[Any]) -> bool:
        """Whether rule 4 names lines at another side; they are then in `_borders`."""
        low, high = _reach(ordered, 2)
        for side, name in enumerate(("top row", "bottom row", "left column", "right column")):
            if self._borders[side]:
                continue
            lines = (thermal, thermal[::-1], thermal.T, thermal.T[::-1])[side]
            count = foreign_lines(lines, low, high, MIN_SPAN[thermal.dtype.name], self._measured)
            if count:
                borders = list(self._borders)
                borders[side] = count
                self._borders = (borders[0], borders[1], borders[2], borders[3])
                self._remarks.add(
                    Fault.THERMAL_PIXELS,
                    f"thermal image: {count} {name}{'s' * (count > 1)} of {thermal.shape[1]}x"
                    f"{thermal.shape[0]} pixels hold no picture (telemetry, or mixed with a "
                    "border) and are left out of the thermal range; switch telemetry off in the "
                    "camera or crop it: it also shifts the picture",
                    name,
                )
                return True
        return False

    def _find_mixed_border(self, thermal: NDArray[Any], ordered: NDArray[Any]) -> bool:
        """Whether rule 5 names the outermost pixels; `_mixed` is then set."""
        if self._mixed or self._found or self.given or min(thermal.shape) < FEWEST_LINES:
            return False
        picture = self._picture(thermal)
        low, high = _reach(ordered, _BESIDE)
        outer, inner = (
            share_outside(self._measured(ring(picture, depth)), low, high)
            for depth in (0, _SLIVER)
        )
        if outer < _RING_SHARE or inner > outer / 3:
            return False
        self._mixed = True
        self._remarks.add(
            Fault.THERMAL_PIXELS,
            f"thermal image: {100 * outer:.0f} % of its outermost pixels lie outside the values "
            "beside them, mixed with a border by interpolation: the outermost "
            f"{_MARGIN} pixels are left out of the thermal range; crop them to be rid of them",
            "mixed border",
        )
        return True

    def _find_dead_lines(self, thermal: NDArray[Any], ordered: NDArray[Any]) -> bool:
        """Whether rule 6 names lines inside this image; they are then in `_dead`."""
        low, high = _reach(ordered, 2)
        ends = (percentile(ordered, percent) for percent in self._percentiles)
        if self._dead is not None or all(low <= end <= high for end in ends):
            return False
        sample = self._sample(thermal)
        outside = (sample < low) | (sample > high)
        for value in (*self.given, *self._found):
            outside &= sample != value
        rows, columns = dead_lines(outside, self._step)
        if not rows.any() and not columns.any():
            return False
        self._dead = rows[:, None] | columns
        name = "rows" if rows.any() else "columns"
        self._remarks.add(
            Fault.THERMAL_PIXELS,
            f"thermal image: {name} right across it hold values far from all others (dead or "
            "dropped lines) and are left out of the thermal range; the picture still shows them",
            f"dead {name}",
        )
        return True

    def _measured(self, line: NDArray[Any]) -> NDArray[Any]:
        """The values of a line, but for those that are no measurement by rules 1 to 3."""
        values = line[np.isfinite(line)]
        for value in (*self.given, *self._found):
            values = values[values != value]
        return values


def _is_named(value: float, dtype: str) -> bool:
    if dtype == "uint8":
        return value == 0
    return value in _NAMED or (dtype == "float32" and value <= _COLDEST)


def invalid_numbers(text: str) -> tuple[float, ...]:
    """The numbers of invalid_values, none for 'auto' and 'none'; raises ValueError."""
    if text.strip() in ("auto", "none"):
        return ()
    try:
        numbers = tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        numbers = ()
    if not numbers or not all(math.isfinite(number) for number in numbers):
        raise ValueError(
            f"thermal_invalid_values: got {text!r}, expected auto, none, or numbers apart by "
            "spaces, such as '0 -10000'"
        )
    return numbers


def percentile(ordered: NDArray[Any], percent: float) -> float:
    """Of sorted values, linear between two as numpy's."""
    below, part = divmod(percent / 100 * (len(ordered) - 1), 1)
    low, high = float(ordered[int(below)]), float(ordered[min(int(below) + 1, len(ordered) - 1)])
    return low + part * (high - low)


def _reach(ordered: NDArray[Any], times: float) -> tuple[float, float]:
    """10 to 90 % of sorted values, and `times` their distance to both sides."""
    low, high = percentile(ordered, 10), percentile(ordered, 90)
    reach = times * max(high - low, MIN_SPAN[ordered.dtype.name])
    return low - reach, high + reach


def _without_neighbours(invalid: NDArray[np.bool_], step: int, margin: int) -> NDArray[np.bool_]:
    """Which pixels of a sample are valid and, if that leaves half of these, no mixtures.

    That is 4 pixels from any invalid one, and `margin` samples from the border. step: of the
    sample, in pixels.
    """
    iterations = max(1, _MARGIN // step)
    near = np.asarray(cv2.dilate(invalid.view(np.uint8), _SQUARE, iterations=iterations))
    if margin:
        near[:margin], near[-margin:], near[:, :margin], near[:, -margin:] = 1, 1, 1, 1
    clear, valid = near == 0, ~invalid
    return clear if 2 * np.count_nonzero(clear) >= np.count_nonzero(valid) else valid


def _repeated_ends(ordered: NDArray[Any], percentiles: tuple[float, float]) -> Iterator[float]:
    """The smallest and the largest value, where so many pixels have it that the range moves."""
    last = len(ordered) - 1
    low, high = int(percentiles[0] / 200 * last), int((100 - percentiles[1]) / 200 * last)
    for end, inner in ((0, low), (last, last - high)):
        if ordered[end] == ordered[inner]:
            yield float(ordered[end])


def _apart(
    value: float, others: NDArray[Any], percents: tuple[float, float], needed: float
) -> bool:
    """Whether a value lies outside the others' percentiles by `needed` times their distance."""
    if not others.size or others[0] == others[-1]:
        return False
    low, high = percentile(others, percents[0]), percentile(others, percents[1])
    span = max(high - low, MIN_SPAN[others.dtype.name])
    return max(low - value, value - high) > needed * span
