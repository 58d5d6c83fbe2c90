"""Pairing over every synchroniser that is importable: ours, and message_filters' where installed.

`SEEDS` random streams (jitter, loss, delay, repeats, overtaking) are fed to each.
"""

import dataclasses
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mafs_ros.pairing import (
    BIAS_NS,
    Mailbox,
    OwnTimeSynchronizer,
    Pairing,
    Source,
    duration,
    message_filters,
)

ROOT = Path(__file__).resolve().parents[1]
SEEDS = range(40)
RGB, THERMAL = 0, 1
MS = 1_000_000
DEADLINE_S = 20.0

REAL = pytest.param(
    getattr(message_filters, "ApproximateTimeSynchronizer", None),
    id="message_filters",
    marks=pytest.mark.skipif(message_filters is None, reason="message_filters is not installed"),
)
SYNCHRONIZERS = [pytest.param(OwnTimeSynchronizer, id="own"), REAL]
BOTH = pytest.mark.parametrize("synchronizer", SYNCHRONIZERS)


def message(ns, label=None):
    """What pairing reads of an image message, and a name to know it by."""
    sec, nanosec = divmod(int(ns), 1_000_000_000)
    stamp = SimpleNamespace(sec=sec, nanosec=nanosec)
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp), ns=int(ns), label=label)


class Recorder:
    """A Pairing with its pairs, fed with (camera, message) in order of arrival."""

    def __init__(self, synchronizer, slop_s=0.05, **options):
        self.pairs = []
        self.pairing = Pairing(
            lambda rgb, thermal: self.pairs.append((rgb, thermal)),
            slop_s=slop_s,
            synchronizer=synchronizer,
            **options,
        )
        self.add = (self.pairing.add_rgb, self.pairing.add_thermal)

    def feed(self, arrivals):
        for camera, msg in arrivals:
            self.add[camera](msg)
            check_counters(self.counters)
        return self

    def feed_ms(self, *arrivals):
        return self.feed((camera, message(round(ms * MS))) for camera, ms in arrivals)

    @property
    def counters(self):
        return self.pairing.counters

    @property
    def stamps_ms(self):
        return [(rgb.ns / MS, thermal.ns / MS) for rgb, thermal in self.pairs]


def check_counters(counters):
    """Every message received is in exactly one bucket."""
    for camera in (counters.rgb, counters.thermal):
        buckets = dict(vars(camera))
        received = buckets.pop("received")
        assert received == sum(buckets.values()), camera
        assert min(buckets.values()) >= 0
    assert counters.paired == counters.rgb.paired == counters.thermal.paired


def stream(
    random,
    camera,
    *,
    count=120,
    period_ms=33.333,
    stamp_jitter_ms=0.0,
    loss=0.0,
    delay_ms=5.0,
    delay_jitter_ms=2.0,
    repeat=0.0,
    phase_ms=0.0,
    start_s=1.7e9,
):
    """(time of arrival, camera, message) of one camera; label: number of the image."""
    arrivals = []
    for i in range(count):
        taken = start_s * 1000 + phase_ms + i * period_ms
        stamp = round((taken + random.uniform(-1, 1) * stamp_jitter_ms) * MS)
        for _ in range(1 + (random.random() < repeat)):
            arrival = taken + delay_ms + random.random() * delay_jitter_ms
            if random.random() >= loss:
                arrivals.append((arrival, camera, message(stamp, i)))
    return arrivals


def in_order_of_arrival(*streams):
    together = sorted((a for s in streams for a in s), key=lambda a: a[0])
    return [(camera, msg) for _, camera, msg in together]


def random_arrivals(seed):
    """Two cameras with all faults at once, drawn by the seed."""
    random = np.random.default_rng(seed)
    return in_order_of_arrival(
        *(
            stream(
                random,
                camera,
                count=150,
                period_ms=random.choice([8, 16.7, 33.3, 100]),
                stamp_jitter_ms=random.choice([0, 3, 20]),
                loss=random.choice([0, 0.05, 0.4]),
                delay_ms=random.choice([0, 10, 150]),
                delay_jitter_ms=random.choice([1, 60]),
                repeat=random.choice([0, 0.1]),
                phase_ms=random.uniform(0, 30),
            )
            for camera in (0, 1)
        )
    )


def assert_sound(pairs, slop_ms):
    """No message twice, within the slop, never back in time."""
    for camera in (RGB, THERMAL):
        stamps = [pair[camera].ns for pair in pairs]
        assert all(a < b for a, b in zip(stamps, stamps[1:], strict=False))
    assert all(abs(rgb.ns - thermal.ns) <= slop_ms * MS for rgb, thermal in pairs)


# Pairing, any input


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


