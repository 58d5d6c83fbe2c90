"""Time offsets, time that goes back, and what else may happen while pairing."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from arrivals import (
    BOTH,
    DEADLINE_S,
    MS,
    RGB,
    THERMAL,
    Recorder,
    assert_sound,
    check_counters,
    message,
    random_arrivals,
)

from mafs_ros.perception.pairing.policy import Pairing

ROOT = Path(__file__).resolve().parents[3]
LAST_MS = 2**31 * 1000 - 1  # the last that a stamp can hold


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
    recorder.feed_ms((THERMAL, 0), (THERMAL, 10_000), (RGB, 0), (RGB, -2e12), (THERMAL, LAST_MS))
    assert recorder.stamps_ms == [(0, 10_000)]


@BOTH
def test_offset_may_go_beyond_the_last_stamp(synchronizer):
    recorder = Recorder(synchronizer, 0.005, thermal_time_offset_s=10.0)
    recorder.feed_ms((THERMAL, LAST_MS), (THERMAL, LAST_MS - 10_000), (RGB, LAST_MS))
    assert recorder.stamps_ms == [(LAST_MS, LAST_MS - 10_000)]


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
        "import mafs_ros.images.messages.decode, mafs_ros.perception.pairing.policy\n"
        "from types import SimpleNamespace as N\n"
        "pairs = []\n"
        "p = mafs_ros.perception.pairing.policy.Pairing(\n"
        "    lambda *pair: pairs.append(pair), slop_s=0.01)\n"
        "msg = N(header=N(stamp=N(sec=1, nanosec=2)))\n"
        "p.add_rgb(msg); p.add_thermal(msg)\n"
        "assert pairs == [(msg, msg)]\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=DEADLINE_S)
