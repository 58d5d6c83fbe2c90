"""The synchronisers themselves, as message_filters documents its own."""

import threading

import pytest
from arrivals import BOTH, DEADLINE_S, MS, SEEDS, message, needs_message_filters, random_arrivals

from mafs_ros.perception.pairing.synchronizer import (
    OwnTimeSynchronizer,
    Source,
    duration,
    message_filters,
)


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
    (rgb, thermal), _, pairs = synchronised(synchronizer, 2, 0.05)
    messages = [stamped(ms * MS) for ms in (0, 40, 50, 100)]
    rgb.signalMessage(messages[0])
    rgb.signalMessage(messages[1])
    thermal.signalMessage(messages[2])
    assert pairs == [(messages[1], messages[2], "extra")]
    thermal.signalMessage(messages[2])  # a repeated stamp fires again, 50 ms do not: strict
    assert len(pairs) == 1
    thermal.signalMessage(messages[1])  # 0 still waits, 40 does no more
    assert pairs[1:] == [(messages[0], messages[1], "extra")]


@BOTH
def test_synchroniser_forgets_the_oldest(synchronizer):
    (rgb, thermal), _, pairs = synchronised(synchronizer, 2, 0.05)
    messages = [stamped(ms * MS) for ms in (200, 300, 400)]
    for msg in messages:
        rgb.signalMessage(msg)
    for msg in messages:
        thermal.signalMessage(msg)
    assert pairs == [(msg, msg, "extra") for msg in messages[1:]]


@BOTH
def test_synchroniser_with_emptied_queues_and_another_slop(synchronizer):
    """What pairing does to it while it runs."""
    (rgb, thermal), sync, pairs = synchronised(synchronizer, 2, 0.05)
    messages = [stamped(ms * MS) for ms in (0, 100)]
    rgb.signalMessage(messages[1])
    for queue in sync.queues:
        queue.clear()
    sync.slop = duration(1000 * MS)
    thermal.signalMessage(messages[1])
    assert pairs == []
    rgb.signalMessage(messages[0])
    assert pairs == [(messages[0], messages[1], "extra")]


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
@needs_message_filters
def test_synchronisers_are_equal_alone(seed):
    results = []
    for synchronizer in (OwnTimeSynchronizer, message_filters.ApproximateTimeSynchronizer):
        sources, _, pairs = synchronised(synchronizer, [1, 3, 10][seed % 3], 0.05)
        for camera, msg in random_arrivals(seed):
            sources[camera].signalMessage(stamped(msg.ns, msg.label))
        results.append([(rgb.ns, thermal.ns) for rgb, thermal, _ in pairs])
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
    def callback(*_):
        if len(pairs) == 1:
            raise RuntimeError("first pair")

    (rgb, thermal), sync, pairs = synchronised(OwnTimeSynchronizer, 5, 0.05)
    sync.registerCallback(callback)
    rgb.signalMessage(message(0))
    with pytest.raises(RuntimeError, match="first pair"):
        thermal.signalMessage(message(0))
    in_time = threading.Thread(target=thermal.signalMessage, args=[message(0)], daemon=True)
    in_time.start()
    in_time.join(DEADLINE_S)
    assert not in_time.is_alive()
    assert len(pairs) == 1  # what was in the failed pair waits no more
    rgb.signalMessage(message(0))
    assert len(pairs) == 2