@pytest.mark.skipif(message_filters is None, reason="message_filters is not installed")
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
    for camera, msg in arrivals:
        other = list(recorder.pairing._cameras[1 - camera].waiting.values())
        before = len(recorder.pairs)
        recorder.add[camera](msg)
        if len(recorder.pairs) > before:
            partner = recorder.pairs[-1][1 - camera]
            assert abs(partner.ns - msg.ns) == min(abs(w.msg.ns - msg.ns) for w in other)
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


# Slop, queue, duplicates, order


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


# Time offset


@BOTH
def test_thermal_time_offset(synchronizer):
    recorder = Recorder(synchronizer, 0.005, thermal_time_offset_s=-0.08)
    thermal = message(182 * MS)
    recorder.feed([(RGB, message(100 * MS)), (THERMAL, thermal)])
    assert recorder.pairs[0][1] is thermal
    assert thermal.header.stamp.nanosec == 182 * MS  # the message is as it was
    assert recorder.counters.newest_offset_ms == pytest.approx(2.0)


@BOTH
def test_offset_may_make_stamps_negative(synchronizer):
    """Simulated time starts at 0; rclpy's Time would refuse, inside the synchroniser's lock."""
    recorder = Recorder(synchronizer, 0.005, thermal_time_offset_s=-10.0)
    recorder.feed_ms((THERMAL, 0), (THERMAL, 10_000), (RGB, 0), (RGB, -2e12), (THERMAL, 2e12))
    assert recorder.stamps_ms == [(0, 10_000)]
    assert BIAS_NS + (2**31) * 10**9 < 2**63


@BOTH
def test_offset_changes_while_running(synchronizer):
    recorder = Recorder(synchronizer, 0.005).feed_ms((RGB, 0), (THERMAL, 0), (THERMAL, 100))
    recorder.pairing.thermal_time_offset_s = -0.05
    recorder.pairing.thermal_time_offset_s = -0.05  # the same again clears nothing
    recorder.feed_ms((RGB, 100), (THERMAL, 150), (THERMAL, 100))
    assert recorder.stamps_ms == [(0, 0), (100, 150)]
    assert recorder.counters.thermal.cleared == 1
    assert recorder.counters.thermal.late == 1
    for offset_s in (-5.0, 5.0):  # no jump of time, and what was there stays known
        recorder.pairing.thermal_time_offset_s = offset_s
        recorder.feed_ms((THERMAL, 150))
    assert recorder.counters.thermal.duplicate == 2
    assert recorder.counters.resets == 0


# Time goes back


@BOTH
@pytest.mark.parametrize("queue_size", [1, 10])
def test_looping_bag(synchronizer, queue_size):
    """Three rounds of 5 s at 10 Hz: every round gives all its pairs."""
    recorder = Recorder(synchronizer, 0.02, queue_size=queue_size)
    for _ in range(3):
        recorder.feed_ms(*((c, 100 * i + c) for i in range(50) for c in (RGB, THERMAL)))
    assert recorder.stamps_ms == [(100 * i, 100 * i + 1) for _ in range(3) for i in range(50)]
    assert recorder.counters.resets == 2


@BOTH
def test_loop_with_waiting_images_of_the_future(synchronizer):
    """One camera alone at the end of the bag fills its queue with stamps that never come."""
    recorder = Recorder(synchronizer, 0.02, queue_size=3)
    first = [(c, 100 * i + c) for i in range(20) for c in (RGB, THERMAL)]
    recorder.feed_ms(*first, *((RGB, 2000 + 100 * i) for i in range(5)), *first)
    assert recorder.stamps_ms == [(100 * i, 100 * i + 1) for _ in range(2) for i in range(20)]
    assert recorder.counters.rgb.cleared == 3
    assert recorder.counters.rgb.unpaired_overflow == 2
    assert recorder.counters.resets == 1


@BOTH
def test_loop_shorter_than_the_jump_threshold_is_not_late_for_ever(synchronizer):
    recorder = Recorder(synchronizer, 0.02, queue_size=4)
    for _ in range(10):
        before = len(recorder.pairs)
        for _ in range(3):
            recorder.feed_ms(*((c, 50 * i + c) for i in range(9) for c in (RGB, THERMAL)))
        assert len(recorder.pairs) > before


@BOTH
def test_a_stamp_from_far_ahead_heals(synchronizer):
    recorder = Recorder(synchronizer, 0.02)
    recorder.feed_ms(
        (RGB, 0),
        (THERMAL, 0),
        (RGB, 3_600_000),
        (THERMAL, 100),
        (RGB, 100),
        (RGB, 200),
        (THERMAL, 200),
    )
    assert recorder.stamps_ms == [(0, 0), (100, 100), (200, 200)]
    assert recorder.counters.rgb.cleared == 1
    assert recorder.counters.resets == 1
    recorder.feed_ms((THERMAL, 3_600_000), (THERMAL, 300), (RGB, 300))  # another event, later
    assert recorder.stamps_ms[3:] == [(300, 300)]
    assert recorder.counters.resets == 2


