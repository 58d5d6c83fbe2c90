"""Augmentation: aligned, repeatable, in range, and as likely as it says."""

from __future__ import annotations

import dataclasses
from collections import Counter

import cv2
import numpy as np
import pytest

from training.data.augment import NONE, Augmentation, augment
from training.data.samples import IGNORE, Sample

STREET = Augmentation(
    crop=48,
    scale=(0.6, 1.6),
    brightness=(0.6, 1.25),
    gamma=(0.7, 1.4),
    colour=0.1,
    thermal_gain=(0.75, 1.25),
    thermal_offset=0.1,
    shift=2,
)


def marked(height: int = 96, width: int = 128) -> Sample:
    """Bright squares of 12 pixels at the same places of all three images, ids 1 to 6."""
    rgb, thermal = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    labels = np.zeros((height, width), np.uint8)
    for i, (y, x) in enumerate([(5, 9), (20, 90), (44, 40), (60, 100), (70, 10), (30, 62)]):
        area = np.s_[y : y + 12, x : x + 12]
        rgb[area], thermal[area], labels[area] = 255, 255, i + 1
    return Sample("marked", rgb, thermal, labels)


def pictured(height: int = 96, width: int = 128, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    rgb = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (width, height))
    thermal = cv2.resize(rng.integers(0, 256, (6, 8), np.uint8), (width, height))
    return Sample("pictured", rgb, thermal, rng.integers(0, 4, (height, width), np.uint8))


def only(**switches) -> Augmentation:
    return dataclasses.replace(NONE, **switches)


ALIGNED = {
    "nothing": NONE,
    "crop": only(crop=48),
    "large crop": only(crop=160),
    "flips": only(flips=("none", "horizontal", "vertical")),
    "rotate": only(rotate=True),
    "paper": Augmentation(crop=64),
    "scale up": only(scale=(1.5, 2.0)),
    "scale down": only(scale=(0.5, 0.7)),
    "scaled crop": only(crop=60, scale=(0.6, 1.6)),
    "scaled crop beyond the borders": only(crop=100, scale=(0.5, 0.8)),
    "tones": only(brightness=(0.8, 1.2), gamma=(0.8, 1.2), colour=0.1,
                  thermal_gain=(0.8, 1.2), thermal_offset=0.05),
    "all but the shift": dataclasses.replace(STREET, shift=0),
}  # fmt: skip


@pytest.mark.parametrize("how", ALIGNED.values(), ids=ALIGNED.keys())
def test_rgb_thermal_and_labels_stay_aligned(how: Augmentation) -> None:
    sample, seen = marked(), 0
    for seed in range(25):
        out = augment(sample, how, np.random.default_rng(seed))
        assert out.labels is not None
        assert out.rgb.shape == (*out.thermal.shape, 3) and out.labels.shape == out.thermal.shape
        objects = (out.labels > 0) & (out.labels < 255)
        inside = out.labels < 255
        seen += objects.sum()
        # Smoothing blurs one pixel at the edge of a square, and moves the edge by none.
        core = cv2.erode(objects.astype(np.uint8), np.ones((3, 3))) > 0
        near = cv2.dilate(objects.astype(np.uint8), np.ones((3, 3))) > 0
        edge = cv2.dilate((~inside).astype(np.uint8), np.ones((5, 5))) > 0
        for image in (out.rgb.mean(axis=2), out.thermal):
            assert image[core & ~edge].min(initial=255) > 120
            assert image[~near & inside & ~edge].max(initial=0) < 70
            assert (
                abs((image[inside & ~edge] > 127).mean() - objects[inside & ~edge].mean()) < 0.03
            )
    assert seen > 1000


