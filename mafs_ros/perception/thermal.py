"""Scaling of thermal images, 8 bit, 16 bit or float, to the 8 bit that the network takes."""

from __future__ import annotations

import copy
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.base.faults import Fault
from mafs_ros.base.remarks import Remarks
from mafs_ros.perception.fixed_range import fixed_range_remark
from mafs_ros.perception.measured_pixels import MIN_SPAN, MeasuredPixels, percentile

MODES = ("auto", "percentile", "fixed", "as_is")
UNITS = ("counts", "kelvin")
ThermalImage = NDArray[Any]  # uint8, uint16 or float32 [H,W]
# With steps of at most this part of the range no pixel inside it changes by a whole grey level.
_STEP = 1 / 258
_FORGOTTEN = 5.0  # time constants without an image after which the old range means nothing
_TOO_WIDE = 8.0  # times wider than the image needs: it would fill less than 32 grey levels
_WALL = 6.0  # times `MIN_SPAN`: what a camera sees that looks at a wall for long
_TOO_NARROW_OF_WALL = 3.0
_CHECK_S = 5.0  # between two looks whether a fixed range fits


class ThermalScaler:
    """Thermal image to uint8: low and colder become 0, high and warmer 255, linear between.

    mode:
        'auto': 'as_is' for 8-bit images, which the camera has scaled itself, and 'percentile' for
        others.
        'percentile': low and high follow two percentiles of the image with a time constant, so
        that the picture does not flicker: the range moves by less than a grey level an image.
        Until it has followed, a hot object that enters is white and leaves the background as it
        was. Only where the old range is of no use it jumps: at the first image, after a backward
        jump in time, after a pause of 5 time constants, when more than half of the image lies
        outside the range, or when the range is 8 times wider or narrower than the image needs (3
        times narrower, if it is below 6 K or 600 counts, as of a wall). A flat image (a closed
        shutter, a wall) inside the range leaves it as it is; a range that had to be taken of one
        jumps where an image needs twice as much.
        'fixed': low and high as given, in `unit`. The choice for radiometric cameras: one grey
        level always means one temperature.
        'as_is': no change; 8-bit images alone.
    low, high, unit: range of 'fixed'. 'counts' are the numbers in the image; 'kelvin' are
        converted by kelvin_per_count for 16-bit images, while float images are taken to hold
        kelvin. Cameras whose counts do not start at 0 K need 'counts'.
    kelvin_per_count: 0.01 (centikelvin, the usual TLinear resolution) or 0.1 (its low resolution).
    percentiles: those that become 0 and 255, 0 <= low < high <= 100. The upper default leaves room
        for people, who fill few pixels, above a warm road.
    time_constant_s: time in which the range follows 63 % of a small change; 0 gives every image
        a range of its own (it flickers).
    invalid_values: which pixels are left out of the percentiles: 'auto', 'none', or numbers as in
        '0 -10000', which become 0 as NaN does. See `MeasuredPixels` for the rules of all three.

    `remarks` has a line for what was noticed: pixels left out, an image with one value everywhere,
    a fixed range that does not fit; each once.
    A setting is changed by making another scaler. Raises ValueError for an impossible setting.
    """

    def __init__(
        self,
        mode: str = "auto",
        *,
        low: float = 0.0,
        high: float = 65535.0,
        unit: str = "counts",
        kelvin_per_count: float = 0.01,
        percentiles: tuple[float, float] = (1.0, 99.8),
        time_constant_s: float = 2.0,
        invalid_values: str = "auto",
    ) -> None:
        _check(mode in MODES, f"thermal scaling must be one of {', '.join(MODES)}; got {mode!r}")
        _check(unit in UNITS, f"thermal unit must be one of {', '.join(UNITS)}; got {unit!r}")
        _check(
            math.isfinite(high - low) and low < high,
            f"the thermal range needs finite numbers with low < high, got low {low}, high {high}",
        )
        _check(
            math.isfinite(kelvin_per_count) and kelvin_per_count > 0,
            f"kelvin per count must be above 0, got {kelvin_per_count}",
        )
        _check(
            0 <= percentiles[0] < percentiles[1] <= 100,
            f"thermal percentiles need 0 <= low < high <= 100, got {tuple(percentiles)}",
        )
        _check(
            math.isfinite(time_constant_s) and time_constant_s >= 0,
            f"the thermal time constant must be 0 s or more, got {time_constant_s}",
        )
        self.mode = mode
        self.low, self.high, self.unit = float(low), float(high), unit
        self.kelvin_per_count = float(kelvin_per_count)
        self.percentiles = (float(percentiles[0]), float(percentiles[1]))
        self.time_constant_s = float(time_constant_s)
        self.remarks = Remarks()
        self._measured = MeasuredPixels(invalid_values, self.percentiles, self.remarks)
        self.reset()

    @property
    def range(self) -> tuple[float, float] | None:
        """The values that became 0 and 255 in the last image, in its counts; None before one."""
        return self._range

    def reset(self) -> None:
        """Forget the range, and which pixels were left out: the next image sets both anew."""
        self._measured.forget()
        self._range: tuple[float, float] | None = None
        self._of_flat = False  # whether the range is that of a flat image
        self._stamp_s = -math.inf

    def __call__(self, thermal: ThermalImage, stamp_s: float) -> NDArray[np.uint8]:
        """Scale one image.

        thermal: uint8, uint16 or float32 [H,W]; stamp_s: its acquisition time in seconds.
        Returns uint8 [H,W], for 'as_is' the image itself. NaN, -inf and given invalid values
        become 0, +inf 255.
        Raises ValueError for another shape or type, for a float image without any finite value,
        and where image and mode do not fit (16 bit 'as_is', kelvin in 8 bit); the range stays.
        """
        if thermal.ndim != 2 or thermal.size == 0 or thermal.dtype.name not in MIN_SPAN:
            raise ValueError(
                "a thermal image must be uint8, uint16 or float32 [H,W] and not empty, "
                f"got {thermal.dtype} {list(thermal.shape)}"
            )
        mode = self.mode
        if mode == "auto":
            mode = "as_is" if thermal.dtype == np.uint8 else "percentile"
        if mode == "as_is":
            return self._as_is(thermal)
        if mode == "fixed":
            self._range = self._fixed_range(thermal, stamp_s)
        else:
            self._range = self._followed_range(thermal, stamp_s)
        scaled = _scale(thermal, *self._range)
        for value in self._measured.given:
            scaled[thermal == value] = 0
        return scaled

    def once(self, thermal: ThermalImage, stamp_s: float) -> NDArray[np.uint8]:
        """Scale one image of a camera that is dead or covered: the range forgets it at once."""
        return copy.deepcopy(self, {id(self.remarks): self.remarks})(thermal, stamp_s)

    def _as_is(self, thermal: ThermalImage) -> NDArray[np.uint8]:
        if thermal.dtype != np.uint8:
            raise ValueError(
                f"thermal scaling as_is takes 8-bit images, got {thermal.dtype}: set it to "
                "percentile, or to fixed with the range of your scene"
            )
        self._range = (0.0, 255.0)
        self._remark_if_equal(thermal)
        return thermal

    def _fixed_range(self, thermal: ThermalImage, stamp_s: float) -> tuple[float, float]:
        dtype = thermal.dtype.name
        if dtype == "uint8" and self.unit == "kelvin":
            raise ValueError(
                "a thermal range in kelvin needs 16-bit or float images, got uint8: give the "
                "range in counts, or set thermal scaling to percentile or as_is"
            )
        per_count = 1.0
        if dtype == "uint16" and self.unit == "kelvin":
            per_count = self.kelvin_per_count
        if dtype == "float32" and not np.isfinite(thermal[::16, ::16]).any():
            self._measured(thermal)  # which refuses an image without any number
        if not 0 < stamp_s - self._stamp_s < _CHECK_S:
            self._remark_if_equal(thermal)
            ordered = self._measured(thermal)
            remark = fixed_range_remark(ordered, self.low, self.high, self.unit, per_count)
            if remark:
                self.remarks.add(Fault.THERMAL_RANGE, remark)
            self._stamp_s = stamp_s
        return self.low / per_count, self.high / per_count

    def _followed_range(self, thermal: ThermalImage, stamp_s: float) -> tuple[float, float]:
        if self.time_constant_s == 0:
            self._measured.forget()  # what came before changes nothing
        ordered = self._measured(thermal)
        low, median, high = (
            percentile(ordered, percent)
            for percent in (self.percentiles[0], 50, self.percentiles[1])
        )
        span = high - low
        lacking = max(0.0, MIN_SPAN[thermal.dtype.name] - span) / 2
        low, high, flat = low - lacking, high + lacking, lacking > 0
        if not span:
            self._remark_if_equal(thermal)
        old, elapsed = self._range, stamp_s - self._stamp_s
        if (
            old is None
            or self.time_constant_s == 0
            or not 0 <= elapsed <= _FORGOTTEN * self.time_constant_s
            or not (old[0] <= median <= old[1] and _holds_half(ordered, *old))
        ):
            self._stamp_s, self._of_flat = stamp_s, flat
            return low, high
        width, needed = old[1] - old[0], high - low
        if flat and not self._of_flat and width > _TOO_WIDE * span:
            return old  # as if it had not come: its stamp does not count either
        self._stamp_s = stamp_s
        too_narrow = self._most_narrow(width, MIN_SPAN[thermal.dtype.name]) * width < needed
        self._of_flat = flat
        if width > _TOO_WIDE * needed or too_narrow:
            return low, high
        share = -math.expm1(-elapsed / self.time_constant_s)
        limit = width * _STEP
        return (
            old[0] + _clamp(share * (low - old[0]), limit),
            old[1] + _clamp(share * (high - old[1]), limit),
        )

    def _most_narrow(self, width: float, flat_width: float) -> float:
        """How many times narrower than needed a range may be before it jumps."""
        if self._of_flat:
            return 2.0
        return _TOO_NARROW_OF_WALL if width < _WALL * flat_width else _TOO_WIDE

    def _remark_if_equal(self, thermal: ThermalImage) -> None:
        """A line for an image with one value everywhere; looks where nothing else was found."""
        first = thermal[0, 0]
        if self.remarks.knows(Fault.THERMAL_EQUAL) or first != thermal[-1, -1]:
            return
        if (thermal == first).all():
            self.remarks.add(
                Fault.THERMAL_EQUAL,
                f"thermal image: all its pixels are {first:g} (shutter closed, lens covered, or "
                "the camera not ready?): it shows nothing",
            )


def _holds_half(ordered: NDArray[Any], low: float, high: float) -> bool:
    """Whether at least half of the sorted values lie in low..high."""
    inside = ordered.searchsorted(high, "right") - ordered.searchsorted(low, "left")
    return bool(2 * inside >= len(ordered))


def _scale(thermal: ThermalImage, low: float, high: float) -> NDArray[np.uint8]:
    if thermal.dtype.name == "float32":
        thermal = np.nan_to_num(thermal, nan=low, posinf=high, neginf=low)
    # float32 holds every uint16, and this is faster than building and reading a table.
    above = np.subtract(thermal, np.float32(low), dtype=np.float32)
    np.clip(above, 0, high - low, out=above)
    return np.asarray(cv2.convertScaleAbs(above, alpha=255 / (high - low)), np.uint8)


def _clamp(step: float, limit: float) -> float:
    return max(-limit, min(limit, step))


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