@BOTH
def test_reset_keeps_the_counters(synchronizer):
    recorder = Recorder(synchronizer, 0.02).feed_ms((RGB, 900), (THERMAL, 900), (RGB, 1000))
    recorder.pairing.reset()
    check_counters(recorder.counters)
    assert recorder.counters.rgb.cleared == 1
    recorder.feed_ms((THERMAL, 1000), (RGB, 500), (THERMAL, 500))
    assert recorder.stamps_ms == [(900, 900), (500, 500)]


# Errors, threads


@BOTH
def test_exception_of_the_callback_comes_out_and_does_no_harm(synchronizer):
    def callback(rgb, thermal):
        pairs.append(rgb)
        if len(pairs) == 1:
            raise RuntimeError("first pair")

    pairs = []
    pairing = Pairing(callback, slop_s=0.02, synchronizer=synchronizer)
    pairing.add_rgb(message(0))
    with pytest.raises(RuntimeError, match="first pair"):
        pairing.add_thermal(message(0))
    in_time = threading.Thread(target=pairing.add_rgb, args=[message(100 * MS)], daemon=True)
    in_time.start()
    in_time.join(DEADLINE_S)
    assert not in_time.is_alive()
    pairing.add_thermal(message(100 * MS))
    assert len(pairs) == 2
    assert pairing.counters.paired == 2
    check_counters(pairing.counters)


@BOTH
def test_callback_may_ask_for_the_counters(synchronizer):
    seen = []
    pairing = Pairing(
        lambda *_: seen.append(pairing.counters.paired), slop_s=0.02, synchronizer=synchronizer
    )
    pairing.add_rgb(message(0))
    pairing.add_thermal(message(0))
    assert seen == [1]


