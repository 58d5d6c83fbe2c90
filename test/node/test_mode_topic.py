"""The topic of the mode: told before the first frame of it, and no word while one goes out."""

from __future__ import annotations

import threading

from mafs_ros.node.mode_topic import ModeTopic


class Publisher:
    def __init__(self) -> None:
        self.told: list[str] = []

    def publish(self, message: object) -> None:
        self.told.append(message.data)  # type: ignore[attr-defined]


def test_each_change_is_told_once_and_not_within_a_frame() -> None:
    publisher = Publisher()
    topic = ModeTopic(publisher)
    topic.idle("none")
    for mode in ("pair", "pair", "rgb"):
        with topic.frame_of(mode):
            assert publisher.told[-1] == mode
            other = threading.Thread(target=topic.idle, args=("none",))
            other.start()
            other.join()
            assert publisher.told[-1] == mode
    topic.idle("none")
    topic.idle("none")
    assert publisher.told == ["none", "pair", "rgb", "none"]
