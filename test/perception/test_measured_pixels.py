"""Which pixels of a thermal image count: what is no measurement is left out, what is one stays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from thermal_scenes import LEVELS, celsius, contrast, scene

from mafs_ros.perception.thermal import ThermalScaler

SIZES = [(120, 160), (480, 640)]
ROUND = np.hypot(*(np.mgrid[:120, :160] - np.array([60, 80]).reshape(2, 1, 1)))
NOISE = np.random.default_rng(0).random((120, 160))


def put(image, where, value):
    image = image.copy()
    image[where] = value
    return image


def border(image, share):
    """0 on all sides, on this share of the pixels."""
    height, width = image.shape
    kept = (1 - share) ** 0.5
    rows, columns = round(height * (1 - kept) / 2), round(width * (1 - kept) / 2)
    picture = np.zeros_like(image)
    inside = np.s_[rows : height - rows, columns : width - columns]
    picture[inside] = image[inside]
    return picture


def left_out(image, **settings):
    """Scale one image; its contrast and what was said."""
    scaler = ThermalScaler(**settings)
    scaled = scaler(image, 0.0)
    return contrast(scaled, *image.shape), scaler.remarks.take()


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("share", [0.02, 0.08, 0.4])
@pytest.mark.parametrize("kind", [lambda image: image, celsius])
def test_a_border_of_zeros(height, width, share, kind):
    levels, said = left_out(border(kind(scene(height, width)), share))
    assert levels >= LEVELS
    assert len(said) == 1 and "% of its pixels are exactly 0, apart from all others" in said[0]
    assert "set thermal_invalid_values" in said[0]


@pytest.mark.parametrize(
    "side", [np.s_[:12], np.s_[-12:], np.s_[:, :9], np.s_[:, -9:], np.s_[60:]]
)
@pytest.mark.parametrize("value", [0, 65535, 16383, 32768])
def test_a_border_at_one_side(side, value):
    scaler = ThermalScaler()
    scaler(put(scene(), side, value), 0.0)
    low, high = scaler.range
    assert 29_100 < low < 29_320 and 30_900 < high < 30_940


METHODS = [cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC]


@pytest.mark.parametrize(
    ("degrees", "method"),
    [(degrees, method) for degrees in (1, 3, 7) for method in METHODS] + [(1, cv2.INTER_LANCZOS4)],
)
@pytest.mark.parametrize("height", [60, 120, 480])
def test_corners_of_a_rotated_image(degrees, method, height):
    """Interpolated: beside the zeros lie mixtures, and values beyond those of the picture."""
    width = height * 4 // 3
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    turned = cv2.warpAffine(scene(height, width), turn, (width, height), flags=method)
    assert left_out(turned)[0] >= LEVELS


@pytest.mark.parametrize("degrees", [0.3, 0.6])
@pytest.mark.parametrize("kind", [lambda image: image, celsius])
def test_a_border_so_thin_that_no_pixel_is_zero(degrees, kind):
    turn = cv2.getRotationMatrix2D((80, 60), degrees, 1)
    turned = cv2.warpAffine(kind(scene()), turn, (160, 120))
    levels, said = left_out(turned)
    assert levels >= LEVELS
    assert len(said) == 1 and "of its outermost pixels lie outside" in said[0]


def test_lines_mixed_with_what_lies_outside():
    """Shifted by part of a pixel: no 0, but one row and one column on the way to it."""
    shift = np.array([[1, 0, 0.4], [0, 1, 0.6]])
    assert left_out(cv2.warpAffine(scene(), shift, (160, 120)))[0] >= LEVELS


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("filled", [0.06, 0.4, 1.0])
@pytest.mark.parametrize("where", ["top", "bottom", "left", "right"])
def test_telemetry(rows, filled, where):
    rng = np.random.default_rng(0)
    image = scene()
    shape = (rows, 160) if where in ("top", "bottom") else (120, rows)
    words = rng.integers(0, 65536, shape) * (rng.random(shape) < filled)
    stack = np.vstack if where in ("top", "bottom") else np.hstack
    parts = [words, image] if where in ("top", "left") else [image, words]
    with_words = stack(parts).astype(np.uint16)
    clean = ThermalScaler()
    clean(image, 0.0)
    for kind in (lambda image: image, celsius):
        scaler = ThermalScaler()
        scaled = scaler(kind(with_words), 0.0)
        assert scaled.shape == with_words.shape
        found = scaler.range
        if kind is celsius:
            found = tuple((value + 273.15) * 100 for value in found)
        assert found == pytest.approx(clean.range, abs=60)
        assert scaler.remarks.take()


def test_telemetry_is_named():
    words = np.random.default_rng(0).integers(0, 65536, (2, 160)).astype(np.uint16)
    _, said = left_out(np.vstack([scene(), words]))
    assert len(said) == 1 and said[0].startswith("thermal image: 2 bottom rows of 160x122 pixels")


@pytest.mark.parametrize(
    "value", [-10000, -9999, -32768, -273.15, 0, -100, -999, 65535, 1e6, -3.4e38, np.nan, np.inf]
)
def test_values_for_no_data_of_many_makers(value):
    image = celsius(scene())
    assert left_out(put(image, np.s_[:30], value))[0] >= LEVELS
    scattered = np.random.default_rng(0).random(image.shape) < 0.03
    assert left_out(put(image, scattered, value))[0] >= LEVELS - 10  # some are on the person


@pytest.mark.parametrize("share", [0.001, 0.02, 0.25])
def test_dead_and_saturated_pixels(share):
    image = scene()
    assert left_out(put(image, np.s_[: max(1, round(120 * share))], 65535))[0] >= LEVELS
    dead = put(image, (50, 70), 65535)
    assert left_out(dead)[0] == pytest.approx(left_out(image)[0], abs=1)


def test_a_block_of_hot_or_cold_pixels_without_noise():
    for value in (0, 60_000, 65_535):
        assert left_out(put(scene(), np.s_[:15, :20], value))[0] >= LEVELS


@pytest.mark.parametrize("value", [40_000, "noise"])
@pytest.mark.parametrize("where", [np.s_[:, 100], np.s_[77], np.s_[:, 100:103], np.s_[20:22]])
def test_dead_lines_inside(where, value):
    image = scene()
    noise = np.random.default_rng(0).integers(0, 65536, image[where].shape)
    levels, said = left_out(put(image, where, noise if value == "noise" else value))
    assert levels >= LEVELS
    assert len(said) == 1 and "right across it hold values far from all others" in said[0]


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(put(put(scene(), np.s_[:30], 0), np.s_[-30:], 0), id="bars of half an image"),
        pytest.param(put(scene(), ROUND > 75, 0), id="a round lens"),
        pytest.param(put(scene() - 27_000, ROUND > 75, 16_383), id="a round lens, 14 bit"),
        pytest.param(put(put(scene(), np.s_[59], 65_535), np.s_[:, 79], 65_535), id="crosshair"),
        pytest.param(put(scene(), np.s_[70:72], 0), id="dropped rows"),
        pytest.param(put(celsius(scene()), np.s_[:40], np.inf), id="an infinite sky"),
        pytest.param(put(celsius(scene()) + 273.15, np.s_[:12], -1), id="kelvin with -1"),
        pytest.param(put(scene(), NOISE < 0.05, 0), id="one dead pixel of twenty"),
    ],
)
def test_other_shapes_of_what_is_no_measurement(image):
    levels, said = left_out(image)
    assert levels >= LEVELS
    assert len(said) <= 1


def test_both_ends_and_half_a_frame():
    both = put(put(scene(), np.s_[:15], 65535), np.s_[-15:], 0)
    levels, said = left_out(both)
    assert levels >= LEVELS and len(said) == 2
    assert left_out(put(scene(), np.s_[90:], 0))[0] >= LEVELS


def test_8_bit_with_a_border():
    grey = (scene() // 16 - 1800).astype(np.uint8)
    assert left_out(border(grey, 0.1), mode="percentile")[0] >= LEVELS - 40
    assert left_out(border(grey, 0.1))[1] == ()  # taken as it is


# True measurements.


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(scene(), id="plain"),
        pytest.param(celsius(scene()) - 20, id="degrees around 0"),
        pytest.param(np.round(celsius(scene()) - 20, 1), id="tenths of a degree around 0"),
        pytest.param(np.round(celsius(scene()) - 20), id="whole degrees around 0"),
        pytest.param(celsius(scene()) - 60, id="degrees below 0"),
        pytest.param(put(scene(), np.s_[:48], 25_000), id="a sky without noise"),
        pytest.param(put(scene(), np.s_[:48], 23_315), id="a sky at the camera's lowest"),
        pytest.param(put(scene(), np.s_[:4], 25_000), id="a strip of sky"),
        pytest.param(put(scene(), np.s_[:12], scene()[:12] - 5_000), id="a cold strip"),
        pytest.param(put(scene(), np.s_[:, :4], scene()[:, :4] + 3_000), id="a warm frame"),
        pytest.param(put(scene(), np.s_[90:, 100:], 35_000), id="a hot engine"),
        pytest.param(put(scene(), np.s_[100:, 80:], scene()[100:, 80:] + 30_000), id="a fire"),
        pytest.param(put(celsius(scene()) - 20, np.s_[:40], 0), id="ice at 0 among -2 to 16"),
        pytest.param(np.where(np.eye(120, 160) > 0, 1000, 0).astype(np.uint16), id="two values"),
    ],
)
def test_true_measurements_stay(image):
    free, trusting = ThermalScaler(), ThermalScaler(invalid_values="none")
    for stamp in range(3):
        assert np.array_equal(free(image, stamp), trusting(image, stamp))
    assert free.range == trusting.range
    assert free.remarks.take() == ()


# Said by the user.


def test_given_values_are_left_out_and_black():
    image = put(put(scene(), np.s_[:30], 31_500), np.s_[30:40], 29_000)
    assert left_out(image)[0] < LEVELS
    for mode in ("percentile", "fixed"):
        scaler = ThermalScaler(mode, low=29_000, high=32_000, invalid_values="31500, 29000")
        scaled = scaler(image, 0.0)
        assert not scaled[:40].any() and scaled[40:].any()
    assert left_out(image, invalid_values="31500 29000")[0] >= LEVELS


def test_stills_are_judged_one_by_one():
    stills, alone = ThermalScaler(time_constant_s=0), ThermalScaler()
    stills(border(scene(), 0.2), 0.0)
    stills(put(scene(), np.s_[-2:], 65535), 0.0)
    clean = put(scene(), (3, 4), 0)
    assert np.array_equal(stills(clean, 0.0), alone(clean, 0.0))
    assert stills.range == alone.range
    assert len(stills.remarks.take()) == 2  # each value once


def test_none_trusts_every_pixel():
    levels, said = left_out(border(scene(), 0.1), invalid_values="none")
    assert levels < 50 and said == ()


@pytest.mark.parametrize("text", ["", "zero", "0;1", "0 nan", "auto 0"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="thermal_invalid_values: got .* expected auto, none"):
        ThermalScaler(invalid_values=text)


def test_an_image_of_given_values_alone_is_refused():
    scaler = ThermalScaler(invalid_values="0")
    scaler(scene(), 0.0)
    before = scaler.range
    with pytest.raises(ValueError, match="no finite value .* or in thermal_invalid_values"):
        scaler(np.zeros((120, 160), np.uint16), 0.1)
    assert scaler.range == before


def test_each_is_said_once_and_what_was_found_stays_known():
    scaler = ThermalScaler()
    for index in range(20):
        scaler(border(scene(seed=index % 4), 0.2), index / 10)
    assert len(scaler.remarks.take()) == 1
    scaler(put(np.full((120, 160), 29_315, np.uint16), np.s_[:30], 0), 2.0)  # a shutter
    assert contrast(scaler(border(scene(), 0.2), 2.1)) >= LEVELS
    said = scaler.remarks.take()
    assert len(said) <= 1 and "exactly" not in "".join(said)