@pytest.mark.parametrize("how", [Augmentation(crop=48), STREET, NONE])
def test_same_seed_same_sample(how: Augmentation) -> None:
    sample = pictured()
    one, two, other = (augment(sample, how, np.random.default_rng(s)) for s in (7, 7, 8))
    for name in ("rgb", "thermal", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert how is NONE or not np.array_equal(one.rgb, other.rgb)


def test_none_changes_nothing_and_no_input_is_written() -> None:
    sample = pictured()
    kept = [image.copy() for image in (sample.rgb, sample.thermal, sample.labels)]
    out = augment(sample, NONE, np.random.default_rng(0))
    for image, before in zip((out.rgb, out.thermal, out.labels), kept, strict=True):
        np.testing.assert_array_equal(image, before)
    for seed in range(20):
        augment(sample, STREET, np.random.default_rng(seed))
    for image, before in zip((sample.rgb, sample.thermal, sample.labels), kept, strict=True):
        np.testing.assert_array_equal(image, before)


def test_types_sizes_and_no_new_label() -> None:
    sample = pictured()
    assert sample.labels is not None
    for seed in range(30):
        out = augment(sample, STREET, np.random.default_rng(seed))
        assert out.rgb.shape == (48, 48, 3) and out.thermal.shape == (48, 48)
        for image in (out.rgb, out.thermal, out.labels):
            assert image is not None and image.dtype == np.uint8 and image.flags.c_contiguous
        assert set(np.unique(out.labels)) <= {0, 1, 2, 3, 255}
    assert augment(dataclasses.replace(sample, labels=None), STREET,
                   np.random.default_rng(0)).labels is None  # fmt: skip


def test_the_paper_draws_flips_and_quarter_turns_evenly() -> None:
    corners = np.array([[1, 2], [3, 4]], np.uint8)
    sample = Sample("corners", np.dstack([corners] * 3), corners, corners)
    rng = np.random.default_rng(0)
    flips = only(flips=("none", "horizontal", "vertical"))
    counts = Counter(augment(sample, flips, rng).thermal.tobytes() for _ in range(3000))
    assert set(counts) == {bytes([1, 2, 3, 4]), bytes([2, 1, 4, 3]), bytes([3, 4, 1, 2])}
    assert all(900 < n < 1100 for n in counts.values())
    counts = Counter(
        augment(sample, only(rotate=True), rng).thermal.tobytes() for _ in range(4000)
    )
    assert set(counts) == {bytes(b) for b in
                           ([1, 2, 3, 4], [2, 4, 1, 3], [4, 3, 2, 1], [3, 1, 4, 2])}  # fmt: skip
    assert all(900 < n < 1100 for n in counts.values())
    assert Augmentation() == Augmentation(
        crop=256, flips=("none", "horizontal", "vertical"), rotate=True, scale=(1.0, 1.0), shift=0
    )


def test_the_crop_reaches_every_place() -> None:
    ramp = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10)
    sample = Sample("ramp", np.dstack([ramp] * 3), ramp, ramp)
    rng = np.random.default_rng(0)
    corners = {int(augment(sample, only(crop=8), rng).thermal[0, 0]) for _ in range(600)}
    assert corners == {10 * y + x for y in range(5) for x in range(3)}


def test_focused_crops_hold_a_rare_class() -> None:
    labels = np.zeros((100, 120), np.uint8)
    labels[:, :10], labels[70, 90], labels[0, 0] = 1, 2, IGNORE
    image = np.zeros((100, 120), np.uint8)
    sample = Sample("a", np.dstack([image] * 3), image, labels)
    how = Augmentation(crop=20, focus=1.0, flips=("none",), rotate=False)
    crops = [augment(sample, how, np.random.default_rng(seed)).labels for seed in range(200)]
    with_rare = sum((crop == 2).any() for crop in crops if crop is not None)
    with_common = sum((crop == 1).any() for crop in crops if crop is not None)
    assert with_rare + with_common == 200 and 70 < with_rare < 130
    empty = Sample("b", sample.rgb, image, np.zeros_like(labels))
    for other in (empty, Sample("c", sample.rgb, image, None)):
        assert augment(other, how, np.random.default_rng(0)).thermal.shape == (20, 20)


