"""Fusion and segmentation scores: hand-computed cases, the definitions, measured anchors."""

import math
import time

import cv2
import numpy as np
import pytest

from mafs_ros.evaluation import metrics
from mafs_ros.evaluation.metrics import FusionScores, fusion

QA_ALIGNED = 0.9879 / (1 + math.exp(-4.4))


def grey(*rows):
    return np.array(rows, np.uint8)


def test_luminance_weights_and_rounds():
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [5, 0, 0]]], np.uint8)
    # 5 * 0.299 = 1.495 -> 1
    assert metrics.luminance(rgb).tolist() == [[76, 150, 29, 255, 1]]


def test_luminance_names_a_wrong_input():
    with pytest.raises(ValueError, match=r"float32 \[2, 2, 3\]"):
        metrics.luminance(np.zeros((2, 2, 3), np.float32))


@pytest.mark.parametrize(
    ("img", "bits"),
    [(grey([7, 7], [7, 7]), 0.0), (grey([0, 0], [255, 255]), 1.0), (grey([0, 1], [2, 3]), 2.0)],
)
def test_entropy(img, bits):
    assert metrics.entropy(img) == pytest.approx(bits)


def test_standard_deviation_is_of_the_population():
    assert metrics.standard_deviation(grey([0, 0], [255, 255])) == 127.5


def test_spatial_frequency():
    # dx = 3 everywhere, dy = 4 everywhere.
    assert metrics.spatial_frequency(grey([0, 3], [4, 7])) == 5.0


def test_average_gradient_central_and_forward_differ():
    ridge = grey([0, 10, 0], [0, 10, 0], [0, 10, 0])
    # Central: |gx| = 10, 0, 10. Forward: 10, 10.
    assert metrics.average_gradient(ridge) == pytest.approx(20 / 3 / math.sqrt(2))
    assert metrics.average_gradient(ridge, "forward") == pytest.approx(10 / math.sqrt(2))
    with pytest.raises(ValueError, match="sideways"):
        metrics.average_gradient(ridge, "sideways")


def test_floats_are_rounded_halves_to_even():
    assert metrics.entropy(np.array([[0.5, 0.4], [1.5, 2.5]])) == 1.0  # 0, 0, 2, 2


@pytest.mark.parametrize("value", [-1.0, 256.0, math.nan])
def test_floats_outside_the_grey_range_are_refused(value):
    with pytest.raises(ValueError, match=r"must lie in 0\.\.255"):
        metrics.entropy(np.array([[0.0, value]]))


def test_vif_of_identical_images_is_two_and_of_a_flat_fusion_zero():
    img = _texture(64, 48)
    flat = np.full_like(img, 90)
    assert metrics.vif(img, img, img) == pytest.approx(2.0, abs=1e-6)
    assert metrics.vif(img, img, flat) == pytest.approx(0.0, abs=1e-9)
    # A source without structure counts 1 whatever the fused image is.
    assert metrics.vif(flat, img, img) == pytest.approx(2.0, abs=1e-6)


