"""A fixed range that leaves next to nothing of the image is named, once, with what to set."""

from __future__ import annotations

import re

import numpy as np
import pytest
from thermal_scenes import celsius, scene

from mafs_ros.perception.thermal import ThermalScaler

KELVIN = (scene() / 100).astype(np.float32)


@pytest.mark.parametrize(
    ("image", "settings", "expected"),
    [
        (scene(), {}, "fills 7 of 256 grey levels of the fixed thermal range 0 to 65535 counts"),
        (scene(), {"low": 287, "high": 315}, "100 % .* above .* set thermal_unit to kelvin"),
        (scene(), {"low": 14, "high": 42}, "degrees Celsius, give it in kelvin, 287.15 to 315.15"),
        (scene(), {"low": 40_000, "high": 50_000}, "100 % of the pixels lie below .* percentile"),
        (celsius(scene()), {"low": 287, "high": 315}, "below .* 13.85 to 41.85, with .* counts"),
        (KELVIN, {"low": 14, "high": 42}, "above .* give it in kelvin"),
        (celsius(scene()), {"low": 28_700, "high": 31_500}, "below .* has 18.* to 36"),
        (
            scene() // 10,
            {"low": 280, "high": 315, "unit": "kelvin"},
            "below .* tenths of a kelvin: set thermal_kelvin_per_count to 0.1 .* 2800 3150 in",
        ),
        (scene(), {"low": 14, "high": 42, "unit": "kelvin"}, "above .* 287.15 to 315.15"),
    ],
)
def test_a_range_that_does_not_fit(image, settings, expected):
    scaler = ThermalScaler("fixed", **settings)
    for stamp in range(20):
        scaler(image, float(stamp))
    (said,) = scaler.remarks.take()
    assert len(said.splitlines()) == 1
    assert re.search(expected, said), said


@pytest.mark.parametrize(
    ("image", "settings"),
    [
        (scene(), {"low": 28_700, "high": 31_500}),
        (scene(), {"low": 287, "high": 315, "unit": "kelvin"}),
        (celsius(scene()), {"low": -20, "high": 60}),
        (scene(), {"low": 253, "high": 333, "unit": "kelvin"}),
        (scene() // 200 * 2 + 29_000, {"low": 28_000, "high": 32_000}),  # a wall: it is flat
    ],
)
def test_a_range_that_fits(image, settings):
    scaler = ThermalScaler("fixed", **settings)
    scaler(image, 0.0)
    assert scaler.remarks.take() == ()


def test_what_comes_later_is_seen_too():
    scaler = ThermalScaler("fixed", low=28_700, high=31_500)
    for stamp in range(20):
        scaler(scene() + np.uint16(5_000 * (stamp > 5)), float(stamp))
    (said,) = scaler.remarks.take()
    assert "above the fixed thermal range" in said


def test_a_border_does_not_hide_it():
    image = scene()
    image[:20] = 0
    scaler = ThermalScaler("fixed")
    scaler(image, 0.0)
    assert any("fills 7 of 256" in line for line in scaler.remarks.take())
