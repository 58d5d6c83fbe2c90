"""The simulated street: repeatable, exactly labelled, plausible in both cameras."""

import numpy as np
import pytest

from mafs_ros.simulation import StreetSimulation
from mafs_ros.simulation.world import make_world

SMALL = {"height": 180, "width": 240}
KELVIN = 27315


def test_shapes_and_types_at_any_size():
    for height, width in ((97, 131), (480, 640), (131, 97), (64, 333), (16, 16)):
        frame = StreetSimulation(1, height, width).frame(0.3)
        assert frame.rgb.shape == (height, width, 3) and frame.rgb.dtype == np.uint8
        assert frame.thermal.shape == (height, width) and frame.thermal.dtype == np.uint16
        assert frame.labels.shape == (height, width) and frame.labels.dtype == np.uint8


def test_refuses_impossible_arguments():
    with pytest.raises(ValueError, match="at least 16x16"):
        StreetSimulation(0, height=8)
    with pytest.raises(ValueError, match="got -1"):
        StreetSimulation(-1)


@pytest.mark.parametrize("night", [True, False])
def test_same_seed_and_time_give_the_same_bytes_in_any_order(night):
    one, other = (StreetSimulation(5, **SMALL, night=night) for _ in range(2))
    times = [0.0, 1.25, 40.0, 3.1]
    forward = [one.frame(t) for t in times]
    for t, before in reversed(list(zip(times, forward, strict=True))):
        again = other.frame(t)
        for name in ("rgb", "thermal", "labels"):
            assert np.array_equal(getattr(before, name), getattr(again, name)), (name, t)


def test_frames_do_not_share_memory():
    street = StreetSimulation(2, **SMALL)
    first = street.frame(1.0)
    kept = first.rgb.copy(), first.thermal.copy(), first.labels.copy()
    first_again = street.frame(1.0)
    street.frame(2.0)
    for name, before in zip(("rgb", "thermal", "labels"), kept, strict=True):
        assert np.array_equal(getattr(first, name), before)
        assert not np.shares_memory(getattr(first, name), getattr(first_again, name))


def test_noise_differs_between_frames_that_look_alike():
    # A camera that stands still: only noise and walkers change within a sixtieth of a second.
    still = next(seed for seed in range(20) if make_world(seed, 240, 180, None).speed == 0.0)
    street = StreetSimulation(still, **SMALL)
    a, b = street.frame(1.0), street.frame(1.0 + 1 / 60)
    same = a.labels == b.labels
    assert np.mean(a.thermal[same] != b.thermal[same]) > 0.5
    difference = a.thermal[same].astype(int) - b.thermal[same]
    noise = 1.4826 * np.median(np.abs(difference)) / np.sqrt(2)
    assert 2.0 < noise < 10.0  # 20 to 100 mK


def test_seeds_give_different_streets():
    thumbs = [
        StreetSimulation(seed, **SMALL, night=False).frame(0.0).rgb[::12, ::12].astype(float)
        for seed in range(6)
    ]
    for i, one in enumerate(thumbs):
        for other in thumbs[:i]:
            assert np.abs(one - other).mean() > 8.0


def test_seed_chooses_night_or_day():
    chosen = [make_world(seed, 64, 48, None).weather.night for seed in range(40)]
    assert 10 < sum(chosen) < 30
    assert StreetSimulation(0, 16, 16).night == chosen[0]
    assert StreetSimulation(3, 16, 16, night=True).night
    assert not StreetSimulation(3, 16, 16, night=False).night


def test_labels_are_the_four_ids_and_all_appear_in_most_streets():
    complete = 0
    for seed in range(8):
        street = StreetSimulation(seed, **SMALL)
        seen = set()
        for t in (0.0, 4.0, 9.0, 15.0, 22.0):
            seen |= set(np.unique(street.frame(t).labels).tolist())
        assert seen <= {0, 1, 2, 3}
        complete += seen == {0, 1, 2, 3}
    assert complete >= 6


def test_people_are_warmer_than_their_surroundings_at_night():
    differences = []
    for seed in range(7):
        street = StreetSimulation(seed, **SMALL, night=True)
        for t in (0.0, 5.0):
            frame = street.frame(t)
            people = frame.labels == 2
            if people.sum() > 60:
                rest = frame.thermal[frame.labels == 0]
                differences.append((frame.thermal[people].mean() - rest.mean()) / 100)
                assert frame.thermal[people].max() > KELVIN + 2000
    assert len(differences) >= 5
    assert min(differences) > 1.0 and np.median(differences) > 5.0


def test_temperatures_are_those_of_a_street():
    for seed in range(4):
        thermal = StreetSimulation(seed, **SMALL).frame(0.0).thermal.astype(float) / 100 - 273.15
        assert thermal.min() > -60 and thermal.max() < 90
        assert -15 < np.median(thermal) < 55


def test_nights_are_dark_and_days_are_not():
    def grey(night):
        return [StreetSimulation(s, **SMALL, night=night).frame(0.0).rgb.mean() for s in range(6)]

    nights, days = grey(True), grey(False)
    assert max(nights) < 80 and np.median(nights) < 50
    assert min(days) > 45 and np.median(days) > 70


def test_headlights_glare_at_night():
    # Somewhere an oncoming car saturates the colour image.
    brightest = 0.0
    for seed in range(6):
        street = StreetSimulation(seed, **SMALL, night=True)
        for t in (0.0, 3.0, 6.0):
            frame = street.frame(t)
            cars = frame.rgb[frame.labels == 1]
            if len(cars):
                brightest = max(brightest, np.mean(cars.min(axis=1) > 250))
    assert brightest > 0.003


@pytest.mark.parametrize("seed", [0, 3, 6])
def test_motion_is_smooth(seed):
    street = StreetSimulation(seed, **SMALL)
    times = np.arange(0.0, 6.0, 0.5)
    near = [np.mean(street.frame(t).labels != street.frame(t + 0.01).labels) for t in times]
    # Nothing jumps, but for the one frame in which a thing far away comes into sight.
    assert np.median(near) < 0.004 and max(near) < 0.02
    later = np.mean(street.frame(0.0).labels != street.frame(2.0).labels)
    assert later > np.median(near)


def test_labels_have_the_edges_of_the_thermal_image():
    # A person far warmer than the road behind: the label's border is where the heat ends.
    for seed in range(30):
        frame = StreetSimulation(seed, night=True).frame(0.0)
        people = frame.labels == 2
        if people.sum() > 3000:
            break
    assert people.sum() > 3000
    heat = frame.thermal.astype(float)
    inside = people & np.roll(people, 3, 0) & np.roll(people, -3, 0)
    inside &= np.roll(people, 3, 1) & np.roll(people, -3, 1)
    grown = people.copy()
    for axis in (0, 1):
        for step in (-4, 4):
            grown |= np.roll(people, step, axis)
    around = grown & (frame.labels == 0)
    around &= ~(np.roll(people, 2, 1) | np.roll(people, -2, 1))
    assert np.median(heat[inside]) - np.median(heat[around]) > 300
