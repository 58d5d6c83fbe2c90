"""Which images make a pair.

`SEEDS` random streams (jitter, loss, delay, repeats, overtaking) are fed to each synchroniser.
"""

import numpy as np
import pytest
from arrivals import (
    BOTH,
    MS,
    RGB,
    SEEDS,
    THERMAL,
    Recorder,
    assert_sound,
    in_order_of_arrival,
    message,
    needs_message_filters,
    random_arrivals,
    stream,
)

from mafs_ros.perception.pairing.synchronizer import OwnTimeSynchronizer, message_filters


@BOTH
@pytest.mark.parametrize("seed", SEEDS)
def test_random_streams(synchronizer, seed):
    slop_s = [0.0, 0.004, 0.02, 0.05, 0.3][seed % 5]
    queue_size = [1, 2, 5, 10][seed % 4]
    recorder = Recorder(synchronizer, slop_s, queue_size=queue_size)
    recorder.feed(random_arrivals(seed))
    assert_sound(recorder.pairs, slop_s * 1000)
    counters = recorder.counters
    assert counters.paired == len(recorder.pairs)
    assert max(counters.rgb.pending, counters.thermal.pending) <= queue_size
    assert counters.resets == 0
    if recorder.pairs:
        rgb, thermal = recorder.pairs[-1]
        assert counters.newest_offset_ms == pytest.approx((thermal.ns - rgb.ns) / MS)


@needs_message_filters
@pytest.mark.parametrize("seed", SEEDS)
def test_ours_and_message_filters_choose_the_same(seed):
    options = {"slop_s": [0.0, 0.02, 0.05, 0.3][seed % 4], "queue_size": [1, 3, 10][seed % 3]}
    arrivals = random_arrivals(seed)
    own = Recorder(OwnTimeSynchronizer, **options).feed(arrivals)
    real = Recorder(message_filters.ApproximateTimeSynchronizer, **options).feed(arrivals)
    assert own.pairs == real.pairs
    assert own.counters == real.counters


@BOTH
@pytest.mark.parametrize("seed", SEEDS)
def test_nearest_of_those_waiting(synchronizer, seed):
    """With the slop under half a period the choice is the synchroniser's alone."""
    random = np.random.default_rng(seed)
    arrivals = in_order_of_arrival(
        stream(random, RGB, stamp_jitter_ms=10, loss=0.1, delay_jitter_ms=30),
        stream(random, THERMAL, stamp_jitter_ms=10, loss=0.1, delay_jitter_ms=30),
    )
    recorder = Recorder(synchronizer, 0.016)
    unpaired = [], []  # of each camera, newer than its part of the newest pair
    for camera, msg in arrivals:
        before = len(recorder.pairs)
        recorder.add[camera](msg)
        unpaired[camera].append(msg.ns)
        if len(recorder.pairs) > before:
            pair = recorder.pairs[-1]
            others = unpaired[1 - camera]
            assert abs(pair[1 - camera].ns - msg.ns) == min(abs(ns - msg.ns) for ns in others)
            for own, paired in zip(unpaired, pair, strict=True):
                own[:] = [ns for ns in own if ns > paired.ns]
    assert recorder.counters.paired > 50


@BOTH
@pytest.mark.parametrize("delay_ms", [0.0, 4.0, 20.0, 45.0])
@pytest.mark.parametrize("loss", [0.0, 0.02, 0.1])
def test_synchronised_cameras_pair_exactly(synchronizer, delay_ms, loss):
    """Slop of 1.5 periods: what was taken together goes together, whatever was lost before."""
    random = np.random.default_rng(3)
    streams = (
        stream(random, RGB, count=400, loss=loss, delay_ms=5 + delay_ms),
        stream(random, THERMAL, count=400, loss=loss, delay_ms=5),
    )
    recorder = Recorder(synchronizer, 0.05).feed(in_order_of_arrival(*streams))
    pairs = {(rgb.label, thermal.label) for rgb, thermal in recorder.pairs}
    rgb, thermal = ({msg.label for *_, msg in s} for s in streams)
    taken_together = {(label, label) for label in rgb & thermal}
    # Before four images have come the period is not known: then the greedy choice stands.
    assert {pair for pair in taken_together - pairs if pair[0] > 5} == set()
    if loss == 0:
        assert pairs == taken_together


@BOTH
def test_passed_over_for_the_next_of_either_camera(synchronizer):
    start = [(c, 100 * i) for i in range(5) for c in (RGB, THERMAL)]
    arrived_later = Recorder(synchronizer, 0.09).feed_ms(
        *start, (THERMAL, 600), (RGB, 520), (RGB, 520), (RGB, 601)
    )  # thermal 500 was lost
    assert arrived_later.stamps_ms[5:] == [(601, 600)]
    assert arrived_later.counters.rgb.duplicate == 1
    arrived_before = Recorder(synchronizer, 0.09).feed_ms(
        *start, (RGB, 520), (THERMAL, 600), (RGB, 520), (RGB, 601)
    )
    assert arrived_before.stamps_ms[5:] == [(601, 600)]
    assert arrived_before.counters.rgb.unpaired_slop == 1
    in_between = Recorder(synchronizer, 0.09).feed_ms(*start, (RGB, 540), (THERMAL, 600))
    assert in_between.stamps_ms[5:] == [(540, 600)]  # the next one is hardly nearer: no waiting


