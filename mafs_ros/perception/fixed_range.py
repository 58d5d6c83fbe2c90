"""Whether a fixed thermal range fits the image, and what it was meant in where it does not."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from mafs_ros.perception.measured_pixels import MIN_SPAN, percentile

_NEARLY_ALL = 0.95
_FEW_LEVELS = 16
_KELVIN = 273.15  # of 0 degrees
_CENTIKELVIN, _DECIKELVIN = 0.01, 0.1
_OPTIONS = "(mafs fuse: --thermal-range, --thermal-unit)"


def fixed_range_remark(
    ordered: NDArray[Any], low: float, high: float, unit: str, per_count: float
) -> str:
    """A line for the reader where the range leaves next to nothing of the image, else ''.

    ordered: sorted values of the image; low, high: the range in `unit`, per_count: what a count is
    in it. That is so where 95 % of the pixels lie on one side of the range, or where an image that
    is not flat (wider than 2 `MIN_SPAN`) fills fewer than 16 of the 256 grey levels.
    """
    first, last = low / per_count, high / per_count
    count = len(ordered)
    below = ordered.searchsorted(first, "left") / count
    above = 1 - ordered.searchsorted(last, "right") / count
    image = percentile(ordered, 1), percentile(ordered, 99.8)
    named = f"the fixed thermal range {low:g} to {high:g} {unit}"
    values = f"the image has {image[0] * per_count:g} to {image[1] * per_count:g}"
    if max(below, above) >= _NEARLY_ALL:
        side, share = ("below", below) if below > above else ("above", above)
        advice = _meant(ordered, low, high, unit) or (
            f"set thermal_low and thermal_high {_OPTIONS} to the temperatures of your scene, or "
            "thermal_scaling to percentile"
        )
        return f"{100 * share:.0f} % of the pixels lie {side} {named} ({values}): {advice}"
    levels = 255 * (min(image[1], last) - max(image[0], first)) / (last - first)
    if levels >= _FEW_LEVELS or image[1] - image[0] < 2 * MIN_SPAN[ordered.dtype.name]:
        return ""
    return (
        f"the image fills {max(levels, 1):.0f} of 256 grey levels of {named} ({values}): set "
        f"thermal_low and thermal_high {_OPTIONS} nearer to these, or thermal_scaling to "
        "percentile"
    )


def _meant(ordered: NDArray[Any], low: float, high: float, unit: str) -> str:
    """What to set where the range holds the image in another unit, else ''."""
    median = percentile(ordered, 50)
    counts = ordered.dtype.name == "uint16"
    as_kelvin = median * _CENTIKELVIN if counts else median
    if low <= as_kelvin <= high and unit == "counts" and counts:
        return f"if it is in kelvin, set thermal_unit to kelvin {_OPTIONS}"
    if counts and unit == "kelvin" and low <= median * _DECIKELVIN <= high:
        return (
            "the counts seem to be tenths of a kelvin: set thermal_kelvin_per_count to "
            f"{_DECIKELVIN} (mafs fuse: --thermal-range {low / _DECIKELVIN:g} "
            f"{high / _DECIKELVIN:g} in counts)"
        )
    if low <= as_kelvin - _KELVIN <= high:
        return (
            f"if it is in degrees Celsius, give it in kelvin, {low + _KELVIN:g} to "
            f"{high + _KELVIN:g}, with thermal_unit kelvin {_OPTIONS}"
        )
    if not counts and low <= median + _KELVIN <= high:
        return (
            f"the image seems to be in degrees Celsius: give the range so, {low - _KELVIN:g} to "
            f"{high - _KELVIN:g}, with thermal_unit counts {_OPTIONS}"
        )
    return ""
