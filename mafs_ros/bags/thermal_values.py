"""What the thermal images of a bag hold, and the scaling that fits them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.base.remarks import Remarks
from mafs_ros.parameters.table import TABLE
from mafs_ros.perception.measured_pixels import MeasuredPixels

PERCENTILES = (
    float(TABLE["thermal_percentile_low"].default),
    float(TABLE["thermal_percentile_high"].default),
)
# 16-bit counts between these may be hundredths of a kelvin: -25 to 147 degrees Celsius.
CENTIKELVIN = (24_800, 42_000)


@dataclass(frozen=True)
class ThermalValues:
    """Values of thermal images, of the pixels that are measurements.

    dtype: '' where no image has a value; low and high: percentiles 1 and 99.8; remarks: what was
    left out, and why; unmeasured: how many of the images have no finite value.
    """

    dtype: str = ""
    low: float = 0.0
    high: float = 0.0
    smallest: float = 0.0
    largest: float = 0.0
    remarks: list[str] = field(default_factory=list)
    unmeasured: int = 0

    @property
    def may_be_centikelvin(self) -> bool:
        """Whether they would be usual temperatures; a camera that is not radiometric can have them
        too, until its next shutter."""
        return (
            self.dtype == "uint16" and CENTIKELVIN[0] <= self.low and self.high <= CENTIKELVIN[1]
        )


def thermal_values(images: Iterable[NDArray[Any]]) -> ThermalValues:
    """Of some images of one camera, each uint8, uint16 or float32 [H,W]."""
    remarks = Remarks()
    measured = MeasuredPixels("auto", PERCENTILES, remarks)
    samples: list[NDArray[Any]] = []
    unmeasured = 0
    for image in images:
        try:
            samples.append(measured(image))
        except ValueError:  # not one finite value
            unmeasured += 1
    if not samples:
        return ThermalValues(unmeasured=unmeasured)
    values = np.concatenate(samples)
    low, high = np.percentile(values, PERCENTILES)
    return ThermalValues(
        str(values.dtype),
        float(low),
        float(high),
        float(values.min()),
        float(values.max()),
        list(remarks.take()),
        unmeasured,
    )


def thermal_parameters(values: ThermalValues) -> dict[str, Any]:
    """Node parameters that fit these values whatever the camera is; none without values."""
    if not values.dtype:
        return {}
    return {"thermal_scaling": "as_is" if values.dtype == "uint8" else "percentile"}


def radiometric_parameters(values: ThermalValues) -> dict[str, Any]:
    """Node parameters that are better where counts are hundredths of a kelvin; else none.

    In kelvin, with 5 K of room for what this drive has not met.
    """
    if not values.may_be_centikelvin:
        return {}
    return {
        "thermal_scaling": "fixed",
        "thermal_unit": "kelvin",
        "thermal_low": float(math.floor(values.low / 100) - 5),
        "thermal_high": float(math.ceil(values.high / 100) + 5),
    }


def range_lines(values: ThermalValues) -> list[str]:
    """What is said of them."""
    if not values.dtype:
        return [] if values.unmeasured else ["  thermal values: no thermal image can be read"]
    text = (
        f"  thermal values ({values.dtype}): {values.smallest:g} to "
        f"{values.largest:g}, 1 to 99.8 %: {values.low:.1f} to {values.high:.1f}"
    )
    if values.may_be_centikelvin:
        low, high = (value / 100 - 273.15 for value in (values.low, values.high))
        text += (
            f" (as hundredths of a kelvin: {low:.1f} to {high:.1f} degrees Celsius, if the camera "
            "is radiometric)"
        )
    return [text, *(f"  {remark}" for remark in values.remarks)]


def value_problems(values: ThermalValues) -> list[str]:
    """What keeps images of these from use."""
    if not values.unmeasured:
        return []
    some = f"{values.unmeasured} of the thermal images looked at have" if values.dtype else ""
    return [
        f"{some or 'no thermal image has'} {'no' if some else 'a'} finite value (all NaN or "
        "infinite): record after the camera's first calibration"
    ]
