"""The evaluation of one bag: pair, perceive, score, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from mafs_ros.bags.reader import Bag, BagError, ImageTopic
from mafs_ros.bags.topics import choose_topics
from mafs_ros.base.errors import one_line
from mafs_ros.commands.replay.candidates import Candidate, create_candidates
from mafs_ros.commands.replay.frames import FrameTrouble, Images, Scorer, perceive, remarks_of
from mafs_ros.commands.replay.live_result import Live, LiveError
from mafs_ros.commands.replay.options import Options
from mafs_ros.commands.replay.outputs import Outputs
from mafs_ros.commands.replay.pictures import worst_jpeg
from mafs_ros.commands.replay.problems import explain, remarks_on_the_bag
from mafs_ros.commands.replay.result import ReplayResult
from mafs_ros.evaluation.bag_cameras import BagCameras
from mafs_ros.evaluation.bag_pairs import Frame, PairReader
from mafs_ros.evaluation.ground_truth import GroundTruth, open_labels
from mafs_ros.evaluation.metrics import luminance
from mafs_ros.evaluation.worst_frames import badness
from mafs_ros.perception.alignment.watch import CERTAIN, OffsetWatch


def evaluate_bag(options: Options, settings: dict[str, Any]) -> ReplayResult:
    """Evaluate a bag and write the files that grow with its frames.

    settings: parameters of the node. Trouble with the bag or the live node, and Ctrl-C, end the
    evaluation and are problems of the result. Raises OSError or ValueError for all else.
    """
    result = ReplayResult(options, settings)
    problems = result.problems
    try:
        with ExitStack() as stack:
            bag = stack.enter_context(Bag(options.bag, salvage=True))
            if bag.damage:
                problems.append(f"{bag.damage}; evaluated is what could be salvaged")
            topics = choose_topics(bag, options.rgb_topic, options.thermal_topic)
            result = replace(result, topics=topics)
            labels = open_labels(options.labels, bag, topics[0]) if options.labels else None
            cameras = None
            if settings["registration"] == "camera_info":
                cameras = BagCameras(bag, settings, topics)
            if options.live:
                live = play_to_the_node(options, settings, topics)
                problems += live.problems
                result = replace(result, live=live)
            candidates = create_candidates(options, settings)
            for candidate in candidates:
                stack.callback(candidate.close)
            reader = PairReader(topics, settings, labels, wanted(options, result.live), cameras)
            result = replace(result, candidates=[c.result for c in candidates], pairs=reader.log)
            tables = [c.table for c in result.candidates]
            outputs = Outputs(options.out, tables, settings["overlay_alpha"], options.media)
            evaluator = Evaluator(result, candidates, labels, stack.enter_context(outputs))
            damage = evaluate_pairs(reader, bag, evaluator, expected(result))
            result.frames.remarks.extend(remarks_on_the_bag(result))
            problems += [damage] if damage else []
        mapper = candidates[0].mapper
        problems += explain(result, mapper.source if mapper else None)
    except KeyboardInterrupt:
        problems.append("interrupted: this is the report of what was evaluated until then")
        result = replace(result, interrupted=True)
    except BagError as error:
        problems.append(one_line(error))
    except LiveError as error:
        problems.append(f"live: {one_line(error)}")
    return result


def play_to_the_node(
    options: Options, settings: dict[str, Any], topics: tuple[ImageTopic, ImageTopic]
) -> Live:
    """What the live node does with the bag; raises LiveError or OSError."""
    from mafs_ros.commands.replay.live import run_live  # which needs ROS

    return run_live(options, settings, topics)


def wanted(options: Options, live: Live | None) -> Callable[[Frame], bool]:
    """Which pairs are evaluated: those that the live node did, or every Nth."""
    if live is not None:  # so that both thermal scalers saw the same
        return lambda frame: frame.rgb.stamp in live.digests
    return lambda frame: frame.number % options.every == 0


def expected(result: ReplayResult) -> int:
    """How many frames there are to evaluate, about."""
    if result.live is not None:
        return len(result.live.digests)
    assert result.topics is not None
    return -(-min(topic.count for topic in result.topics) // result.options.every)


def evaluate_pairs(reader: PairReader, bag: Bag, evaluator: Evaluator, total: int) -> str:
    """Evaluate the wanted pairs with a progress bar; returns what ended the bag early, or ''."""
    with (
        closing(reader.frames(bag)) as frames,
        tqdm(total=total, unit="frame", disable=None) as bar,
    ):
        while True:
            try:
                frame = next(frames, None)
            except BagError as error:  # nothing more comes; what waited came before
                return one_line(error)
            if frame is None:
                return ""
            evaluator.evaluate(frame)
            bar.update()


class Evaluator:
    """Perceives, scores and writes one frame after the other, and logs them in a result."""

    def __init__(
        self,
        result: ReplayResult,
        candidates: Sequence[Candidate],
        labels: GroundTruth | None,
        outputs: Outputs,
    ) -> None:
        self._result, self._candidates, self._outputs = result, candidates, outputs
        self._labelled = labels is not None
        self._scorer = Scorer(candidates, labels, result.frames)
        self._registration = OffsetWatch()

    def evaluate(self, frame: Frame) -> None:
        """Raises OSError where the outputs cannot be written."""
        log = self._result.frames
        row: dict[str, Any] = {
            "pair": frame.number,
            "rgb_stamp_ns": frame.rgb.stamp,
            "thermal_stamp_ns": frame.thermal.stamp,
            "received_ns": frame.received,
            "offset_ms": self._result.pairs.offsets_ms[frame.number],
        }
        try:
            images = perceive(frame, self._candidates)
        except FrameTrouble as error:
            row.update(status=error.status, reason=one_line(error))
            log.statuses[error.status] += 1
            log.reasons[one_line(error)] += 1
            self._outputs.add_row(row)
            return
        log.statuses["ok"] += 1
        log.remarks.extend(f"pair {frame.number}: {line}" for line in remarks_of(images))
        row.update(status="ok", reason="", height=images.rgb.shape[0], width=images.rgb.shape[1])
        if self._result.live is not None:
            self._result.live.compare(frame.rgb.stamp, images.perceived[0])
        row.update(self._scorer.score(frame, images))
        row["registration_px"] = self._registration_px(frame, images)
        self._note(frame, images, row)
        self._outputs.add_row(row)
        self._keep_if_bad(frame, images, row, self._outputs.add_frame(frame, images))

    def _registration_px(self, frame: Frame, images: Images) -> float | None:
        """Pixels that the thermal images lie beside; None where that is not measured, or vague."""
        time_s = frame.rgb.stamp / 1e9
        if not self._result.settings["registration_warn_px"] or not self._registration.due(time_s):
            return None
        self._registration.add(images.rgb, images.perceived[0].thermal, time_s)
        offset = self._registration.offset
        if offset is None or offset.certainty < CERTAIN:
            return None
        since_s = (frame.rgb.stamp - self._result.pairs.rgb_stamps[0]) / 1e9
        self._result.series.offsets.append((since_s, offset))
        return offset.length

    def _note(self, frame: Frame, images: Images, row: dict[str, Any]) -> None:
        """What the charts show of a frame; row: its columns of frames.csv."""
        result, series = self._result, self._result.series
        series.time_s.append((frame.rgb.stamp - result.pairs.rgb_stamps[0]) / 1e9)
        series.total_ms.append(sum(result.candidates[0].timings_ms[-1].values()))
        series.score.append(row.get("miou_percent" if self._labelled else "Qabf"))
        series.received.append(frame.received)
        series.brightness.append(float(luminance(images.rgb).mean()))
        series.age_ms.append((frame.received - frame.rgb.stamp) / 1e6)

    def _keep_if_bad(
        self, frame: Frame, images: Images, row: dict[str, Any], picture: np.ndarray
    ) -> None:
        bad = badness(row, self._labelled)
        if bad is None:
            return
        table = self._result.candidates[0].table
        self._result.worst.consider(
            frame.number, frame.rgb.stamp, *bad, lambda: worst_jpeg(picture, images, table)
        )
