"""Which pairs of a bag are evaluated: those that its images make by the node's own pairing.

The images are paired in the order of recording, with the slop, queue size and time offset of the
node's parameters; the caller says which of these pairs it wants (every Nth, those of a live run).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mafs_ros.bags.reader import Bag, BagError, BagMessage, ImageTopic
from mafs_ros.bags.times import Stamped, Times
from mafs_ros.evaluation.bag_cameras import BagCameras
from mafs_ros.evaluation.ground_truth import GroundTruth, LabelTopic
from mafs_ros.perception.pairing.counters import PairingCounters
from mafs_ros.perception.pairing.policy import Pairing
from mafs_ros.perception.registration import CameraRegistration

LABEL_WAIT = 30  # pairs that wait for a label topic which lags behind


@dataclass
class Frame:
    """A pair that is to be evaluated. number: of the pair, from 0; rgb_number: of the image.

    With registration: camera_info, what was known when it was recorded: registration, or
    not_registered, why there is none; depth, the image of it.
    """

    number: int
    rgb: BagMessage
    thermal: BagMessage
    rgb_number: int
    pair_by: str = "stamp"
    registration: CameraRegistration | None = None
    not_registered: str = ""
    depth: BagMessage | None = None

    @property
    def thermal_time_s(self) -> float:
        """When the thermal image was taken, as far as the node knows."""
        thermal = self.thermal
        return (thermal.received if self.pair_by == "arrival" else thermal.stamp) / 1e9

    @property
    def received(self) -> int:
        return max(self.rgb.received, self.thermal.received)


@dataclass
class PairLog:
    """All pairs so far, wanted or not, and how the images came.

    offsets_ms: thermal minus RGB stamp (or reception), thermal_time_offset_s included; rgb_stamps:
    in ns. times: by topic, like counters only there once the reading has ended.
    """

    offsets_ms: list[float] = field(default_factory=list)
    rgb_stamps: list[int] = field(default_factory=list)
    counters: PairingCounters | None = None
    times: dict[str, Times] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.rgb_stamps)


class PairReader:
    """Reads the wanted pairs of a bag and logs all of them.

    topics: RGB and thermal; settings: parameters of the node; labels: ground truth, those of a
    topic are collected on the way; wanted: which pairs to give; cameras: what is known of them,
    with registration: camera_info.
    """

    def __init__(
        self,
        topics: tuple[ImageTopic, ImageTopic],
        settings: dict[str, Any],
        labels: GroundTruth | None,
        wanted: Callable[[Frame], bool],
        cameras: BagCameras | None = None,
    ) -> None:
        self.log = PairLog()
        self._rgb, self._thermal = (topic.name for topic in topics)
        self._labels = labels if isinstance(labels, LabelTopic) else None
        self._wanted = wanted
        self._cameras = cameras
        self._shift_ns = round(settings["thermal_time_offset_s"] * 1e9)
        self._pair_by = settings["pair_by"]
        self._found: list[tuple[Stamped, Stamped]] = []
        self._pairing = Pairing(
            lambda rgb, thermal: self._found.append((rgb, thermal)),
            slop_s=settings["slop_s"],
            queue_size=settings["queue_size"],
            thermal_time_offset_s=settings["thermal_time_offset_s"],
            pair_by=settings["pair_by"],
        )

    def frames(self, bag: Bag) -> Generator[Frame, None, None]:
        """The wanted pairs, each once its labels are here or can be waited for no longer.

        Raises BagError where the bag is damaged, after all pairs before that place.
        """
        waiting: deque[Frame] = deque()
        labels, damage = self._labels, None
        try:
            with closing(self._paired(bag)) as pairs:
                for frame in pairs:
                    if frame is not None:
                        waiting.append(frame)
                    while waiting and (
                        labels is None
                        or len(waiting) > LABEL_WAIT
                        or labels.is_decided(waiting[0].rgb.stamp)
                    ):
                        yield waiting.popleft()
        except BagError as error:
            damage = error
        yield from waiting
        if damage is not None:
            raise damage

    def _paired(self, bag: Bag) -> Generator[Frame | None, None, None]:
        """The wanted pairs as recorded; None after each message that completes none."""
        labels = self._labels
        stamps: dict[str, tuple[list[int], list[int]]] = {
            self._rgb: ([], []),
            self._thermal: ([], []),
        }
        wanted = {self._rgb, self._thermal} | ({labels.topic.name} if labels else set())
        wanted |= self._cameras.names if self._cameras else set()
        try:
            for message in bag.messages(wanted):
                if labels is not None and message.topic == labels.topic.name:
                    labels.add(message)
                    yield None
                    continue
                if message.topic not in stamps:
                    assert self._cameras is not None
                    self._cameras.take(message)
                    continue
                own, received = stamps[message.topic]
                stamped = Stamped(message, message.stamp, len(own), message.received)
                own.append(message.stamp)
                received.append(message.received)
                add = (
                    self._pairing.add_rgb
                    if message.topic == self._rgb
                    else self._pairing.add_thermal
                )
                add(stamped)
                yield self._take_pair(*self._found.pop()) if self._found else None
        finally:
            self.log.counters = self._pairing.counters
            self.log.times = {
                name: Times(np.array(own, np.int64), np.array(received, np.int64))
                for name, (own, received) in stamps.items()
            }

    def _take_pair(self, rgb: Stamped, thermal: Stamped) -> Frame | None:
        frame = Frame(self.log.count, rgb.message, thermal.message, rgb.number, self._pair_by)
        apart = thermal.message.stamp - rgb.message.stamp
        if self._pair_by == "arrival":
            apart = thermal.message.received - rgb.message.received
        self.log.offsets_ms.append((apart + self._shift_ns) / 1e6)
        self.log.rgb_stamps.append(rgb.message.stamp)
        if self._cameras is not None:
            frame.registration = self._cameras.registration
            frame.not_registered = "" if frame.registration else self._cameras.trouble
            frame.depth = self._cameras.depth_for(rgb.message)
        return frame if self._wanted(frame) else None
