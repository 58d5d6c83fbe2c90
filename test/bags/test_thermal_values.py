"""What `mafs bag info` says of thermal values, and which scaling it proposes."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from recordings import write_bag

from mafs_ros.bags.describe import describe_bag
from mafs_ros.bags.reader import Bag
from mafs_ros.bags.thermal_values import radiometric_parameters, thermal_values
from mafs_ros.parameters.checks import check_change, complete

RNG = np.random.default_rng(0)
RGB = np.zeros((48, 64, 3), np.uint8)


def counts(low, high):
    """uint16 [48,64] with all values between, and noise."""
    ramp = np.linspace(low, high, 48 * 64).reshape(48, 64) + RNG.normal(0, 3, (48, 64))
    return np.clip(ramp, 0, 65535).astype(np.uint16)


def info(path, thermal):
    """Text of `mafs bag info`, whether it is sound, and the parameters that it proposes."""
    with Bag(write_bag(path / "bag", [(RGB, image) for image in thermal])) as bag:
        text, sound = describe_bag(bag)
    block = text[text.index("/**:") :].split("problem:")[0]
    return text, sound, yaml.safe_load(block)["/**"]["ros__parameters"]


@pytest.mark.parametrize(
    ("low", "high"), [(23_000, 24_400), (29_000, 31_000), (7_000, 9_500), (2_900, 3_100)]
)
def test_kelvin_and_a_fixed_range_are_never_proposed_by_themselves(tmp_path, low, high):
    _, sound, found = info(tmp_path, [counts(low, high)] * 4)
    assert sound and found["thermal_scaling"] == "percentile"
    assert not {"thermal_unit", "thermal_low", "thermal_high"} & found.keys()


def test_what_is_better_for_a_radiometric_camera_is_a_comment_that_works(tmp_path):
    text, _, found = info(tmp_path, [counts(29_000, 31_000)] * 4)
    assert "degrees Celsius, if the camera is radiometric" in text
    block = text[text.index("/**:") :]
    for name in ("thermal_scaling", "thermal_unit", "thermal_low", "thermal_high"):
        block = block.replace(f"    thermal_scaling: {found['thermal_scaling']!r}", "")
        block = block.replace(f"# {name}:", f"{name}:")
    block = "\n".join(line for line in block.splitlines() if '"percentile"' not in line)
    values = yaml.safe_load(block)["/**"]["ros__parameters"]
    check_change(complete({}), values, configured=False)
    assert (values["thermal_scaling"], values["thermal_unit"]) == ("fixed", "kelvin")
    assert values["thermal_low"] < 290 and values["thermal_high"] > 310


def test_a_street_at_minus_43_degrees_is_no_temperature():
    assert radiometric_parameters(thermal_values([counts(23_000, 24_400)])) == {}


def test_pixels_that_are_no_measurement_are_left_out_and_named(tmp_path):
    images = [counts(29_000, 31_000) for _ in range(4)]
    for image in images:
        image[:6] = 0
    text, _, _ = info(tmp_path, images)
    assert "exactly 0, apart from all others" in text
    values = thermal_values(images)
    assert values.smallest > 28_950 and values.low > 28_990


def test_images_without_any_value_are_a_problem(tmp_path):
    nothing = np.full((48, 64), np.nan, np.float32)
    text, sound, found = info(tmp_path, [nothing] * 4)
    assert not sound and "thermal_scaling" not in found
    assert text.count("finite value") == 1
    assert "problem: no thermal image has a finite value (all NaN or infinite)" in text


def test_some_images_without_any_value(tmp_path):
    nothing = np.full((48, 64), np.inf, np.float32)
    some = (counts(29_000, 31_000) / 100 - 273.15).astype(np.float32)
    text, sound, found = info(tmp_path, [nothing, some, some, some])
    assert not sound and found["thermal_scaling"] == "percentile"
    assert "problem: 1 of the thermal images looked at have no finite value" in text


def test_values_at_the_lowest_temperatures_of_a_camera(tmp_path):
    image = counts(25_000, 30_000)
    values = thermal_values([image])
    assert values.may_be_centikelvin and values.dtype == "uint16"
    assert not thermal_values([image.astype(np.float32)]).may_be_centikelvin
