"""The mailbox between pairing and worker: the newest item wins."""

import dataclasses
import threading

from arrivals import (
    DEADLINE_S,
)

from mafs_ros.perception.pairing.mailbox import Mailbox


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
