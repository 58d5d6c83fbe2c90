"""What times of reception say of stamps: each fault with its camera, and no false alarm."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mafs_ros.parameters.checks import check_together, complete
from mafs_ros.perception.pairing.stamp_faults import Arrivals, StampFault, find_fault

S, MS = 10**9, 10**6
NOW = 1_700_000_000 * S


def taken(hz: float, seconds: float = 6.0, start: int = NOW) -> np.ndarray:
    return start + (np.arange(round(hz * seconds)) * S / hz).astype(np.int64)


def camera(moments: np.ndarray, error: int = 0, delay: int = 20 * MS) -> Arrivals:
    """A camera that stamps with an error and whose images come after a delay, in ns."""
    return Arrivals(moments + error, moments + delay)


def fault(rgb: Arrivals, thermal: Arrivals, **options) -> StampFault | None:
    found = find_fault(rgb, thermal, **{"slop_s": 0.05, "queue_size": 10, **options})
    if found is not None:  # the node takes what is advised
        check_together(complete(found.parameters))
        check_together(complete(found.if_wrong))
    return found


@pytest.mark.parametrize(
    ("rgb", "thermal"),
    [
        (camera(taken(30)), camera(taken(30), 2 * MS)),
        (camera(taken(30)), camera(taken(9, start=NOW + 13 * MS), delay=60 * MS)),
        (camera(taken(10)), camera(taken(10), delay=65 * MS)),  # less than a period later
        (camera(taken(10), -37 * S), camera(taken(10), -37 * S)),  # both of one other clock
        (camera(taken(10), 53 * S - NOW), camera(taken(10), 53 * S - NOW)),  # of one boot
        (camera(taken(10)), camera(taken(10)[:2])),  # too few to judge
        (camera(taken(1)), camera(taken(1))),  # whole seconds, rightly
        (camera(taken(10)), Arrivals(np.where(np.arange(60) < 2, 0, taken(10)), taken(10))),
        (camera(taken(10)), camera(np.repeat(taken(10), 2))),  # each image published twice
        (Arrivals(taken(10), taken(10)), Arrivals(taken(10), taken(10))),
        (Arrivals(taken(10), 0 * taken(10)), Arrivals(taken(10), 0 * taken(10))),  # no reception
    ],
)
def test_right_stamps(rgb: Arrivals, thermal: Arrivals) -> None:
    assert fault(rgb, thermal) is None
    assert fault(rgb, thermal, clock_ns=None, live=True) is None


def test_a_bag_played_faster_is_no_fault() -> None:
    moments = taken(10)
    played = Arrivals(moments - 10**7 * S, NOW + (moments - NOW) // 8)
    assert fault(played, played) is None


ARRIVAL = {"pair_by": "arrival"}
ZERO = Arrivals(0 * taken(10), taken(10))
WHOLE = Arrivals(taken(10) // S * S, taken(10))
MICRO = Arrivals(taken(10) // 1000, taken(10))
COUNTER = Arrivals(np.arange(60, dtype=np.int64) * S, taken(10))
JUMP = Arrivals(taken(10) + np.where(np.arange(60) < 30, 0, 100 * S), taken(10))
HALF_ZERO = Arrivals(np.where(np.arange(60) % 2, 0, taken(10)), taken(10))
MICRO_AS_NANO = Arrivals(taken(10) // S * S + taken(10) % S // 1000, taken(10))
BOOT, OTHER_BOOT = camera(taken(10), 53 * S - NOW), camera(taken(10), 9000 * S - NOW)


@pytest.mark.parametrize(
    ("rgb", "thermal", "words", "parameters"),
    [
        (camera(taken(10)), ZERO, "stamps of the thermal camera are all 0", ARRIVAL),
        (ZERO, camera(taken(10)), "stamps of the RGB camera are all 0", ARRIVAL),
        (ZERO, ZERO, "RGB camera and the thermal camera are all 0", ARRIVAL),
        (camera(taken(10)), WHOLE, "thermal camera are whole seconds", ARRIVAL),
        (camera(taken(10)), HALF_ZERO, "thermal camera are 0 in 30 of 60 images", ARRIVAL),
        (
            camera(taken(10)),
            MICRO_AS_NANO,
            "thermal camera are whole .* writes microseconds as nanoseconds",
            ARRIVAL,
        ),
        (camera(taken(10)), MICRO, "thermal camera advance .* count microseconds", ARRIVAL),
        (camera(taken(10)), COUNTER, "thermal camera advance by 10 s in a second", ARRIVAL),
        (MICRO, MICRO, "RGB camera and the thermal camera .* microseconds", ARRIVAL),
        (camera(taken(10)), JUMP, "thermal camera jump or drift by 100.000 s", ARRIVAL),
        (camera(taken(10)), BOOT, "thermal camera count from a start", ARRIVAL),
        (OTHER_BOOT, BOOT, "RGB camera count from a start .*thermal camera count from", ARRIVAL),
        (
            camera(taken(10)),
            camera(taken(10), 37 * S),
            "thermal camera are 37 s ahead of the time: TAI",
            {"thermal_time_offset_s": -37.0},
        ),
        (
            camera(taken(10), 37 * S),
            camera(taken(10)),
            "RGB camera are 37 s ahead of the time: TAI",
            {"thermal_time_offset_s": 37.0},
        ),
        (
            camera(taken(10)),
            camera(taken(10), -7200 * S),
            "thermal camera are 2 h behind the time: local time",
            {"thermal_time_offset_s": 7200.0},
        ),
        (camera(taken(10)), camera(taken(10), -(10**8) * S), "another clock", ARRIVAL),
        (
            camera(taken(10)),
            camera(taken(10), 19_800 * S),
            "thermal camera are 5.5 h ahead of the time: local time",
            {"thermal_time_offset_s": -19_800.0},
        ),
        (camera(taken(10)), camera(taken(10), -315_964_800 * S), "another clock", ARRIVAL),
        (
            camera(taken(30)),
            camera(taken(9), 500 * MS),
            "thermal camera are late by 0.5",
            {"thermal_time_offset_s": -0.5},
        ),
        (
            camera(taken(10), 300 * MS),
            camera(taken(10)),
            "RGB camera are late by 0.300 s",
            {"thermal_time_offset_s": 0.3},
        ),
    ],
)
def test_wrong_stamps(rgb: Arrivals, thermal: Arrivals, words: str, parameters: dict) -> None:
    found = fault(rgb, thermal)
    assert found is not None and not found.in_doubt
    assert re.search(words, found.text), found.text
    assert found.parameters == pytest.approx(parameters, abs=0.02)
    offset = found.parameters.get("thermal_time_offset_s")
    if offset is not None:  # with which nothing is wrong any more
        assert fault(rgb, thermal, offset_s=offset) is None


def test_a_recording_that_is_played_tells_boot_and_tai_by_the_other_camera() -> None:
    old = camera(taken(10), -(10**7) * S)
    tai = camera(taken(10), 37 * S - 10**7 * S)
    assert "ahead of those of the RGB camera: TAI" in str(fault(old, tai, clock_ns=None))
    assert "thermal camera count from a start" in str(fault(old, BOOT, clock_ns=None))


def test_right_stamps_that_come_late_are_no_offset() -> None:
    """30 Hz against a network camera, and against a stamp one frame behind at 9 Hz."""
    found = fault(camera(taken(30)), camera(taken(30), delay=520 * MS))
    assert found is not None and found.in_doubt and found.queue_short
    assert found.parameters == {"queue_size": 34}
    assert found.if_wrong == {"thermal_time_offset_s": pytest.approx(0.5, abs=0.01)}
    assert fault(camera(taken(30)), camera(taken(30), delay=520 * MS), queue_size=34).in_doubt
    behind = fault(camera(taken(30)), camera(taken(9), -111 * MS))
    assert behind is not None and behind.in_doubt and not behind.queue_short
    assert behind.if_wrong == {"thermal_time_offset_s": pytest.approx(0.111, abs=0.02)}


def test_a_driver_that_restarts_is_judged_once_its_stamps_are_steady() -> None:
    assert fault(camera(taken(10)), JUMP, live=True) is None
    after = Arrivals(*(part[35:] for part in JUMP))
    found = fault(camera(taken(10)[35:]), after, live=True)
    assert found is not None
    assert found.parameters == {"thermal_time_offset_s": pytest.approx(-100.0, abs=0.03)}
