"""Thermal scaling: ranges, what moves them and how fast, bad images."""

import math
import time

import numpy as np
import pytest

from mafs_ros.perception.thermal import ThermalScaler


def scene(hot=0, shift=0):
    """Centikelvin ramp of 285 to 295 K; the `hot` leftmost columns are at 330 K."""
    thermal = np.tile(np.linspace(28500, 29500, 160), (120, 1)) + shift
    thermal[:, :hot] = 33000
    return thermal.round().astype(np.uint16)


def ramp(low, high):
    return np.tile(np.linspace(low, high, 160), (120, 1)).round().astype(np.uint16)


def test_percentile_takes_the_range_of_the_first_image():
    scaler = ThermalScaler(percentiles=(1, 99))
    assert scaler.range is None
    scaled = scaler(scene(), 0.0)
    assert scaler.range == pytest.approx((28510, 29490), abs=10)
    assert scaled.dtype == np.uint8
    assert scaled.shape == (120, 160)
    assert (scaled[0, 0], scaled[0, -1]) == (0, 255)
    assert np.abs(scaled[0, 79:81] - 127.5).max() <= 1


@pytest.mark.parametrize("rate", [10, 30])
@pytest.mark.parametrize("columns", [20, 60])
def test_a_hot_object_does_not_change_the_background(rate, columns):
    """It enters, stays for 30 s and leaves: no background pixel changes by 2 levels an image."""
    scaler = ThermalScaler()
    images = [scene()] * rate + [scene(columns)] * 30 * rate + [scene()] * 30 * rate
    scaled = [scaler(image, i / rate)[:, columns:].astype(int) for i, image in enumerate(images)]
    changes = [np.abs(b - a).max() for a, b in zip(scaled[:-1], scaled[1:], strict=True)]
    assert max(changes) == 1  # the range did move
    assert max(changes[: rate - 1]) == 0


def test_a_hot_object_is_white_at_once_and_takes_its_place_in_the_range_later():
    scaler = ThermalScaler()
    scaler(scene(), 0.0)
    assert (scaler(scene(20), 0.1)[:, :20] == 255).all()
    for i in range(1500):
        scaler(scene(20), 0.2 + i / 30)
    assert scaler.range[1] == pytest.approx(33000, rel=1e-3)


def test_the_range_follows_small_changes_exponentially():
    scaler = ThermalScaler(time_constant_s=4.0)
    scaler(scene(), 0.0)
    start = scaler.range
    scaler(scene(shift=2), 4.0)
    moved = np.subtract(scaler.range, start)
    assert moved == pytest.approx([2 * (1 - math.exp(-1))] * 2, rel=0.01)


def test_the_range_depends_on_time_and_not_on_the_frame_rate():
    slow, fast = ThermalScaler(), ThermalScaler()
    slow(scene(), 0.0)
    fast(scene(), 0.0)
    slow(scene(shift=2), 0.4)
    for stamp in (0.1, 0.2, 0.3, 0.4):
        fast(scene(shift=2), stamp)
    assert fast.range == pytest.approx(slow.range, abs=1e-6)


def test_without_a_time_constant_every_image_has_its_own_range():
    scaler = ThermalScaler(time_constant_s=0)
    scaler(scene(), 0.0)
    scaler(scene(60), 0.0)
    assert scaler.range[1] == 33000


@pytest.mark.parametrize(
    ("image", "stamp"),
    [
        (scene(20), -0.1),  # a bag that loops
        (scene(20), 10.1),  # a pause of more than 5 time constants
        (scene(shift=5000), 0.1),  # another scene: the median lies outside the old range
        (ramp(28940, 29060), 0.1),  # an eighth of the old range would do
        (ramp(24000, 34000), 0.1),  # the old range is not an eighth of what it needs
        (ramp(26500, 31500), 0.1),  # most pixels lie outside the old range
    ],
)
def test_the_range_jumps_where_the_old_one_is_of_no_use(image, stamp):
    scaler = ThermalScaler()
    scaler(scene(), 0.0)
    fresh = ThermalScaler()
    assert (scaler(image, stamp) == fresh(image, stamp)).all()
    assert scaler.range == fresh.range


def test_reset_forgets_the_range():
    scaler = ThermalScaler()
    scaler(scene(), 0.0)
    scaler.reset()
    assert scaler.range is None
    scaler(scene(60), 0.1)
    assert scaler.range[1] == 33000


def test_a_repeated_stamp_keeps_the_range():
    scaler = ThermalScaler()
    scaler(scene(), 0.0)
    before = scaler.range
    scaler(scene(20), 0.0)
    assert scaler.range == before


@pytest.mark.parametrize(
    ("dtype", "level", "noise"),
    [(np.uint8, 100, 1), (np.uint16, 29000, 5), (np.float32, 290, 0.05)],
)
def test_a_flat_image_is_not_spread(dtype, level, noise):
    rng = np.random.default_rng(0)
    flat = np.full((120, 160), level, dtype)
    assert np.abs(ThermalScaler("percentile")(flat, 0.0) - 127.5).max() <= 1
    noisy = (level + rng.normal(0, noise, flat.shape)).astype(dtype)
    assert ThermalScaler("percentile")(noisy, 0.0).std() < 20


