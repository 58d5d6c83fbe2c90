"""Messages of two cameras, streams of them, and a pairing that they are fed to."""

from types import SimpleNamespace

import numpy as np
import pytest

from mafs_ros.perception.pairing.policy import Pairing
from mafs_ros.perception.pairing.synchronizer import OwnTimeSynchronizer, message_filters

SEEDS = range(40)
RGB, THERMAL = 0, 1
MS = 1_000_000
DEADLINE_S = 20.0

needs_message_filters = pytest.mark.skipif(
    message_filters is None, reason="message_filters is not installed"
)
REAL = pytest.param(
    getattr(message_filters, "ApproximateTimeSynchronizer", None),
    id="message_filters",
    marks=needs_message_filters,
)
# Over every synchroniser that can be imported: ours, and message_filters' where installed.
BOTH = pytest.mark.parametrize("synchronizer", [pytest.param(OwnTimeSynchronizer, id="own"), REAL])


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
