"""`mafs replay`: evaluate the perception on a recorded drive, offline and without ROS.

The bag's images are paired in the order of recording, by the node's own Pairing, and every pair
is perceived (the live node skips pairs while it is busy). All outputs are the same bytes for the
same bag, settings and machine, but for timing.json, timing.csv and their part of report.html.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import json
import shutil
import sys
import time
from collections import Counter, deque
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mafs_ros.errors import one_line

if TYPE_CHECKING:
    import numpy as np

    from mafs_ros.bag_info import Stamped, Times
    from mafs_ros.bags import Bag, BagMessage, ImageTopic
    from mafs_ros.ground_truth import LabelFolder, LabelMapper, LabelTopic
    from mafs_ros.labels import ClassTable
    from mafs_ros.live import Live
    from mafs_ros.perception import Perceived, Perception

FILES = ('report.json', 'report.html', 'frames.csv', 'timing.json', 'timing.csv',
         'side_by_side.webm', 'output.mcap')
PART = '.mafs_replay'
LABEL_WAIT = 30      # pairs that wait for a label topic which lags behind
PANEL_WIDTH = 480    # of the pictures of the video
WORST = 6            # frames shown in the report
NAMED_TROUBLES = 5   # different reasons that are spelled out
STEPS = ('conversion', 'thermal', 'registration', 'engine')

EXAMPLE = '''\
examples:
  mafs replay drive --out report
  mafs replay drive --labels /labels/image --label-classes mfnet --out report
  mafs replay drive --params mafs.yaml --compare new.safetensors --out report
  mafs replay drive --compare torch --every 30 --out report
  mafs replay drive --live --out report

writes into DIR: report.html to read, report.json and frames.csv to compute with, timing.json and
timing.csv, side_by_side.webm, output.mcap (fused, labels, overlay, class table) for rviz or
Foxglove. docs/report_schema.md describes them. Exit code 1 where something was wrong with the
bag: the report then says what, and holds everything that could be evaluated.'''


def add_parser(commands) -> None:
    """Add `mafs replay` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        'replay', help='evaluate a recorded drive', epilog=EXAMPLE,
        description='From a rosbag2 to numbers and pictures: what pairs, how good and how fast.',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('bag', metavar='BAG', type=Path, help='folder, .mcap or .db3 file')
    parser.add_argument('--out', metavar='DIR', type=Path, required=True, help='output folder')
    parser.add_argument('--rgb-topic', metavar='TOPIC', default='', help='default: guessed')
    parser.add_argument('--thermal-topic', metavar='TOPIC', default='', help='default: guessed')
    parser.add_argument('--labels', metavar='TOPIC|DIR', help='ground truth: a mono8 topic of the '
                        'bag, or PNGs named by RGB stamp in ns or number of the RGB image')
    parser.add_argument('--label-classes', metavar='NAME|FILE', help='class table of the labels, '
                        'matched by name; default: that of the network')
    parser.add_argument('--weights', metavar='FILE', type=Path,
                        help='model file (.safetensors); default: the one shipped')
    parser.add_argument('--backend', choices=('auto', 'openvino', 'torch'), default='auto',
                        help='engine; default: auto, the fastest available')
    parser.add_argument('--compare', metavar='WEIGHTS|BACKEND', default='',
                        help='evaluate a second model file, or a second backend, beside the first')
    parser.add_argument('--params', metavar='FILE', type=Path,
                        help='parameter file of the node (slop_s, thermal_scaling, ...)')
    parser.add_argument('-p', dest='assignments', metavar='NAME:=VALUE', action='append',
                        default=[], help='one parameter of the node; may be repeated')
    parser.add_argument('--every', metavar='N', type=int, default=1,
                        help='evaluate only every Nth pair; default: 1, all')
    parser.add_argument('--live', action='store_true', help='play the bag to the real node (needs '
                        'ROS 2) and evaluate what it publishes: latency, age, drops, same bytes')
    parser.add_argument('--rate', metavar='X', type=float, default=1.0,
                        help='speed of --live; default: 1, as recorded')
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns 1 where something was wrong with the bag. Raises OSError or ValueError.

    Whatever the bag is like, a report is written as soon as the outputs can be.
    """
    if args.every < 1:
        args.usage_error(f'--every: got {args.every}, expected 1 or more')
    if args.live and args.every > 1:
        args.usage_error('--every does not go with --live, where the node itself skips pairs')
    if not 0.001 <= args.rate <= 1000:
        args.usage_error(f'--rate: got {args.rate:g}, expected 0.001 to 1000')
    from mafs_ros.replay_settings import read_settings

    settings = read_settings(args.params, args.assignments)
    if not args.bag.exists():
        raise FileNotFoundError(f'{args.bag}: there is no such bag')
    prepare_folder(args.out)
    replay = Replay(args, settings)
    interrupted = False
    try:
        replay.evaluate()
    except KeyboardInterrupt:
        interrupted = True
        replay.problems.append('interrupted: this is the report of what was evaluated until then')
    except BagTrouble as error:
        replay.problems.append(one_line(error))
    from mafs_ros.report import write_report

    report = write_report(args.out, replay)
    for problem in report['problems']:
        print(f'mafs replay: {problem}', file=sys.stderr)
    print(summary_line(report, args.out))
    return 130 if interrupted else 1 if report['problems'] else 0


class BagTrouble(ValueError):
    """Nothing can be evaluated in this bag; the message says why and goes into the report."""


def summary_line(report: dict[str, Any], out: Path) -> str:
    frames = report['frames']
    text = f'{frames["evaluated"]} of {report["pairing"]["pairs"]} pairs evaluated'
    if report['segmentation'] and report['segmentation']['miou_with_background'] is not None:
        text += f', mIoU {report["segmentation"]["miou_with_background"]:.2f} with background'
    return f'{text}; {out / "report.html"}'


def prepare_folder(out: Path) -> None:
    """Make the folder; remove the files of an earlier report. Raises OSError or ValueError."""
    from mafs_ros.files import prepare_output_folder

    prepare_output_folder(out)
    found = [name for name in FILES if (out / name).exists()]
    if found and 'report.json' not in found:
        raise ValueError(f'{out / found[0]}: exists and is not of an earlier report; '
                         'choose another --out')
    for name in found:
        (out / name).unlink()
    shutil.rmtree(out / PART, ignore_errors=True)


# What is evaluated ------------------------------------------------------------------------------


class Candidate:
    """One engine with its weights, and its scores over the frames so far."""

    def __init__(self, weights: Path, backend: str, settings: dict[str, Any]) -> None:
        from mafs_ros.engine import create_engine
        from mafs_ros.fuse import CACHE
        from mafs_ros.labels import ClassTable
        from mafs_ros.metrics import FusionScores
        from mafs_ros.perception import Perception
        from mafs_ros.replay_settings import registration_from
        from mafs_ros.thermal import scaler_from

        self.weights = weights
        scaler, registration = scaler_from(settings), registration_from(settings)
        self.engine = create_engine(backend, weights, threads=settings['threads'],
                                    cache_dir=CACHE.expanduser())
        self.table: ClassTable = ClassTable.from_dict(self.engine.model_info.class_table)
        self.perception: Perception = Perception(self.engine, scaler, registration)
        self.fusion = FusionScores()
        self.mapper: LabelMapper | None = None
        self.confusions: list[np.ndarray] = []   # int64 [C,C] of each labelled frame
        self.labelled: list[bool] = []           # for each evaluated frame
        self.timings_ms: list[dict[str, float]] = []
        self._prepared: set[tuple[int, ...]] = set()

    @property
    def name(self) -> str:
        return f'{self.weights.name}, {self.engine.name}'

    def perceive(self, rgb: np.ndarray, thermal: np.ndarray, stamp_s: float) -> Perceived:
        """As the node does; raises ValueError or RuntimeError."""
        if rgb.shape not in self._prepared:   # so that compiling is in no frame's time
            self.engine.prepare(*rgb.shape[:2])
            self._prepared.add(rgb.shape)
        return self.perception(rgb, thermal, stamp_s)


@dataclass
class Frame:
    """A pair that is to be evaluated. number: of the pair, from 0; rgb_number: of the image."""

    number: int
    rgb: BagMessage
    thermal: BagMessage
    rgb_number: int

    @property
    def received(self) -> int:
        return max(self.rgb.received, self.thermal.received)


@dataclass
class Series:
    """What the charts show, of each evaluated frame."""

    time_s: list[float] = field(default_factory=list)
    offset_ms: list[float] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)
    miou: list[float | None] = field(default_factory=list)
    received: list[int] = field(default_factory=list)


@dataclass(order=True)
class Worst:
    """A frame shown in the report. badness: larger is worse."""

    badness: float
    number: int
    stamp: int = field(compare=False)
    reason: str = field(compare=False)
    jpeg: bytes = field(compare=False)


class Replay:
    """The evaluation of one bag; everything that the report is made of lies in its attributes."""

    def __init__(self, args: argparse.Namespace, settings: dict[str, Any]) -> None:
        self.args = args
        self.settings = settings
        self.problems: list[str] = []
        self.candidates: list[Candidate] = []
        self.topics: tuple[ImageTopic, ImageTopic] | None = None
        self.labels: LabelTopic | LabelFolder | None = None
        self.times: dict[str, Times] = {}
        self.counters: Any = None
        self.offsets_ms: list[float] = []      # of all pairs
        self.paired_stamps: list[int] = []     # of their RGB images
        self.pairs = 0
        self.statuses: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.unlabelled_reasons: Counter[str] = Counter()
        self.series = Series()
        self.worst: list[Worst] = []
        self.agreement: list[float] = []
        self.fused_difference: list[float] = []
        self.live: Live | None = None
        self.same_bytes = 0                    # frames of the live node that offline equals
        self.different: list[int] = []         # RGB stamps of those that it does not
        self._first_stamp: int | None = None

    def evaluate(self) -> None:
        """Read the bag and evaluate it; raises BagTrouble, OSError or ValueError."""
        from mafs_ros.bags import Bag, BagError

        with ExitStack() as stack:
            try:
                bag = stack.enter_context(Bag(self.args.bag, salvage=True))
                if bag.damage:
                    self.problems.append(f'{bag.damage}; evaluated is what could be salvaged')
                self._choose(bag)
            except BagError as error:
                raise BagTrouble(str(error)) from error
            if self.args.live:
                self._play_to_the_node()
            self._create_candidates(stack)
            outputs = stack.enter_context(Outputs(self))
            self._evaluate_pairs(bag, outputs)
        self._explain()

    def _choose(self, bag: Bag) -> None:
        from mafs_ros.bags import choose_topics
        from mafs_ros.ground_truth import open_labels

        self.topics = choose_topics(bag, self.args.rgb_topic, self.args.thermal_topic)
        if self.args.labels:
            self.labels = open_labels(self.args.labels, bag, self.topics[0])

    def _play_to_the_node(self) -> None:
        from mafs_ros.live import LiveError, run_live

        assert self.topics is not None
        try:
            self.live = run_live(self, self.topics, self.args.rate)
        except LiveError as error:
            raise BagTrouble(f'live: {error}') from error
        self.problems += self.live.problems

    def _create_candidates(self, stack: ExitStack) -> None:
        from mafs_ros.engine import BACKENDS
        from mafs_ros.ground_truth import LabelMapper
        from mafs_ros.labels import load_class_table
        from mafs_ros.resources import default_weights

        weights, backend = self.args.weights or default_weights(), self.args.backend
        chosen = [(weights, backend)]
        if self.args.compare:
            other = self.args.compare
            chosen.append((weights, other) if other in BACKENDS else (Path(other), backend))
        for own_weights, own_backend in chosen:
            candidate = Candidate(own_weights, own_backend, self.settings)
            stack.callback(candidate.engine.close)
            self.candidates.append(candidate)
            if self.labels is not None:
                table = (load_class_table(self.args.label_classes) if self.args.label_classes
                         else candidate.table)
                candidate.mapper = LabelMapper(table, candidate.table)

    def _evaluate_pairs(self, bag: Bag, outputs: Outputs) -> None:
        from tqdm import tqdm

        from mafs_ros.bags import BagError

        assert self.topics is not None
        total = min(topic.count for topic in self.topics) // self.args.every
        with (closing(self._frames(bag)) as frames,
              tqdm(total=total, unit='frame', disable=None) as bar):
            while True:
                try:
                    frame = next(frames, None)
                except BagError as error:   # nothing more comes; what waited came before
                    self.problems.append(one_line(error))
                    return
                if frame is None:
                    return
                self._evaluate_frame(frame, outputs)
                bar.update()

    def _frames(self, bag: Bag) -> Generator[Frame, None, None]:
        """Every Nth pair, once its labels are here or can be waited for no longer.

        Raises BagError where the bag is damaged, after all pairs before that place.
        """
        from mafs_ros.bags import BagError
        from mafs_ros.ground_truth import LabelTopic

        waiting: deque[Frame] = deque()
        labels = self.labels if isinstance(self.labels, LabelTopic) else None
        damage = None
        try:
            with closing(self._paired(bag, labels)) as pairs:
                for frame in pairs:
                    if frame is not None:
                        waiting.append(frame)
                    while waiting and (labels is None or len(waiting) > LABEL_WAIT
                                       or labels.is_decided(waiting[0].rgb.stamp)):
                        yield waiting.popleft()
        except BagError as error:
            damage = error
        yield from waiting
        if damage is not None:
            raise damage

    def _paired(self, bag: Bag,
                labels: LabelTopic | None) -> Generator[Frame | None, None, None]:
        """The pairs to evaluate, as recorded; None after each message that completes none."""
        from mafs_ros.bag_info import Stamped
        from mafs_ros.pairing import Pairing

        assert self.topics is not None
        rgb_topic, thermal_topic = (topic.name for topic in self.topics)
        found: list[tuple[Stamped, Stamped]] = []
        pairing = Pairing(lambda rgb, thermal: found.append((rgb, thermal)),
                          slop_s=self.settings['slop_s'],
                          queue_size=self.settings['queue_size'],
                          thermal_time_offset_s=self.settings['thermal_time_offset_s'])
        log: dict[str, tuple[list[int], list[int]]] = {
            rgb_topic: ([], []), thermal_topic: ([], [])}
        wanted = {rgb_topic, thermal_topic} | ({labels.topic.name} if labels else set())
        try:
            for message in bag.messages(wanted):
                if labels is not None and message.topic == labels.topic.name:
                    labels.add(message)
                    yield None
                    continue
                stamps, received = log[message.topic]
                stamped = Stamped(message, message.stamp, len(stamps))
                stamps.append(message.stamp)
                received.append(message.received)
                (pairing.add_rgb if message.topic == rgb_topic else pairing.add_thermal)(stamped)
                yield self._take_pair(*found.pop()) if found else None
        finally:
            self.counters = pairing.counters
            self._keep_times(log)

    def _take_pair(self, rgb: Stamped, thermal: Stamped) -> Frame | None:
        shift = round(self.settings['thermal_time_offset_s'] * 1e9)
        self.offsets_ms.append((thermal.message.stamp + shift - rgb.message.stamp) / 1e6)
        self.paired_stamps.append(rgb.message.stamp)
        frame = Frame(self.pairs, rgb.message, thermal.message, rgb.number)
        self.pairs += 1
        if self.live is not None:   # those that the node did, so that both scalers saw the same
            return frame if frame.rgb.stamp in self.live.digests else None
        return frame if frame.number % self.args.every == 0 else None

    def _keep_times(self, log: dict[str, tuple[list[int], list[int]]]) -> None:
        import numpy as np

        from mafs_ros.bag_info import Times

        self.times = {name: Times(np.array(stamps, np.int64), np.array(received, np.int64))
                      for name, (stamps, received) in log.items()}

    # One frame

    def _evaluate_frame(self, frame: Frame, outputs: Outputs) -> None:
        row: dict[str, Any] = {
            'pair': frame.number, 'rgb_stamp_ns': frame.rgb.stamp,
            'thermal_stamp_ns': frame.thermal.stamp, 'received_ns': frame.received,
            'offset_ms': self.offsets_ms[frame.number]}
        try:
            images = self._perceive(frame)
        except FrameTrouble as error:
            row.update(status=error.status, reason=one_line(error))
            self.statuses[error.status] += 1
            self.reasons[one_line(error)] += 1
            outputs.add_row(row)
            return
        self.statuses['ok'] += 1
        row.update(status='ok', reason='', height=images.rgb.shape[0], width=images.rgb.shape[1])
        self._check_live(frame, images)
        self._score(frame, images, row)
        self._remember(frame, row)
        outputs.add_row(row)
        outputs.add_frame(frame, images)

    def _check_live(self, frame: Frame, images: Images) -> None:
        if self.live is None:
            return
        from mafs_ros.live import digest

        one = images.perceived[0]
        if self.live.digests[frame.rgb.stamp] == (digest(one.fused), digest(one.labels)):
            self.same_bytes += 1
        else:
            self.different.append(frame.rgb.stamp)

    def _perceive(self, frame: Frame) -> Images:
        from mafs_ros.bags import BagError
        from mafs_ros.images import ImageError, rgb_from_message, thermal_from_message

        start = time.perf_counter()
        try:
            messages = frame.rgb.deserialize(), frame.thermal.deserialize()
            rgb, thermal = rgb_from_message(messages[0]), thermal_from_message(messages[1])
        except (BagError, ImageError) as error:
            raise FrameTrouble('bad_image', str(error)) from error
        conversion_ms = 1e3 * (time.perf_counter() - start)
        perceived = []
        for candidate in self.candidates:
            try:
                one = candidate.perceive(rgb, thermal, frame.thermal.stamp / 1e9)
            except (ValueError, RuntimeError) as error:
                raise FrameTrouble('failed', str(error)) from error
            perceived.append(one)
        for candidate, one in zip(self.candidates, perceived, strict=True):
            candidate.timings_ms.append({'conversion': conversion_ms, **one.timings_ms})
        return Images(rgb, messages[0].header.frame_id, perceived)

    def _score(self, frame: Frame, images: Images, row: dict[str, Any]) -> None:
        raw = self._labels_of(frame)
        for index, candidate in enumerate(self.candidates):
            prefix = 'b_' * index
            perceived = images.perceived[index]
            try:
                scores = candidate.fusion.accumulate(perceived.thermal, images.rgb,
                                                     perceived.fused)
                row.update({prefix + name: value for name, value in scores.items()})
            except ValueError as error:   # too small for VIF
                self.reasons[f'fusion is not scored: {one_line(error)}'] += index == 0
            labels = self._mapped(candidate, raw, images)
            candidate.labelled.append(labels is not None)
            if labels is not None:
                row.update({prefix + name: value for name, value in
                            self._compare_labels(candidate, labels, perceived.labels).items()})
                if index == 0:
                    images.truth = labels
        if len(self.candidates) == 2:
            row.update(self._compare_frames(images))

    def _labels_of(self, frame: Frame) -> np.ndarray | None:
        if self.labels is None:
            return None
        try:
            return self.labels.find(frame.rgb.stamp, frame.rgb_number)
        except (OSError, ValueError) as error:
            self.unlabelled_reasons[one_line(error)] += 1
            return None

    def _mapped(self, candidate: Candidate, raw: np.ndarray | None,
                images: Images) -> np.ndarray | None:
        if raw is None or candidate.mapper is None:
            return None
        try:
            return candidate.mapper(raw, images.rgb.shape[:2])
        except ValueError as error:
            if candidate is self.candidates[0]:
                self.unlabelled_reasons[one_line(error)] += 1
            return None

    @staticmethod
    def _compare_labels(candidate: Candidate, labels: np.ndarray,
                        predicted: np.ndarray) -> dict[str, Any]:
        import numpy as np

        from mafs_ros.metrics import ConfusionMatrix

        matrix = ConfusionMatrix(candidate.table.names, candidate.table.ignore_id)
        matrix.accumulate(labels, predicted)
        candidate.confusions.append(matrix.matrix)
        miou = matrix.miou()
        return {'labelled_pixels': int(matrix.matrix.sum()),
                'correct_pixels': int(np.trace(matrix.matrix)),
                'miou_percent': None if np.isnan(miou) else 100 * miou}

    def _compare_frames(self, images: Images) -> dict[str, float]:
        import numpy as np

        a, b = images.perceived
        difference = float(np.abs(a.fused.astype(np.int16) - b.fused).mean())
        self.fused_difference.append(difference)
        row = {'fused_difference': difference}
        if self.candidates[0].table.names == self.candidates[1].table.names:
            row['agreement_percent'] = float(100 * np.mean(a.labels == b.labels))
            self.agreement.append(row['agreement_percent'])
        return row

    def _remember(self, frame: Frame, row: dict[str, Any]) -> None:
        if self._first_stamp is None:
            self._first_stamp = frame.rgb.stamp
        self.series.time_s.append((frame.rgb.stamp - self._first_stamp) / 1e9)
        self.series.offset_ms.append(self.offsets_ms[frame.number])
        self.series.total_ms.append(sum(self.candidates[0].timings_ms[-1].values()))
        self.series.miou.append(row.get('miou_percent'))
        self.series.received.append(frame.received)

    def badness(self, row: dict[str, Any]) -> tuple[float, str] | None:
        """How bad a frame is, and in which sense; None where it has no such score."""
        import math

        if self.labels is not None:
            miou = row.get('miou_percent')
            return None if miou is None else (-miou, f'mIoU {miou:.1f} %')
        quality = row.get('Qabf')
        if quality is None or math.isnan(quality):
            return None
        return -quality, f'Qabf {quality:.3f}'

    def keep_worst(self, frame: Frame, badness: float, reason: str, jpeg: bytes) -> None:
        heapq.heappush(self.worst, Worst(badness, -frame.number, frame.rgb.stamp, reason, jpeg))
        if len(self.worst) > WORST:
            heapq.heappop(self.worst)

    def is_worst(self, frame: Frame, badness: float) -> bool:
        return len(self.worst) < WORST or (badness, -frame.number) > (
            self.worst[0].badness, self.worst[0].number)

    # What was wrong

    def _explain(self) -> None:
        assert self.topics is not None
        rgb, thermal = (self.times[topic.name] for topic in self.topics)
        for topic, times in zip(self.topics, (rgb, thermal), strict=True):
            if times.backward:
                self.problems.append(
                    f'{topic.name}: {times.backward} stamps go back in time (a loop, a clock that '
                    'was set, or images out of order); late images are not paired')
        if not self.pairs:
            self.problems.append(self._no_pairs(rgb, thermal))
        if self.different:
            self.problems.append(
                f'live: {len(self.different)} of {len(self.different) + self.same_bytes} frames '
                'of the node differ from the offline evaluation, the first with RGB stamp '
                f'{self.different[0]}')
        for reason, count in self.reasons.most_common(NAMED_TROUBLES):
            self.problems.append(f'{count} frames: {reason}')
        if len(self.reasons) > NAMED_TROUBLES:
            self.problems.append(f'{len(self.reasons) - NAMED_TROUBLES} other reasons are in '
                                 'frames.csv')
        for reason, count in self.unlabelled_reasons.most_common(NAMED_TROUBLES):
            self.problems.append(f'{count} frames are scored for fusion only: {reason}')
        if (self.labels is not None and self.statuses['ok']
                and not any(self.candidates[0].labelled) and not self.unlabelled_reasons):
            self.problems.append(f'--labels {self.args.labels}: no label has the stamp of an '
                                 'evaluated RGB image, within 1 ms')

    def _no_pairs(self, rgb: Times, thermal: Times) -> str:
        from mafs_ros.bag_info import fit

        assert self.topics is not None
        try:
            fitted = fit(rgb, thermal)
        except ValueError:
            counts = ', '.join(f'{topic.name} {len(self.times[topic.name].stamps)}'
                               for topic in self.topics)
            return f'no pairs: a camera has no image ({counts})'
        nearest = fitted.nearest_ms[abs(fitted.nearest_ms).argmin()]
        would = f'-p slop_s:={fitted.slop_s}'
        if fitted.thermal_time_offset_s:
            would += f' -p thermal_time_offset_s:={fitted.thermal_time_offset_s}'
        alone = -(-abs(nearest) // 1) / 1e3   # whole ms, rounded up
        slop = self.settings['slop_s']
        return (f'no pairs: the nearest thermal and RGB stamps are {nearest:.3f} ms apart '
                f'(thermal minus RGB), slop_s is {slop:g}; slop_s {alone:g} would pair '
                f'those, and {would} pairs {fitted.counters.paired} of {len(rgb.stamps)}')


class FrameTrouble(ValueError):
    """A pair gives no output; `status` as in frames.csv."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Images:
    """The pictures of one frame. truth: labels in the ids of the first candidate."""

    rgb: np.ndarray
    frame_id: str
    perceived: list[Perceived]
    truth: np.ndarray | None = None


