"""Several mailboxes and one taker: nobody is passed over."""

import threading

from arrivals import DEADLINE_S

from mafs_ros.perception.pairing.turns import Turns


def test_those_that_wait_are_served_in_turn_whoever_puts_more():
    turns = Turns(3)
    first, second, third = turns.mailboxes
    taken = []
    for _ in range(4):
        for item in range(5):
            first.put(item)  # the newest wins
        second.put("b")
        third.put("c")
        taken += [turns.take() for _ in range(3)]
    assert taken == [(0, 4), (1, "b"), (2, "c")] * 4
    assert [box.counters.taken for box in turns.mailboxes] == [4, 4, 4]
    assert first.counters.replaced == 16


def test_after_one_comes_the_next_in_the_circle_that_holds_something():
    turns = Turns(3)
    turns.mailboxes[1].put("b")
    assert turns.take() == (1, "b")
    turns.mailboxes[0].put("a")
    turns.mailboxes[1].put("b")
    assert turns.take() == (0, "a")
    assert turns.take() == (1, "b")


def test_a_put_wakes_the_taker_and_so_does_the_close():
    turns = Turns(2)
    taken = []

    def work():
        while (turn := turns.take()) is not None:
            taken.append(turn)
        taken.append(None)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    for number in range(1000):
        turns.mailboxes[number % 2].put(number)
    while turns.mailboxes[1].counters.waiting or turns.mailboxes[0].counters.waiting:
        assert worker.is_alive()
    turns.close()
    worker.join(DEADLINE_S)
    assert not worker.is_alive()
    assert taken[-1] is None and (1, 999) in taken
    turns.mailboxes[0].put("late")
    assert turns.take() is None
    assert turns.mailboxes[0].counters.discarded == 1
