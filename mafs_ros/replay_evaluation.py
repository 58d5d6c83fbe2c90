"""The evaluation of one bag: pair, perceive, score, write; what the report is made of."""

from __future__ import annotations

import argparse
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from mafs_ros.bags import Bag, BagError, ImageTopic, choose_topics
from mafs_ros.errors import one_line
from mafs_ros.ground_truth import LabelFolder, LabelTopic, open_labels
from mafs_ros.replay import BagTrouble
from mafs_ros.replay_candidate import Candidate, create_candidates
from mafs_ros.replay_frames import FrameTrouble, Images, Scorer, perceive
from mafs_ros.replay_outputs import Outputs
from mafs_ros.replay_pairs import Frame, PairLog, PairReader
from mafs_ros.replay_problems import explain
from mafs_ros.replay_worst import WorstFrames


@dataclass
class Series:
    """What the charts show, of each evaluated frame. score: mIoU in percent, or Qabf."""

    time_s: list[float] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)
    score: list[float | None] = field(default_factory=list)
    received: list[int] = field(default_factory=list)


class Replay:
    """The evaluation of one bag; everything that the report is made of lies in its attributes.

    same_bytes: frames of the live node that the offline evaluation equals; different: RGB stamps
    of those that it does not.
    """

    def __init__(self, args: argparse.Namespace, settings: dict[str, Any]) -> None:
        self.args = args
        self.settings = settings
        self.problems: list[str] = []
        self.candidates: list[Candidate] = []
        self.topics: tuple[ImageTopic, ImageTopic] | None = None
        self.labels: LabelTopic | LabelFolder | None = None
        self.pairs = PairLog()
        self.scorer = Scorer([], None)
        self.statuses: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.series = Series()
        self.worst = WorstFrames()
        self.live: Any = None  # a mafs_ros.live.Live, which needs ROS
        self.same_bytes = 0
        self.different: list[int] = []

    def evaluate(self) -> None:
        """Read the bag and evaluate it; raises BagTrouble, OSError or ValueError."""
        with ExitStack() as stack:
            try:
                bag = stack.enter_context(Bag(self.args.bag, salvage=True))
                if bag.damage:
                    self.problems.append(f"{bag.damage}; evaluated is what could be salvaged")
                self.topics = choose_topics(bag, self.args.rgb_topic, self.args.thermal_topic)
                if self.args.labels:
                    self.labels = open_labels(self.args.labels, bag, self.topics[0])
            except BagError as error:
                raise BagTrouble(str(error)) from error
            if self.args.live:
                self._play_to_the_node()
            self.candidates = create_candidates(self.args, self.settings, self.labels is not None)
            for candidate in self.candidates:
                stack.callback(candidate.engine.close)
            self.scorer = Scorer(self.candidates, self.labels)
            outputs = stack.enter_context(Outputs(self))
            self._evaluate_pairs(bag, outputs)
        self.problems += explain(self)

    def _play_to_the_node(self) -> None:
        from mafs_ros.live import LiveError, run_live  # needs ROS

        assert self.topics is not None
        try:
            self.live = run_live(self, self.topics, self.args.rate)
        except LiveError as error:
            raise BagTrouble(f"live: {error}") from error
        self.problems += self.live.problems

    def _wanted(self, frame: Frame) -> bool:
        if self.live is not None:  # those that the node did, so that both scalers saw the same
            return frame.rgb.stamp in self.live.digests
        return frame.number % self.args.every == 0

    def _evaluate_pairs(self, bag: Bag, outputs: Outputs) -> None:
        assert self.topics is not None
        reader = PairReader(self.topics, self.settings, self.labels, self._wanted)
        self.pairs = reader.log
        total = (
            -(-min(topic.count for topic in self.topics) // self.args.every)
            if self.live is None
            else len(self.live.digests)
        )
        with (
            closing(reader.frames(bag)) as frames,
            tqdm(total=total, unit="frame", disable=None) as bar,
        ):
            while True:
                try:
                    frame = next(frames, None)
                except BagError as error:  # nothing more comes; what waited came before
                    self.problems.append(one_line(error))
                    return
                if frame is None:
                    return
                self._evaluate_frame(frame, outputs)
                bar.update()

    def _evaluate_frame(self, frame: Frame, outputs: Outputs) -> None:
        row: dict[str, Any] = {
            "pair": frame.number,
            "rgb_stamp_ns": frame.rgb.stamp,
            "thermal_stamp_ns": frame.thermal.stamp,
            "received_ns": frame.received,
            "offset_ms": self.pairs.offsets_ms[frame.number],
        }
        try:
            images = perceive(frame, self.candidates)
        except FrameTrouble as error:
            row.update(status=error.status, reason=one_line(error))
            self.statuses[error.status] += 1
            self.reasons[one_line(error)] += 1
            outputs.add_row(row)
            return
        self.statuses["ok"] += 1
        row.update(status="ok", reason="", height=images.rgb.shape[0], width=images.rgb.shape[1])
        self._check_live(frame, images)
        row.update(self.scorer.score(frame, images))
        self._remember(frame, row)
        outputs.add_row(row)
        outputs.add_frame(frame, images, row)

    def _check_live(self, frame: Frame, images: Images) -> None:
        if self.live is None:
            return
        if self.live.gave(frame.rgb.stamp, images.perceived[0]):
            self.same_bytes += 1
        else:
            self.different.append(frame.rgb.stamp)

    def _remember(self, frame: Frame, row: dict[str, Any]) -> None:
        self.series.time_s.append((frame.rgb.stamp - self.pairs.rgb_stamps[0]) / 1e9)
        self.series.total_ms.append(sum(self.candidates[0].timings_ms[-1].values()))
        self.series.score.append(row.get("Qabf" if self.labels is None else "miou_percent"))
        self.series.received.append(frame.received)