# Files that grow with the frames ----------------------------------------------------------------


class Outputs:
    """frames.csv, the video and output.mcap, frame by frame; whole files also after Ctrl-C."""

    def __init__(self, replay: Replay) -> None:
        from mafs_ros.bags import BagWriter
        from mafs_ros.metrics import FUSION_METRICS
        from mafs_ros.pictures import Video

        self._replay = replay
        self._out = replay.args.out
        self._columns = ['pair', 'rgb_stamp_ns', 'thermal_stamp_ns', 'received_ns', 'offset_ms',
                         'status', 'reason', 'height', 'width']
        scores = [*FUSION_METRICS, 'labelled_pixels', 'correct_pixels', 'miou_percent']
        for index in range(len(replay.candidates)):
            self._columns += ['b_' * index + name for name in scores]
        if len(replay.candidates) == 2:
            self._columns += ['agreement_percent', 'fused_difference']
        self._stack = ExitStack()
        (self._out / PART).mkdir()
        self._stack.callback(self._move)
        path = self._out / 'frames.csv'
        file = self._stack.enter_context(path.open('w', newline='', encoding='utf-8'))
        self._rows = csv.writer(file, lineterminator='\n')
        self._rows.writerow(self._columns)
        self._bag = self._stack.enter_context(
            BagWriter(self._out / PART / 'output', compress='chunks'))
        self._video = Video(self._out / 'side_by_side.webm')
        self._stack.callback(self._video.close)
        self._last_row: dict[str, Any] = {}
        self._described = False

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _move(self) -> None:
        bag = self._out / PART / 'output' / 'output.mcap'
        if bag.exists() and self._described:
            bag.replace(self._out / 'output.mcap')
        shutil.rmtree(self._out / PART, ignore_errors=True)

    def add_row(self, row: dict[str, Any]) -> None:
        self._last_row = row
        self._rows.writerow([_cell(row.get(name)) for name in self._columns])

    def add_frame(self, frame: Frame, images: Images) -> None:
        from mafs_ros.labels import overlay

        table = self._replay.candidates[0].table
        perceived = images.perceived[0]
        shown = overlay(perceived.fused, perceived.labels, table,
                        self._replay.settings['overlay_alpha'])
        self._write_messages(frame, images, shown)
        picture = frame_picture(images, shown, [c.table for c in self._replay.candidates])
        self._video.write(picture)
        bad = self._replay.badness(self._last_row)
        if bad is not None and self._replay.is_worst(frame, bad[0]):
            jpeg = worst_jpeg(picture, images, table)
            self._replay.keep_worst(frame, *bad, jpeg)

    def _write_messages(self, frame: Frame, images: Images, shown: np.ndarray) -> None:
        from mafs_ros.bags import TYPES

        if not self._described:
            text = TYPES.types['std_msgs/msg/String'](
                data=json.dumps(self._replay.candidates[0].table.to_dict()))
            self._bag.write_raw('/mafs/segmentation/label_info', 'std_msgs/msg/String',
                                bytes(TYPES.serialize_cdr(text, 'std_msgs/msg/String')),
                                frame.received)
            self._described = True
        perceived = images.perceived[0]
        for topic, image in (('/mafs/fused/image', perceived.fused),
                             ('/mafs/segmentation/labels', perceived.labels),
                             ('/mafs/segmentation/overlay', shown)):
            self._bag.write_image(topic, image, frame.rgb.stamp, images.frame_id, frame.received)