def test_small_images_are_continued_with_ignored_labels() -> None:
    sample = pictured(20, 100)
    places = set()
    for seed in range(40):
        out = augment(sample, only(crop=64), np.random.default_rng(seed))
        assert out.labels is not None and out.labels.shape == (64, 64)
        rows = np.flatnonzero((out.labels != 255).all(axis=1))
        assert len(rows) == 20 and np.ptp(rows) == 19
        assert (out.labels == 255).sum() == 44 * 64
        top = rows[0]
        places.add(int(top))
        if top > 0:  # the mirror image, not a black border
            np.testing.assert_array_equal(out.rgb[top - 1], out.rgb[top + 1])
    assert len(places) > 10


def test_a_shift_moves_thermal_alone() -> None:
    sample = pictured()
    offsets = set()
    for seed in range(60):
        out = augment(sample, only(shift=2), np.random.default_rng(seed))
        np.testing.assert_array_equal(out.rgb, sample.rgb)
        np.testing.assert_array_equal(out.labels, sample.labels)
        inner = out.thermal[8:-8, 8:-8]
        found = [
            (down, right)
            for down in range(-4, 5)
            for right in range(-4, 5)
            if np.array_equal(inner, sample.thermal[8 - down : 88 - down, 8 - right : 120 - right])
        ]
        assert len(found) == 1
        offsets.update(found)
    assert max(map(max, offsets)) == 2 and min(map(min, offsets)) == -2 and len(offsets) > 15


def test_a_shift_takes_real_pixels_from_beyond_the_crop() -> None:
    sample = pictured()
    how = only(crop=60, shift=3)
    for seed in range(20):
        out = augment(sample, how, np.random.default_rng(seed))
        match = cv2.matchTemplate(sample.thermal, out.thermal, cv2.TM_SQDIFF)
        y, x = np.unravel_index(int(match.argmin()), match.shape)
        if 0 < y < match.shape[0] - 1 and 0 < x < match.shape[1] - 1:
            np.testing.assert_array_equal(out.thermal, sample.thermal[y : y + 60, x : x + 60])
            return
    pytest.fail("no crop lay inside the image")


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2)])
def test_images_of_a_few_pixels(size: tuple[int, int]) -> None:
    for seed in range(30):
        out = augment(pictured(*size), dataclasses.replace(STREET, shift=9),
                      np.random.default_rng(seed))  # fmt: skip
        assert out.rgb.shape == (48, 48, 3) and out.thermal.shape == (48, 48)
        assert augment(pictured(*size), only(shift=9), np.random.default_rng(seed)).rgb.size


def test_tones_are_what_they_say() -> None:
    grey = np.full((4, 4), 100, np.uint8)
    sample = Sample("grey", np.dstack([grey] * 3), grey, grey)
    rng = np.random.default_rng(0)
    assert augment(sample, only(brightness=(1.5, 1.5)), rng).rgb[0, 0].tolist() == [150] * 3
    assert augment(sample, only(gamma=(2.0, 2.0)), rng).rgb[0, 0].tolist() == [39] * 3
    assert augment(sample, only(thermal_gain=(0.5, 0.5)), rng).thermal[0, 0] == 50
    assert augment(sample, only(brightness=(9.0, 9.0)), rng).rgb.max() == 255
    for switches, changed, kept in (
        ({"colour": 0.2}, "rgb", "thermal"),
        ({"thermal_offset": 0.2}, "thermal", "rgb"),
    ):
        values = set()
        for _ in range(50):
            out = augment(sample, only(**switches), rng)
            assert (getattr(out, kept) == 100).all() and (out.labels == grey).all()
            values.update(getattr(out, changed).ravel().tolist())
        low, high = (80, 120) if changed == "rgb" else (49, 151)
        assert low <= min(values) < 90 and 110 < max(values) <= high
    colours = augment(sample, only(colour=0.2), rng).rgb[0, 0]
    assert len(set(colours.tolist())) == 3