def test_fixed_range_in_counts():
    scaler = ThermalScaler("fixed", low=100, high=355)
    image = np.array([[0, 100, 101, 228, 355, 65535]], np.uint16)
    assert scaler(image, 0.0).tolist() == [[0, 0, 1, 128, 255, 255]]
    assert scaler.range == (100, 355)


def test_fixed_range_of_an_8_bit_image():
    scaler = ThermalScaler("fixed", low=50, high=101)
    image = np.array([[0, 50, 51, 101, 255]], np.uint8)
    assert scaler(image, 0.0).tolist() == [[0, 0, 5, 255, 255]]


@pytest.mark.parametrize(
    ("image", "kelvin_per_count"),
    [
        (np.array([[27315, 29865]], np.uint16), 0.01),
        (np.array([[2732, 2986]], np.uint16), 0.1),
        (np.array([[273.15, 298.65]], np.float32), 0.01),
    ],
)
def test_fixed_range_in_kelvin(image, kelvin_per_count):
    scaler = ThermalScaler(
        "fixed", low=273.15, high=298.65, unit="kelvin", kelvin_per_count=kelvin_per_count
    )
    assert np.abs(scaler(image, 0.0) - np.array([[0, 255]])).max() <= 1


def test_as_is_returns_the_image():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert ThermalScaler("as_is")(image, 0.0) is image


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_as_is_refuses_more_than_8_bit_and_says_what_to_do(dtype):
    with pytest.raises(ValueError, match=f"8-bit images, got {dtype.__name__}: set it to perc"):
        ThermalScaler("as_is")(np.zeros((3, 4), dtype), 0.0)


def test_kelvin_needs_more_than_8_bit():
    scaler = ThermalScaler("fixed", low=273, high=300, unit="kelvin")
    with pytest.raises(ValueError, match="needs 16-bit or float images, got uint8"):
        scaler(np.zeros((3, 4), np.uint8), 0.0)


@pytest.mark.parametrize("mode", ["percentile", "fixed"])
def test_values_that_are_no_numbers(mode):
    image = np.linspace(280, 300, 20_000, dtype=np.float32).reshape(100, 200)
    image[0, :3] = math.nan, math.inf, -math.inf
    scaler = ThermalScaler(mode, low=280, high=300)
    scaled = scaler(image, 0.0)
    assert scaled[0, :3].tolist() == [0, 255, 0]
    assert scaler.range == pytest.approx((280, 300), abs=0.5)
    assert np.isnan(image[0, 0])  # the caller's image is left alone


def test_an_image_without_any_number_is_refused_and_keeps_the_range():
    scaler = ThermalScaler()
    scaler(np.linspace(280, 300, 200, dtype=np.float32).reshape(10, 20), 0.0)
    before = scaler.range
    with pytest.raises(ValueError, match="no finite value"):
        scaler(np.full((10, 20), math.nan, np.float32), 0.1)
    assert scaler.range == before


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((3, 4, 1), np.uint8),
        np.zeros((0, 4), np.uint16),
        np.zeros((3, 4), np.int32),
        np.zeros((3, 4)),
    ],
)
@pytest.mark.parametrize("mode", ["percentile", "fixed", "as_is"])
def test_other_images_are_refused(image, mode):
    with pytest.raises(ValueError, match=rf"got {image.dtype} \[{image.shape[0]}, 4"):
        ThermalScaler(mode)(image, 0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "agc"}, "auto, percentile, fixed, as_is; got 'agc'"),
        ({"unit": "celsius"}, "counts, kelvin; got 'celsius'"),
        ({"mode": "fixed", "low": 5, "high": 5}, "low 5, high 5"),
        ({"low": math.nan}, "low nan"),
        ({"kelvin_per_count": 0}, "above 0, got 0"),
        ({"percentiles": (99, 1)}, r"got \(99, 1\)"),
        ({"percentiles": (0, 101)}, r"got \(0, 101\)"),
        ({"time_constant_s": -1}, "got -1"),
        ({"time_constant_s": math.nan}, "got nan"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ThermalScaler(**settings)


def test_strided_and_big_endian_images():
    image = scene()
    expected = ThermalScaler()(image, 0.0)
    padded = np.zeros((120, 200), np.uint16)
    padded[:, :160] = image
    assert (ThermalScaler()(padded[:, :160], 0.0) == expected).all()
    assert (ThermalScaler()(image.astype(">u2"), 0.0) == expected).all()
    celsius = image / 100 - 273.15
    native, swapped = (ThermalScaler()(celsius.astype(t), 0.0) for t in ("=f4", ">f4"))
    assert (native == swapped).all()


def test_scaling_is_cheap():
    image = np.random.default_rng(0).normal(29500, 300, (480, 640)).astype(np.uint16)
    scaler = ThermalScaler()
    times = []
    for i in range(30):
        start = time.perf_counter()
        scaler(image, i / 30)
        times.append(time.perf_counter() - start)
    assert min(times) < 2e-3  # 0.4 on an idle machine