def _cell(value: Any) -> Any:
    import math

    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ''
    return repr(value) if isinstance(value, float) else value


def frame_picture(images: Images, shown: np.ndarray, tables: list[ClassTable]) -> np.ndarray:
    """rgb and thermal, fused and overlay; below, where two are compared, those of the second."""
    import numpy as np

    from mafs_ros.labels import overlay
    from mafs_ros.pictures import mosaic, two_panels

    first = images.perceived[0]
    four = mosaic({'rgb': images.rgb, 'thermal': first.thermal, 'fused': first.fused,
                   'overlay': shown}, PANEL_WIDTH, tables[0])
    if len(images.perceived) == 1:
        return four
    second = images.perceived[1]
    return np.vstack([four, two_panels({
        'fused, second': second.fused,
        'overlay, second': overlay(second.fused, second.labels, tables[1])}, four.shape)])


def worst_jpeg(picture: np.ndarray, images: Images, table: ClassTable) -> bytes:
    """The picture of a frame for the report; with labels and errors below where there are any."""
    import cv2
    import numpy as np

    from mafs_ros.labels import overlay
    from mafs_ros.pictures import two_panels

    if images.truth is not None:
        truth = overlay(images.rgb, images.truth, table)
        predicted = images.perceived[0].labels
        wrong = (images.truth != predicted) & (images.truth != table.ignore_id)
        errors = images.perceived[0].fused // 2
        errors[wrong] = (255, 60, 60)
        rows = 3 if len(images.perceived) == 2 else 2
        shape = (picture.shape[0] * 2 // rows, picture.shape[1])
        picture = np.vstack([picture, two_panels({'labels': truth, 'errors': errors}, shape)])
    encoded = cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR),
                           [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return encoded.tobytes()


# Speed ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LiveEstimate:
    """What the node's one-slot mailbox would do at the recorded times with the measured speed."""

    pairs: int
    replaced: int
    latency_ms: list[float]


def live_estimate(received: list[int], durations_ms: list[float]) -> LiveEstimate:
    """Newest pair wins: one that waits while a newer comes is dropped.

    received: arrival of each pair in ns; durations_ms: time that its processing took.
    """
    free_at, waiting = float('-inf'), None
    replaced, latencies = 0, []
    for at_ns, duration in sorted(zip(received, durations_ms, strict=True)):
        at = at_ns / 1e6
        if waiting is not None and free_at <= at:
            free_at += waiting[1]
            latencies.append(free_at - waiting[0])
            waiting = None
        if free_at <= at:
            free_at = at + duration
            latencies.append(duration)
        else:
            replaced += waiting is not None
            waiting = (at, duration)
    if waiting is not None:
        latencies.append(free_at + waiting[1] - waiting[0])
    return LiveEstimate(len(received), replaced, latencies)