def test_lists_of_a_recipe_and_impossible_values() -> None:
    how = Augmentation(flips=["none", "horizontal"], scale=[0.6, 1.6])  # type: ignore[arg-type]
    assert how.flips == ("none", "horizontal") and how.scale == (0.6, 1.6)
    for wrong, text in (
        ({"crop": 0}, "crop must be"),
        ({"flips": ()}, "flips must be some of none, horizontal, vertical"),
        ({"flips": ("diagonal",)}, "diagonal"),
        ({"scale": (1.5, 0.5)}, "scale must be a range"),
        ({"gamma": (0.0, 1.0)}, "gamma must be a range"),
        ({"brightness": (1.0,)}, "brightness must be a range"),
        ({"colour": 1.0}, "colour in 0..1"),
        ({"shift": -1}, "shift of 0 or more"),
    ):
        with pytest.raises(ValueError, match=text):
            Augmentation(**wrong)  # type: ignore[arg-type]


OTHER_CAMERAS = {
    "gain_control": {"gain_control": 1.0},
    "glare": {"glare": 1.0},
    "border": {"border": 1.0},
    "blur": {"blur": 2.0},
    "noise": {"noise": 8.0},
}


@pytest.mark.parametrize("name", OTHER_CAMERAS)
def test_other_cameras_change_images_and_no_label(name: str) -> None:
    how, sample = only(**OTHER_CAMERAS[name]), pictured()
    changed = Counter()
    for seed in range(40):
        out = augment(sample, how, np.random.default_rng(seed))
        again = augment(sample, how, np.random.default_rng(seed))
        np.testing.assert_array_equal(out.labels, sample.labels)
        for image in ("rgb", "thermal"):
            drawn = getattr(out, image)
            assert drawn.dtype == np.uint8 and drawn.shape == getattr(sample, image).shape
            np.testing.assert_array_equal(drawn, getattr(again, image))
            changed[image] += not np.array_equal(drawn, getattr(sample, image))
    one_image = {"gain_control": ["thermal"], "glare": ["rgb"]}.get(name, ["rgb", "thermal"])
    assert sorted(key for key, count in changed.items() if count) == one_image
    assert all(changed[image] >= 8 for image in one_image)


def test_glare_only_brightens_and_borders_are_black_at_the_side() -> None:
    sample = pictured()
    glare = augment(sample, only(glare=1.0), np.random.default_rng(0)).rgb
    assert (glare >= sample.rgb).all() and (glare > sample.rgb).any()
    for seed in range(20):
        out = augment(sample, only(border=1.0), np.random.default_rng(seed))
        for image, before in ((out.rgb, sample.rgb), (out.thermal, sample.thermal)):
            wrong = (image != before) & (image != 0)
            assert not wrong.any()
            np.testing.assert_array_equal(image[20:-20, 26:-26], before[20:-20, 26:-26])


def test_a_dead_camera_is_black_as_often_as_asked() -> None:
    how, dead = only(dropout=0.2), Counter()
    for seed in range(1000):
        out = augment(pictured(8, 8), how, np.random.default_rng(seed))
        dead[not out.rgb.any(), not out.thermal.any()] += 1
    assert dead[True, True] == 0
    assert 70 < dead[True, False] < 130 and 70 < dead[False, True] < 130


def test_background_counts_near_objects_where_labels_miss_some() -> None:
    sample = dataclasses.replace(marked(), background=0.3)
    assert sample.labels is not None
    kept = 0
    for seed in range(200):
        labels = augment(sample, NONE, np.random.default_rng(seed)).labels
        assert labels is not None
        objects = sample.labels > 0
        np.testing.assert_array_equal(labels[objects], sample.labels[objects])
        near = cv2.dilate(objects.astype(np.uint8), np.ones((9, 9))) > 0
        assert not (labels[near] == IGNORE).any()
        kept += not (labels == IGNORE).any()
    assert 40 < kept < 80


@pytest.mark.parametrize("wrong", [{"dropout": 1.5}, {"noise": -1.0}])
def test_shares_and_sizes_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="dropout is a share|blur and noise must be"):
        only(**wrong)