@BOTH
def test_two_threads(synchronizer):
    recorder = Recorder(synchronizer, 0.4, queue_size=50)
    arrivals = random_arrivals(1)

    def play(camera):
        for to, msg in arrivals:
            if to == camera:
                recorder.add[camera](msg)

    threads = [
        threading.Thread(target=play, args=[camera], daemon=True) for camera in (RGB, THERMAL)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    check_counters(recorder.counters)
    assert_sound(recorder.pairs, 400)


@pytest.mark.parametrize(
    "options",
    [
        {"slop_s": -0.1},
        {"slop_s": float("nan")},
        {"slop_s": float("inf")},
        {"slop_s": 0.1, "queue_size": 0},
        {"slop_s": 0.1, "thermal_time_offset_s": float("nan")},
    ],
)
def test_impossible_settings(options):
    with pytest.raises(ValueError, match="got .* expected"):
        Pairing(print, **options)


def test_runs_without_ros():
    """Replay pairs bags on machines without ROS: no import of the file needs it."""
    program = (
        "import sys\n"
        'for name in ("rclpy", "message_filters", "sensor_msgs", "cv_bridge"):\n'
        "    sys.modules[name] = None\n"
        "import mafs_ros.images, mafs_ros.pairing\n"
        "from types import SimpleNamespace as N\n"
        "pairs = []\n"
        "p = mafs_ros.pairing.Pairing(lambda *pair: pairs.append(pair), slop_s=0.01)\n"
        "msg = N(header=N(stamp=N(sec=1, nanosec=2)))\n"
        "p.add_rgb(msg); p.add_thermal(msg)\n"
        "assert pairs == [(msg, msg)]\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=DEADLINE_S)


# The synchroniser itself, as message_filters documents it


def synchronised(synchronizer, *options, **more):
    sources = Source(), Source()
    sync = synchronizer(sources, *options, **more)
    pairs = []
    sync.registerCallback(lambda *args: pairs.append(args), "extra")
    return sources, sync, pairs


def stamped(ns, label=None):
    """A message that message_filters takes too: its stamp must be the real thing."""
    msg = message(ns, label)
    if message_filters is not None:
        from builtin_interfaces.msg import Time

        msg.header.stamp = Time(sec=msg.header.stamp.sec, nanosec=msg.header.stamp.nanosec)
    return msg


@BOTH
def test_synchroniser_takes_messages(synchronizer):
    (rgb, thermal), sync, pairs = synchronised(synchronizer, 2, 0.05)
    messages = [stamped(ms * MS) for ms in (0, 40, 50, 100)]
    rgb.signalMessage(messages[0])
    rgb.signalMessage(messages[1])
    thermal.signalMessage(messages[2])
    assert pairs == [(messages[1], messages[2], "extra")]
    assert [len(queue) for queue in sync.queues] == [1, 0]
    thermal.signalMessage(messages[2])  # a repeated stamp fires again, 50 ms do not: strict
    assert len(pairs) == 1
    for ms in (200, 300, 400):
        rgb.signalMessage(stamped(ms * MS))
    assert sorted(sync.queues[0]) == [300 * MS, 400 * MS]
    with sync.lock:
        for queue in sync.queues:
            queue.clear()
    sync.slop = duration(1000 * MS)
    thermal.signalMessage(messages[3])
    rgb.signalMessage(messages[0])
    assert pairs[1] == (messages[0], messages[3], "extra")


@BOTH
def test_synchroniser_without_headers(synchronizer):
    (rgb, thermal), _, pairs = synchronised(synchronizer, 2, 5.0)
    rgb.signalMessage("no header")
    thermal.signalMessage("no header")
    assert pairs == []
    (rgb, thermal), _, pairs = synchronised(synchronizer, 2, 5.0, allow_headerless=True)
    rgb.signalMessage("a")
    thermal.signalMessage("b")
    assert pairs == [("a", "b", "extra")]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.skipif(message_filters is None, reason="message_filters is not installed")
def test_synchronisers_are_equal_alone(seed):
    results = []
    for synchronizer in (OwnTimeSynchronizer, message_filters.ApproximateTimeSynchronizer):
        sources, sync, pairs = synchronised(synchronizer, [1, 3, 10][seed % 3], 0.05)
        for camera, msg in random_arrivals(seed):
            sources[camera].signalMessage(stamped(msg.ns, msg.label))
        results.append(([(a.ns, b.ns) for a, b, _ in pairs], [list(q) for q in sync.queues]))
    assert results[0] == results[1]


def test_own_synchroniser_by_time_of_arrival_and_its_limits():
    (rgb, thermal), _, pairs = synchronised(OwnTimeSynchronizer, 2, 5.0, sync_arrival_time=True)
    messages = message(0), message(10**15)
    rgb.signalMessage(messages[0])
    thermal.signalMessage(messages[1])
    assert pairs == [(*messages, "extra")]
    with pytest.raises(ValueError, match="got 3 inputs, expected 2"):
        OwnTimeSynchronizer([Source(), Source(), Source()], 10, 0.1)


def test_own_synchroniser_outlives_its_callback():
    (rgb, thermal), sync, pairs = synchronised(OwnTimeSynchronizer, 5, 0.05)
    sync.registerCallback(lambda *_: 1 / 0)
    rgb.signalMessage(message(0))
    with pytest.raises(ZeroDivisionError):
        thermal.signalMessage(message(0))
    assert not sync.lock.locked()
    assert sync.queues == [{}, {}]


# Mailbox


def test_mailbox_newest_wins():
    box = Mailbox()
    assert box.take(timeout=0) is None
    for item in ("a", "b", "c"):
        box.put(item)
    assert box.counters.waiting == 1
    assert box.take() == "c"
    assert dataclasses.asdict(box.counters) == {
        "put": 3,
        "taken": 1,
        "replaced": 2,
        "discarded": 0,
        "waiting": 0,
    }


def test_mailbox_close_wakes_and_stays_closed():
    box = Mailbox()
    results = []
    # (daemon: a failing test must not keep the test run from ending)
    takers = [
        threading.Thread(target=lambda: results.append(box.take()), daemon=True) for _ in range(3)
    ]
    for taker in takers:
        taker.start()
    box.close()
    for taker in takers:
        taker.join(DEADLINE_S)
        assert not taker.is_alive()
    assert results == [None, None, None]
    box.put("late")
    assert box.closed
    assert box.take(timeout=DEADLINE_S) is None
    assert box.counters.put == box.counters.discarded == 1


def test_mailbox_close_discards_what_waits():
    box = Mailbox()
    box.put("a")
    box.close()
    assert box.take() is None
    assert box.counters.discarded == 1
    assert box.counters.waiting == 0


def test_mailbox_between_threads_adds_up_in_order():
    box = Mailbox()
    taken = []

    def work():
        while (item := box.take()) is not None:
            taken.append(item)
            if item == 20_000:
                return

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    for item in range(1, 20_001):
        box.put(item)
    worker.join(DEADLINE_S)
    assert not worker.is_alive()
    counters = box.counters
    assert taken == sorted(set(taken))
    assert taken[-1] == 20_000
    assert counters.taken == len(taken)
    assert counters.put == 20_000 == counters.taken + counters.replaced