@BOTH
@pytest.mark.parametrize("thermal_hz", [9, 25, 30, 60])
@pytest.mark.parametrize("phase_ms", [0, 9, 16, 24, 30])
def test_unsynchronised_cameras(synchronizer, thermal_hz, phase_ms):
    """Nearly every image of the slower camera is paired, and near."""
    random = np.random.default_rng(thermal_hz + phase_ms)
    seconds = 10
    rgb = stream(random, RGB, count=30 * seconds, delay_ms=12, stamp_jitter_ms=1)
    thermal = stream(
        random,
        THERMAL,
        count=thermal_hz * seconds,
        period_ms=1000 / thermal_hz,
        phase_ms=phase_ms,
        stamp_jitter_ms=1,
    )
    recorder = Recorder(synchronizer, 0.05).feed(in_order_of_arrival(rgb, thermal))
    assert_sound(recorder.pairs, 50)
    assert len(recorder.pairs) >= 0.95 * min(len(rgb), len(thermal))
    offsets_ms = [abs(a - b) for a, b in recorder.stamps_ms]
    assert max(offsets_ms[10:]) <= 33.3 * 2 / 3 + 4  # the nearer neighbour, or nearly so


@BOTH
def test_slop_includes_its_own_value(synchronizer):
    at_limit = Recorder(synchronizer, 0.05).feed_ms((RGB, 100), (THERMAL, 150))
    assert at_limit.stamps_ms == [(100, 150)]
    assert at_limit.counters.newest_offset_ms == 50
    beyond = Recorder(synchronizer, 0.05).feed(
        [(RGB, message(100 * MS)), (THERMAL, message(150 * MS + 1))]
    )
    assert beyond.pairs == []
    assert beyond.counters.rgb.unpaired_slop == 1  # given up as soon as thermal is past it
    assert beyond.counters.thermal.pending == 1
    exact = Recorder(synchronizer, 0.0).feed_ms((RGB, 100), (THERMAL, 100))
    assert exact.stamps_ms == [(100, 100)]


@BOTH
def test_slop_changes_while_running(synchronizer):
    recorder = Recorder(synchronizer, 0.01).feed_ms((RGB, 100), (THERMAL, 130))
    assert recorder.pairs == []
    recorder.pairing.slop_s = 0.04
    recorder.feed_ms((RGB, 160))
    assert recorder.stamps_ms == [(160, 130)]
    assert recorder.pairing.slop_s == 0.04


@BOTH
def test_silent_camera_is_overflow_and_distant_stamps_are_slop(synchronizer):
    silent = Recorder(synchronizer, 0.02, queue_size=4)
    silent.feed_ms(*((RGB, 33 * i) for i in range(10)))
    assert silent.counters.rgb.unpaired_overflow == 6
    assert silent.counters.rgb.pending == 4
    apart = Recorder(synchronizer, 0.02, queue_size=4)
    apart.feed_ms(*((camera, 100 * i + 50 * camera) for i in range(10) for camera in (0, 1)))
    assert apart.pairs == []
    assert apart.counters.rgb.unpaired_slop == 10
    assert apart.counters.rgb.unpaired_overflow == 0
    behind = Recorder(synchronizer, 0.02, queue_size=2)
    behind.feed_ms((THERMAL, 900), *((RGB, 33 * i) for i in range(5)))
    assert behind.counters.rgb.unpaired_slop == 3  # no longer queue would have helped
    assert behind.counters.rgb.pending == 2


@BOTH
def test_repeated_stamp_pairs_once(synchronizer):
    recorder = Recorder(synchronizer, 0.05)
    recorder.feed_ms(
        (RGB, 100),
        (RGB, 100),
        (THERMAL, 101),
        (RGB, 100),
        (THERMAL, 101),
        (RGB, 200),
        (THERMAL, 201),
        (RGB, 200),
    )
    assert recorder.stamps_ms == [(100, 101), (200, 201)]
    assert recorder.counters.rgb.duplicate == 3
    assert recorder.counters.thermal.duplicate == 1


@BOTH
def test_cameras_without_stamps_give_one_pair(synchronizer):
    recorder = Recorder(synchronizer, 0.05).feed_ms(*((i % 2, 0) for i in range(60)))
    assert recorder.stamps_ms == [(0, 0)]
    assert recorder.counters.rgb.duplicate == 29
    assert recorder.counters.resets == 0


@BOTH
def test_small_disorder_is_no_reset_and_never_goes_back(synchronizer):
    recorder = Recorder(synchronizer, 0.01)
    recorder.feed_ms((RGB, 0), (RGB, 33), (RGB, 66), (THERMAL, 33), (THERMAL, 0), (THERMAL, 66))
    assert recorder.stamps_ms == [(33, 33), (66, 66)]
    assert recorder.counters.rgb.unpaired_slop == 1  # passed over when 33 was paired
    assert recorder.counters.thermal.late == 1
    recorder.feed_ms((RGB, 132), (RGB, 99), (THERMAL, 99), (THERMAL, 132))  # overtaken, in time
    assert recorder.stamps_ms[2:] == [(99, 99), (132, 132)]
    recorder.feed_ms((THERMAL, 198), (RGB, 165), (THERMAL, 165), (RGB, 198))
    assert recorder.stamps_ms[4:] == [(165, 165), (198, 198)]
    assert recorder.counters.resets == 0
