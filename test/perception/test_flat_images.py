"""Closed shutters, walls and images with one value everywhere: the range is there afterwards."""

from __future__ import annotations

import numpy as np
import pytest
from thermal_scenes import LEVELS, celsius, contrast, scene

from mafs_ros.perception.thermal import ThermalScaler

RNG = np.random.default_rng(0)
X = np.mgrid[:120, :160][1]
FLAT = {
    "shutter at the level of the wall": lambda: 29_320 + RNG.normal(0, 3, X.shape),
    "shutter without noise": lambda: np.full(X.shape, 29_320.0),
    "cold shutter": lambda: 27_000 + RNG.normal(0, 3, X.shape),
    "hot shutter": lambda: 31_500 + RNG.normal(0, 3, X.shape),
    "wall": lambda: 29_405 + 100 * X / 160 + RNG.normal(0, 4, X.shape),
    "wall with a slope": lambda: 29_300 + 250 * X / 160 + RNG.normal(0, 4, X.shape),
    "zeros": lambda: np.zeros(X.shape),
}
SCENES = [scene(seed=seed) for seed in range(4)]


@pytest.mark.parametrize("rate", [9, 30])
@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("as_float", [False, True])
def test_the_range_is_back_within_3_frames_after_5_s(rate, name, as_float):
    scaler = ThermalScaler()
    start, end = 2 * rate, 7 * rate
    levels = []
    for index in range(end + 3):
        image = FLAT[name]() if start <= index < end else SCENES[index % 4]
        image = image.astype(np.uint16)
        scaled = scaler(celsius(image) if as_float else image, index / rate)
        if index >= end:
            levels.append(contrast(scaled))
    assert levels[-1] >= LEVELS, levels


@pytest.mark.parametrize("name", [name for name in FLAT if "slope" not in name])
def test_a_camera_that_starts_with_one(name):
    scaler = ThermalScaler()
    for index in range(5):
        scaler(FLAT[name]().astype(np.uint16), index / 9)
    levels = [contrast(scaler(SCENES[index % 4], (5 + index) / 9)) for index in range(3)]
    assert levels[-1] >= LEVELS, levels


def test_a_shutter_does_not_move_the_range_at_all():
    scaler = ThermalScaler()
    for index in range(20):
        scaler(SCENES[index % 4], index / 9)
    before = scaler.range
    for index in range(20, 25):
        scaled = scaler(FLAT["shutter without noise"]().astype(np.uint16), index / 9)
        assert scaler.range == before
        assert np.ptp(scaled) == 0  # one grey, that of its level


@pytest.mark.parametrize("kelvin", [1, 2.5, 5])
def test_a_person_after_20_s_of_a_wall(kelvin):
    scaler = ThermalScaler()
    for index in range(600):
        wall = 29_315 + 100 * kelvin * (X / 160 - 0.5) + RNG.normal(0, 4, X.shape)
        scaler(wall.astype(np.uint16), index / 30)
    assert contrast(scaler(SCENES[0], 20.0)) >= LEVELS


def test_a_wall_that_stays_gets_a_range_of_its_own():
    scaler = ThermalScaler(time_constant_s=1.0)
    for index in range(100):
        image = SCENES[0] if index < 10 else FLAT["shutter at the level of the wall"]()
        scaler(image.astype(np.uint16), index / 10)
    low, high = scaler.range
    assert high - low == pytest.approx(100)


@pytest.mark.parametrize(
    ("image", "mode"),
    [
        (np.full((60, 80), 29_000, np.uint16), "auto"),
        (np.zeros((60, 80), np.float32), "auto"),
        (np.full((60, 80), 29_000, np.uint16), "fixed"),
        (np.full((60, 80), 7, np.uint8), "auto"),
    ],
)
def test_an_image_with_one_value_is_one_grey_and_one_line(image, mode):
    scaler = ThermalScaler(mode)
    for stamp in range(3):
        assert np.ptp(scaler(image, float(stamp))) == 0
    said = [line for line in scaler.remarks.take() if "all its pixels are" in line]
    assert len(said) == 1 and "shutter closed" in said[0]


@pytest.mark.parametrize("mode", ["percentile", "fixed"])
def test_an_image_without_any_number_is_refused(mode):
    scaler = ThermalScaler(mode, low=0, high=40)
    for stamp in range(3):
        with pytest.raises(ValueError, match="has no finite value"):
            scaler(np.full((60, 80), np.nan, np.float32), float(stamp))