def test_vif_follows_the_definition():
    """Against a literal evaluation: two-dimensional windows, one output pixel at a time."""
    source, other = _texture(45, 61), _texture(45, 61, seed=2)
    source[10:25, 5:30] = 40  # a flat patch takes the clean-up branches
    fused = ((source.astype(int) + 2 * other) // 3).astype(np.uint8)
    expected = _slow_vifp(source, fused) + _slow_vifp(other, fused)
    assert metrics.vif(source, other, fused) == pytest.approx(expected, abs=1e-9)


def test_vif_needs_a_minimal_size():
    assert metrics.vif(*[_texture(41, 41)] * 3) == pytest.approx(2.0, abs=1e-6)
    with pytest.raises(ValueError, match=r"at least 41x41, got \[40, 41\]"):
        metrics.vif(*[_texture(40, 41)] * 3)


def test_qabf_by_hand():
    # One row, zero-padded: strengths 2*20 and 2*10, all angles 0.
    source, twice = grey([10, 20]), grey([20, 40])
    half_kept = 0.9994 / 2  # the ratio of the strengths is 0.5
    assert metrics.qabf(source, source, twice) == pytest.approx(half_kept * QA_ALIGNED)
    # Equal strengths: the reference takes the strength (40, 20) for their ratio.
    assert metrics.qabf(source, source, source) == pytest.approx(0.9994 * QA_ALIGNED)


def test_qabf_counts_each_source_by_its_edges():
    black, source = grey([0, 0]), grey([10, 20])
    assert metrics.qabf(source, black, source) == pytest.approx(0.9994 * QA_ALIGNED)
    assert math.isnan(metrics.qabf(black, black, source))


def test_qabf_compares_directions():
    stripes = np.tile(np.repeat(grey([0, 200]), 4, axis=1), (32, 4))
    assert metrics.qabf(stripes, stripes, stripes) > 0.95
    assert metrics.qabf(stripes, stripes, np.ascontiguousarray(stripes.T)) < 0.2


def test_hot_looks_at_warm_pixels_that_are_dark_in_the_visible_image():
    thermal = np.full((10, 12), 50, np.uint8)
    thermal[:6, :10] = 200  # 60 warm pixels
    visible = np.full_like(thermal, 20)
    fused = np.full_like(thermal, 255)
    fused[:6, :10] = 150
    assert metrics.hot(thermal, visible, fused) == pytest.approx(0.75)
    visible[0, 0] = 161  # 200 - 161 < 40: 59 pixels are left
    assert metrics.hot(thermal, visible, fused) is None


def test_gradient_is_the_sobel_operator_with_repeated_edge_pixels():
    """By hand; scipy.ndimage.sobel over axis 1 and 0 (mode 'reflect') gives the same numbers.

    Corner: the rows 1 1 2, 1 1 2 and 7 7 11 surround it, so x = (2 - 1) + 2 (2 - 1) + (11 - 7).
    """
    x, y = fusion.gradient(grey([1, 2, 4, 9], [7, 11, 16, 0], [22, 29, 37, 200]))
    assert x.tolist() == [[7, 18, 10, -1], [16, 36, 156, 136], [25, 54, 502, 473]]
    assert y.tolist() == [[27, 36, 24, -15], [90, 108, 284, 606], [63, 72, 260, 621]]
    for line in (grey([5, 9, 255]), grey([5], [9], [255])):  # no second row, no second column
        x, y = fusion.gradient(line)
        along, across = (x, y) if line.shape[0] == 1 else (y, x)
        assert along.ravel().tolist() == [16, 1000, 984] and not across.any()


def stripes(amplitude):
    """Bars 4 px wide, 0 and `amplitude`, slanted so that both gradients occur: 40x40."""
    row, column = np.indices((40, 40))
    return (amplitude * ((row + column) // 4 % 2)).astype(np.uint8)


@pytest.mark.parametrize(
    ("fused", "expected"),
    [
        (stripes(100), 1.0),
        (stripes(50), 0.5),
        (stripes(100) // 2 + 120, 0.5),  # brightness does not matter
        (stripes(200), 1.0),  # more than all is not better
        (255 - stripes(100), 0.0),  # nor is the opposite worse than nothing
        (np.full((40, 40), 255, np.uint8), 0.0),  # the visible image
    ],
)
def test_glare_of_thermal_bars_under_a_flat_lamp(fused, expected):
    lamp = np.full((40, 40), 255, np.uint8)
    assert metrics.glare(stripes(100), lamp, fused) == pytest.approx(expected)


def test_glare_counts_what_lies_along_the_thermal_gradient():
    row, column = np.indices((40, 40))
    thermal, lamp = (6 * column).astype(np.uint8), np.full((40, 40), 255, np.uint8)
    diagonal = (3 * column + 3 * row).astype(np.uint8)
    assert metrics.glare(thermal, lamp, diagonal) == pytest.approx(0.5)
    assert metrics.glare(thermal, lamp, thermal.T.copy()) == 0


def test_glare_looks_10_px_around_lights_in_a_square():
    thermal = np.tile(np.arange(0, 252, 12, dtype=np.uint8), (40, 1))  # 21 columns
    visible = np.full((40, 21), 199, np.uint8)
    visible[0, 10] = 200  # lights the rows 0 to 10; the row 11 is seen by their gradients
    near, far = thermal.copy(), thermal.copy()
    near[12:], far[:12] = 0, 0
    assert metrics.glare(thermal, visible, near) == 1
    assert metrics.glare(thermal, visible, far) == 0
    # Seen from the last row there are less than 10 rows: 10 * 21 pixels are enough, 9 * 21 not.
    assert metrics.glare(thermal[:10], visible[:10], near[:10]) == 1
    assert metrics.glare(thermal[:9], visible[:9], near[:9]) is None


def test_glare_needs_lights_and_thermal_structure_that_the_visible_image_lacks():
    ramp, lamp = np.indices((40, 40))[1], np.full((40, 40), 255, np.uint8)
    weak, strong = (5 * ramp).astype(np.uint8), (6 * ramp).astype(np.uint8)
    assert metrics.glare(strong, lamp, strong) == 1
    assert metrics.glare(weak, lamp, weak) is None  # 8 * 5 is not more than 40
    assert metrics.glare(strong, strong, strong) is None  # lit (6 * 34 = 204), not stronger
    assert metrics.glare(strong, np.full_like(lamp, 199), strong) is None


def test_weaker_is_the_vif_of_the_source_that_fares_worse():
    a, b = _texture(48, 60), _texture(48, 60, seed=2)
    other = _slow_vifp(b, a)
    assert other < 0.2
    assert metrics.weaker(a, b, a) == pytest.approx(other, abs=1e-9)
    assert metrics.weaker(b, a, a) == pytest.approx(other, abs=1e-9)
    assert metrics.weaker(a, a, a) == pytest.approx(1, abs=1e-6)
    assert metrics.weaker(a, b, np.full_like(a, 90)) == pytest.approx(0, abs=1e-9)


def test_weaker_takes_the_smaller_one_in_each_image():
    """Not of the means: a copy of thermal here and of visible there is good at neither."""
    a, b = _texture(48, 48), _texture(48, 48, seed=2)
    scores = FusionScores()
    scores.accumulate(a, b, a)
    scores.accumulate(a, b, b)
    expected = (_slow_vifp(b, a) + _slow_vifp(a, b)) / 2
    assert scores.mean()["weaker"] == pytest.approx(expected, abs=1e-9)


def test_saturated_is_a_share_in_percent():
    assert metrics.saturated(grey([249, 250], [255, 0])) == 50


def test_sizes_must_agree():
    small, large = np.zeros((50, 50), np.uint8), np.zeros((50, 60), np.uint8)
    for metric in (metrics.vif, metrics.qabf, metrics.hot, metrics.weaker, metrics.glare):
        with pytest.raises(ValueError, match=r"visible \[50, 60\]"):
            metric(small, large, small)


def test_colour_is_refused_with_a_hint():
    with pytest.raises(ValueError, match=r"luminance\(\)"):
        metrics.entropy(np.zeros((4, 4, 3), np.uint8))


def test_fusion_scores_average_over_images():
    a, b = _texture(48, 48), np.full((48, 48), 100, np.uint8)
    scores = FusionScores()
    scores.accumulate(a, a, a)
    scores.accumulate(b, b, b)
    mean = scores.mean()
    assert list(mean) == list(metrics.FUSION_METRICS)
    assert mean["SD"] == pytest.approx(metrics.standard_deviation(a) / 2)
    assert mean["hot"] is None and mean["glare"] is None
    assert scores.line().startswith("2 images: EN ")
    assert "hot -" in scores.line()


def test_fusion_scores_take_colour():
    rgb = np.dstack([_texture(48, 48, seed) for seed in range(3)])
    luminance = metrics.luminance(rgb)
    thermal = _texture(48, 48, seed=9)
    scores = FusionScores()
    of_colour = scores.accumulate(thermal, rgb, rgb)
    assert of_colour == scores.accumulate(thermal, luminance, luminance)
    for name in ("weaker", "glare", "hot"):
        assert of_colour[name] == getattr(metrics, name)(thermal, luminance, luminance)


def test_fusion_scores_keep_nothing_of_a_bad_triple():
    scores = FusionScores()
    with pytest.raises(ValueError, match="one size"):
        scores.accumulate(_texture(48, 48), _texture(48, 50), _texture(48, 48))
    assert scores.per_image == []
    assert set(scores.mean().values()) == {None}


def test_vif_and_qabf_are_fast():
    images = [_texture(480, 640, seed) for seed in range(3)]
    times = []
    for _ in range(3):
        start = time.perf_counter()
        metrics.vif(*images)
        metrics.qabf(*images)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


def _texture(height, width, seed=0):
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width))
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def _slow_vifp(reference, distorted):
    ref, dist = reference.astype(float), distorted.astype(float)
    numerator = denominator = 0.0
    for scale, taps in enumerate((17, 9, 5, 3)):
        axis = np.arange(taps) - taps // 2
        window = np.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / (2 * (taps / 5) ** 2))
        window /= window.sum()
        if scale:
            ref, dist = (_valid(x, window)[::2, ::2] for x in (ref, dist))
        mu1, mu2 = _valid(ref, window), _valid(dist, window)
        s1 = np.maximum(_valid(ref * ref, window) - mu1**2, 0)
        s2 = np.maximum(_valid(dist * dist, window) - mu2**2, 0)
        s12 = _valid(ref * dist, window) - mu1 * mu2
        for v1, v2, v12 in zip(s1.ravel(), s2.ravel(), s12.ravel(), strict=True):
            g = v12 / (v1 + 1e-10)
            sv = v2 - g * v12
            if v1 < 1e-10:
                g, sv, v1 = 0, v2, 0
            if v2 < 1e-10:
                g, sv = 0, 0
            if g < 0:
                g, sv = 0, v2
            sv = max(sv, 1e-10)
            numerator += math.log10(1 + g * g * v1 / (sv + 2))
            denominator += math.log10(1 + v1 / 2)
    return numerator / denominator


def _valid(image, window):
    patches = np.lib.stride_tricks.sliding_window_view(image, window.shape)
    return np.einsum("ijkl,kl->ij", patches, window)
