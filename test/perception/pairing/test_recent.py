"""The message of a topic that belongs to another camera's image."""

from __future__ import annotations

from mafs_ros.perception.pairing.recent import KEPT, Recent

MS = 10**6


def test_the_nearest_within_the_slop_is_found():
    recent = Recent()
    assert recent.nearest(0, 0, "stamp", 1.0) is None
    for index in range(3):
        recent.add(index * 100 * MS, (index * 100 + 500) * MS, index)
    assert recent.nearest(140 * MS, 0, "stamp", 0.1) == 1
    assert recent.nearest(240 * MS, 0, "stamp", 0.04) == 2
    assert recent.nearest(241 * MS, 0, "stamp", 0.04) is None
    assert recent.nearest(0, 620 * MS, "arrival", 0.1) == 1


def test_only_the_newest_are_kept():
    recent = Recent()
    for index in range(KEPT + 1):
        recent.add(index * MS, 0, index)
    assert recent.nearest(0, 0, "stamp", 1.0) == 1
