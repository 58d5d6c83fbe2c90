"""Pairs by arrival, for cameras whose stamps are of no use."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from mafs_ros.perception.pairing.policy import Pairing

MS = 1_000_000


@dataclass
class Message:
    received_ns: int
    stamp: int = 0
    header: Any = field(init=False)

    def __post_init__(self) -> None:
        self.header = SimpleNamespace(stamp=SimpleNamespace(nanoseconds=self.stamp))


def send(pairing: Pairing, count: int, start: int = 0, late: int = 30 * MS) -> None:
    """RGB and thermal images in turn, 100 ms apart, all with the stamp 0."""
    for number in range(count):
        at = start + number * 100 * MS
        pairing.add_rgb(Message(at))
        pairing.add_thermal(Message(at + late))


def test_images_that_arrive_together_pair() -> None:
    pairs: list[tuple[Message, Message]] = []
    pairing = Pairing(lambda *pair: pairs.append(pair), slop_s=0.05, pair_by="arrival")
    send(pairing, 20)
    assert len(pairs) == 20
    assert {t.received_ns - r.received_ns for r, t in pairs} == {30 * MS}
    assert pairing.counters.newest_offset_ms == 30.0
    pairing.thermal_time_offset_s = -0.03
    send(pairing, 1, start=2000 * MS)
    assert pairing.counters.newest_offset_ms == 0.0


def test_it_may_be_changed_at_any_time() -> None:
    """What waits is cleared, and all messages are accounted for."""
    pairs: list[Any] = []
    pairing = Pairing(lambda *pair: pairs.append(pair), slop_s=0.05)
    send(pairing, 20)
    assert len(pairs) == 1  # the others have the stamp of the first
    pairing.add_rgb(Message(0, stamp=5000 * MS))
    pairing.pair_by = "arrival"
    send(pairing, 20, start=3000 * MS)
    assert len(pairs) == 21
    pairing.pair_by = "stamp"
    counters = pairing.counters
    for camera in (counters.rgb, counters.thermal):
        rest = camera.paired + camera.unpaired_slop + camera.unpaired_overflow + camera.duplicate
        assert camera.received == rest + camera.late + camera.cleared + camera.pending
    assert counters.rgb.cleared == 1
