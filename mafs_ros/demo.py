"""`make demo`: two cameras and the real node as processes over DDS; pictures, a video and a table.

    python3 -m mafs_ros.demo
    python3 -m mafs_ros.demo --rgb DIR --thermal DIR
    python3 -m mafs_ros.demo --bag PATH --out out/drive

Every pair comes out: the cameras wait for each one. With --rate they run at that rate whatever the
node does, as real ones would, and what it drops is counted. With --no-pictures nothing but the
node's own outputs is received, and nothing written: for its pace and latency alone.
"""

from __future__ import annotations

import argparse
import bisect
import csv
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from tqdm import tqdm

from mafs_ros.bags import Bag, choose_topics
from mafs_ros.cdr import header_stamp
from mafs_ros.errors import one_line
from mafs_ros.files import (
    pair_folders,
    prepare_output_folder,
    read_rgb,
    write_bytes,
    write_png,
)
from mafs_ros.health import FOREIGN_CLOCK_S
from mafs_ros.images import rgb_from_message, thermal_from_message
from mafs_ros.labels import ClassTable
from mafs_ros.memory import IMAGE_BUFFERS, keep_freed_memory
from mafs_ros.model.weights import read_info
from mafs_ros.pictures import Video, mosaic
from mafs_ros.resources import default_weights, share_path
from mafs_ros.thermal import ThermalScaler

SIMULATED_FRAMES = 100
SIMULATED_RATE_HZ = 10.0
SIMULATED_SIZE = (480, 640)
SIMULATED_SEED = 4  # a night street whose people the RGB camera hardly sees
FASTEST_HZ = 50.0  # of recordings; faster, images of neighbouring pairs would overtake each other
SLOP_S = 0.05  # the node's default
START_TIMEOUT_S = 300.0  # the first start compiles the engine, on slow machines for minutes
SETTLE_TIMEOUT_S = 5.0
STALL_TIMEOUT_S = 120.0
PANEL_WIDTH = 480  # of the video's four pictures
SPOOL = ".spool-"
BATCH = 100  # frames kept on disk (4 MB each) before the pictures are made

# Domains that neither robots (0 to 101 by custom) nor the tests use; high enough to lie above
# Linux's ephemeral ports.
DOMAINS = range(215, 233)

OUTPUTS = {
    "fused": "/mafs/fused/image",
    "labels": "/mafs/segmentation/labels",
    "overlay": "/mafs/segmentation/overlay",
}


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why in one line."""


# Input ------------------------------------------------------------------------------------------


@dataclass
class Source:
    """What is to be shown. `names`: RGB stamp (ns) -> file name, where the input has names.

    `paced`: the cameras wait until each pair is done. `cameras`, `node`: parameters of them.
    """

    description: str
    pairs: int
    height: int
    width: int
    paced: bool
    cameras: dict[str, Any]
    node: dict[str, Any]
    names: dict[int, str] = field(default_factory=dict)
    compressed: dict[str, bool] = field(default_factory=dict)


def simulated_source(args: argparse.Namespace) -> Source:
    frames, rate = args.frames or SIMULATED_FRAMES, args.rate or SIMULATED_RATE_HZ
    height, width = SIMULATED_SIZE
    return Source(
        f"simulated street, {width}x{height}",
        frames,
        height,
        width,
        paced=not args.rate,
        cameras={
            "rate_hz": rate,
            "frames": frames,
            "cycle": min(frames, SIMULATED_FRAMES),
            "height": height,
            "width": width,
            "seed": SIMULATED_SEED,
        },
        node={},
    )


def folder_source(args: argparse.Namespace, scratch: Path) -> Source:
    """Two folders; they get stamps from here, so that every output has the name of its files."""
    pairs = pair_folders(args.rgb, args.thermal)
    frames = min(len(pairs), args.frames or len(pairs))
    height, width = read_rgb(pairs[0][1]).shape[:2]
    start = time.time_ns()
    period = round(1e9 / (args.rate or FASTEST_HZ))
    stamps = {start + index * period: name for index, (name, _, _) in enumerate(pairs)}
    with open(scratch / "stamps.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("name", "rgb", "thermal"))
        for stamp, name in stamps.items():
            seconds = f"{stamp // 10**9}.{stamp % 10**9:09d}"
            rows.writerow((name, seconds, seconds))
    return Source(
        f"folders {args.rgb} and {args.thermal}, {width}x{height}",
        frames,
        height,
        width,
        paced=not args.rate,
        names=stamps,
        node={},
        cameras={
            "rgb_dir": str(args.rgb),
            "thermal_dir": str(args.thermal),
            "stamps_file": str(scratch / "stamps.csv"),
            "frames": frames,
        },
    )


def bag_source(args: argparse.Namespace) -> Source:
    with Bag(args.bag) as bag:
        rgb, thermal = choose_topics(bag)
        first_rgb = rgb_from_message(next(bag.messages([rgb])).deserialize())
        recorded_hz = rgb.count / max(bag.duration_s, 1e-3)
    height, width = first_rgb.shape[:2]
    frames = min(rgb.count, args.frames or rgb.count)
    return Source(
        f"bag {args.bag}, {rgb} and {thermal}",
        min(frames, thermal.count),
        height,
        width,
        paced=not args.rate,
        cameras={
            "bag": str(args.bag),
            "bag_rgb_topic": rgb.name,
            "bag_thermal_topic": thermal.name,
            "frames": frames,
            "speed": min(max((args.rate or FASTEST_HZ) / recorded_hz, 1e-3), 1e3),
        },
        node={
            "rgb_transport": "compressed" if rgb.compressed else "raw",
            "thermal_transport": "compressed" if thermal.compressed else "raw",
        },
        compressed={"rgb": rgb.compressed, "thermal": thermal.compressed},
    )


# Processes --------------------------------------------------------------------------------------


def set_environment() -> None:
    """For this process and those it starts: a ROS domain of their own, fast large images."""
    keep_freed_memory(IMAGE_BUFFERS)  # the node and the cameras do so themselves
    for name in ("ROS_NAMESPACE", "ROS_LOCALHOST_ONLY", "ROS_DISCOVERY_SERVER"):
        os.environ.pop(name, None)
    profile = str(share_path("config", "fastdds_shm.xml"))
    os.environ.update(
        ROS_DOMAIN_ID=str(DOMAINS[os.getpid() % len(DOMAINS)]),
        ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST",
        FASTRTPS_DEFAULT_PROFILES_FILE=profile,  # Humble to Jazzy
        FASTDDS_DEFAULT_PROFILES_FILE=profile,
    )  # from Kilted on


class Process:
    """A Python module as a process in a session of its own, its log in a file."""

    def __init__(
        self, module: str, parameters: dict[str, Any], log: Path, more: Iterable[str] = ()
    ) -> None:
        self.name = module.rpartition(".")[2]
        self.log = log
        given = [
            part
            for name, value in parameters.items()
            for part in ("-p", f"{name}:={json.dumps(value)}")
        ]  # JSON is YAML
        given += [part for text in more for part in ("-p", text)]
        with open(log, "w") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, "--ros-args", *given],
                stderr=stderr,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        self.said: dict[str, Any] = {}  # the newest of the JSON lines on its stdout
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 (PIPE above)
        for line in self._process.stdout:
            try:
                self.said = json.loads(line)
            except ValueError:
                pass

    @property
    def code(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raise DemoError, with the end of its log, if it has ended with an error."""
        if self.code in (None, 0):
            return
        lines = self.log.read_text(errors="replace").splitlines()[-8:]
        raise DemoError(
            f"the process {self.name} ended with exit code {self.code}; its log "
            f"({self.log}) ends with:\n  " + "\n  ".join(lines or ["(nothing)"])
        )

    def stop(self, timeout_s: float = 5.0) -> None:
        """Ctrl-C it, and kill it where that does not help; returns when it is gone."""
        if self.code is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._listener.join()


# Receiving --------------------------------------------------------------------------------------


class Receiver:
    """Subscribes, as a third process, to inputs and outputs; keeps them on disk as they came.

    A frame whose three outputs are there goes into `frames` (its RGB stamp in ns, None at the
    end). Pictures are made of them once there are BATCH, or at the end, since that takes time that
    the node's engine would lack; paced cameras wait meanwhile. Without `pictures` only the fused
    image and the labels are received, and nothing is kept.
    """

    def __init__(self, source: Source, spool: Path, *, pictures: bool = True) -> None:
        self.frames: queue.Queue[int | None] = queue.Queue()
        self.make_pictures = threading.Event()
        self.received: dict[str, dict[int, int]] = {  # name -> stamp -> monotonic ns
            name: {} for name in ("rgb", "thermal", *OUTPUTS)
        }
        self.spooled: dict[str, deque[int]] = {"rgb": deque(), "thermal": deque()}
        self.complete = 0
        self.diagnostics: dict[str, dict[str, str]] = {}
        self.messages: dict[str, str] = {}
        self.error: Exception | None = None
        self._source, self._spool, self._pictures = source, spool, pictures
        self._outputs = {
            name: topic for name, topic in OUTPUTS.items() if pictures or name != "overlay"
        }
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("demo")
        self._qos = QoSProfile(depth=20)
        for name, topic in self._outputs.items():
            self._subscribe(name, topic, Image)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnose, self._qos)
        self._done = self._node.create_publisher(Header, "demo/done", self._qos)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="receiver")
        self._thread.start()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except Exception as error:  # a full disk, say: the main thread reports it
            self.error = error

    def _subscribe(self, name: str, topic: str, kind: type) -> None:
        def take(raw: Any) -> None:
            self._take(name, raw)

        self._node.create_subscription(kind, topic, take, self._qos, raw=True)

    def all_are_ready(self) -> bool:
        """Whether the node publishes and subscribes, and paced cameras hear this process."""
        return (
            all(self._node.count_publishers(topic) for topic in OUTPUTS.values())
            and all(map(self._node.count_subscribers, self.input_topics().values()))
            and (not self._source.paced or self._done.get_subscription_count() > 0)
        )

    def input_topics(self) -> dict[str, str]:
        return {
            name: f"/{name}/image" + ("/compressed" if self._source.compressed.get(name) else "")
            for name in ("rgb", "thermal")
        }

    def subscribe_inputs(self) -> None:
        """The cameras begin when both the node and this process listen."""
        if not self._pictures:
            return
        for name, topic in self.input_topics().items():
            self._subscribe(name, topic, self.input_type(name))

    def input_type(self, name: str) -> type:
        return CompressedImage if self._source.compressed.get(name) else Image

    def _take(self, name: str, raw: bytes) -> None:
        now, stamp = time.monotonic_ns(), header_stamp(raw)
        self.received[name][stamp] = now
        if self._pictures:
            (self._spool / f"{stamp}.{name}").write_bytes(raw)
        if name in self.spooled:
            self.spooled[name].append(stamp)
        if name in OUTPUTS and all(stamp in self.received[other] for other in self._outputs):
            self.complete += 1
            if self._pictures:
                self.frames.put(stamp)
            if self.frames.qsize() >= BATCH:
                self.make_pictures.set()
            if self._source.paced:
                if self.make_pictures.is_set():
                    self.frames.join()
                    self.make_pictures.clear()
                header = Header()
                header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
                self._done.publish(header)

    def _diagnose(self, array: DiagnosticArray) -> None:
        for status in array.status:
            name = status.name.removeprefix("mafs: ")
            self.diagnostics[name] = {item.key: item.value for item in status.values}
            self.messages[name] = status.message

    def close(self) -> None:
        """End the thread and the node."""
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        rclpy.try_shutdown()


# Pictures ---------------------------------------------------------------------------------------


class PictureWriter(threading.Thread):
    """Turns the frames of a Receiver into files until None comes; after an `error` into none."""

    def __init__(self, receiver: Receiver, source: Source, spool: Path, out: Path) -> None:
        super().__init__(name="pictures")
        self.written = 0
        self.error: Exception | None = None
        self.video_frames = 0
        self._receiver, self._source = receiver, source
        self._spool, self._out = spool, out
        self._table = ClassTable.from_dict(read_info(default_weights()).class_table)
        self._scaler = ThermalScaler()  # with the node's defaults
        self._video = Video(out / "demo.webm")
        self._best = -1.0
        self.best_picture: np.ndarray | None = None

    def run(self) -> None:
        try:
            while (stamp := self._next()) is not None:
                if self.error is None:
                    self._try_to_write(stamp)
                self._receiver.frames.task_done()
        finally:
            self._video.close()

    def _next(self) -> int | None:
        self._receiver.make_pictures.wait()
        return self._receiver.frames.get()

    def _try_to_write(self, stamp: int) -> None:
        try:
            self._write(stamp)
        except Exception as error:  # a full disk, say: the main thread reports it
            self.error = error

    def _write(self, stamp: int) -> None:
        images = self._images(stamp)
        name = self._source.names.get(stamp) or f"{self.written:06d}"
        for output in OUTPUTS:
            write_png(self._out / output / f"{name}.png", images[output])
        self._video.write(mosaic(images, PANEL_WIDTH, self._table))
        self.video_frames += 1
        score = float(np.sqrt(np.bincount(images["labels"].ravel(), minlength=256)[1:255]).sum())
        if score > self._best:
            self._best = score
            self.best_picture = mosaic(images, images["fused"].shape[1], self._table)
        self.written += 1

    def _images(self, stamp: int) -> dict[str, np.ndarray]:
        """All pictures of a frame: uint8 RGB [H, W, 3]; labels and thermal uint8 [H, W]."""
        images = {
            "fused": rgb_from_message(self._load("fused", stamp)),
            "labels": thermal_from_message(self._load("labels", stamp)),
            "overlay": rgb_from_message(self._load("overlay", stamp)),
            "rgb": rgb_from_message(self._load("rgb", stamp)),
        }
        thermal_stamp = min(list(self._receiver.spooled["thermal"]), key=lambda t: abs(t - stamp))
        thermal = thermal_from_message(self._load("thermal", thermal_stamp))
        images["thermal"] = self._scaler(thermal, thermal_stamp / 1e9)
        for name in OUTPUTS:
            (self._spool / f"{stamp}.{name}").unlink()
        for name, stamps in self._receiver.spooled.items():
            while stamps and stamps[0] <= stamp:  # this one, and older ones without a partner
                (self._spool / f"{stamps.popleft()}.{name}").unlink()
        return images

    def _load(self, name: str, stamp: int) -> Any:
        kind = Image if name in OUTPUTS else self._receiver.input_type(name)
        return deserialize_message((self._spool / f"{stamp}.{name}").read_bytes(), kind)


def count_video_frames(path: Path) -> int:
    """Frames that can be decoded."""
    video = cv2.VideoCapture(str(path))
    count = 0
    while video.read()[0]:
        count += 1
    video.release()
    return count


# Numbers ----------------------------------------------------------------------------------------


def summarise(
    args: argparse.Namespace,
    source: Source,
    receiver: Receiver,
    sent: dict[str, Any],
    published: dict[str, dict[int, int]],
) -> dict[str, Any]:
    """What summary.json holds. published: camera -> stamp -> monotonic ns of publication."""
    pairing = receiver.diagnostics.get("pairing", {})
    perception = receiver.diagnostics.get("perception", {})
    latencies = latencies_ms(receiver.received["fused"], published)
    arrivals = sorted(receiver.received["fused"].values())
    rate = (len(arrivals) - 1) * 1e9 / (arrivals[-1] - arrivals[0]) if len(arrivals) > 1 else 0.0
    latency = float(np.median(latencies)) if latencies.size else None
    engine = number(perception.get("engine_ms_median"))
    steps = {
        key.removesuffix("_ms_median"): number(value)
        for key, value in perception.items()
        if key.endswith("_ms_median")
    }
    before_arrival = sum(
        value or 0.0 for name, value in steps.items() if name not in ("latency", "age", "overlay")
    )
    ages = np.array([]) if source.paced else ages_ms(receiver.received["fused"])
    return {
        "input": source.description,
        "pace": (
            "cameras wait for each pair"
            if source.paced
            else f"cameras at {args.rate:g} Hz, whatever the node does"
        ),
        "sent": {camera: sent[camera]["sent"] for camera in ("rgb", "thermal")},
        "pairs_in": integer(pairing.get("paired")),
        "frames_out": receiver.complete,
        "drops": drops(sent, receiver, pairing, perception),
        "rate_hz": round(rate, 2),
        "latency_ms": {"median": rounded(latency), "p95": percentile(latencies, 95)},
        "engine_ms": {
            "median": rounded(engine),
            "p95": rounded(number(perception.get("engine_ms_p95"))),
        },
        "overhead_ms": rounded(latency - engine)
        if latency is not None and engine is not None
        else None,
        "age_ms": {"median": percentile(ages, 50), "p95": percentile(ages, 95)},
        "node_steps_ms": steps,
        "transport_ms": rounded(latency - before_arrival) if latency is not None else None,
        "engine": perception.get("engine", "unknown"),
        "weights": perception.get("weights", "unknown"),
        "publication_late_ms": sent["late_ms"],
    }


def nearest(stamp: int, stamps: list[int]) -> int:
    """The one of the sorted, not empty `stamps` that is nearest to `stamp`."""
    index = bisect.bisect_left(stamps, stamp)
    return min(stamps[max(index - 1, 0) : index + 1], key=lambda other: abs(other - stamp))


def latencies_ms(received: dict[int, int], published: dict[str, dict[int, int]]) -> np.ndarray:
    """Milliseconds from the publication of the later image of each pair to its fused image.

    received: RGB stamp -> arrival; published: camera -> stamp -> publication; monotonic ns.
    """
    rgb, thermal = published["rgb"], published["thermal"]
    stamps = sorted(thermal)
    return np.array(
        [
            (arrival - max(rgb[stamp], thermal[nearest(stamp, stamps)])) / 1e6
            for stamp, arrival in received.items()
        ]
    )


def ages_ms(received: dict[int, int]) -> np.ndarray:
    """Milliseconds from the RGB stamp of each fused image to its arrival.

    received: RGB stamp -> arrival, monotonic ns. Empty where the stamps are of another clock.
    """
    wall_ns = time.time_ns() - time.monotonic_ns()
    ages = np.array([(arrival + wall_ns - stamp) / 1e6 for stamp, arrival in received.items()])
    return ages if ages.size and np.abs(ages).max() < 1000 * FOREIGN_CLOCK_S else np.array([])


def percentile(values: np.ndarray, percent: float) -> float | None:
    return rounded(float(np.percentile(values, percent))) if values.size else None


def no_frame_reason(receiver: Receiver, published: dict[str, dict[int, int]]) -> str:
    """Why nothing came out: the node's own words, or the stamps sent."""
    if integer(receiver.diagnostics.get("pairing", {}).get("paired")):
        return "; ".join(f"{name}: {text}" for name, text in receiver.messages.items())
    thermal = sorted(published["thermal"])
    if not thermal or not published["rgb"]:
        return "one of the cameras sent no image"
    apart_s = min(abs(nearest(stamp, thermal) - stamp) for stamp in published["rgb"]) / 1e9
    return (
        f"the nearest RGB and thermal stamps are {apart_s:.3f} s apart, "
        f"the node pairs up to {SLOP_S} s"
    )


def drops(
    sent: dict[str, Any], receiver: Receiver, pairing: dict[str, str], perception: dict[str, str]
) -> dict[str, int]:
    """Images and pairs that gave no frame, by cause, as the node counted them."""
    causes = {
        "replaced_while_busy": integer(perception.get("replaced_while_busy")),
        "failed": integer(perception.get("failed")),
        "bad_image": integer(perception.get("bad_image")),
        "not_subscribed": integer(perception.get("not_subscribed")),
        "output_lost": integer(perception.get("published")) - receiver.complete,
    }
    for camera in ("rgb", "thermal"):
        got = integer(receiver.diagnostics.get(f"{camera} camera", {}).get("received"))
        causes[f"{camera}_lost_on_the_way"] = sent[camera]["sent"] - got
        for cause in (
            "unpaired_slop",
            "unpaired_overflow",
            "duplicate",
            "late",
            "cleared",
            "pending",
        ):
            causes[f"{camera}_{cause}"] = integer(pairing.get(f"{camera}_{cause}"))
    return causes


def integer(text: str | None) -> int:
    return int(text) if text else 0


def number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def read_sent(path: Path) -> dict[str, dict[int, int]]:
    """Camera -> stamp -> monotonic ns of publication, from the cameras' sent_file."""
    published: dict[str, dict[int, int]] = {"rgb": {}, "thermal": {}}
    with open(path, newline="") as file:
        for topic, stamp, time_ns in csv.reader(file):
            camera = topic.split("/")[1]
            published[camera].setdefault(int(stamp), int(time_ns))
    return published


def table_text(summary: dict[str, Any]) -> str:
    """The summary for the terminal."""
    causes = {cause: count for cause, count in summary["drops"].items() if count}
    dropped = ", ".join(f"{count} {cause}" for cause, count in causes.items()) or "none"
    latency, engine = summary["latency_ms"], summary["engine_ms"]
    rows = {
        "input": summary["input"],
        "pace": summary["pace"],
        "pairs in": f"{summary['pairs_in']} (of {summary['sent']['rgb']} RGB and "
        f"{summary['sent']['thermal']} thermal images)",
        "frames out": summary["frames_out"],
        "drops by cause": dropped,
        "rate": f"{summary['rate_hz']} frames/s",
        "latency": f"median {latency['median']} ms, p95 {latency['p95']} ms (later image "
        "published to fused image received, between processes)",
        "engine": f"median {engine['median']} ms, p95 {engine['p95']} ms ({summary['engine']})",
        "overhead": f"{summary['overhead_ms']} ms (median latency minus engine)",
    }
    if summary["age_ms"]["p95"] is not None:
        rows["age"] = (
            f"median {summary['age_ms']['median']} ms, p95 {summary['age_ms']['p95']} "
            "ms (RGB stamp to fused image received)"
        )
    rows["files"] = summary["files"]
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows.items())


# Program ----------------------------------------------------------------------------------------


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="mafs_demo",
        description="Runs two cameras and the node over DDS; leaves pictures, "
        "a video and a summary. Without input: a simulated street.",
    )
    parser.add_argument("--rgb", metavar="DIR", type=Path, help="folder of RGB images")
    parser.add_argument(
        "--thermal", metavar="DIR", type=Path, help="folder of thermal images with the same names"
    )
    parser.add_argument("--bag", metavar="PATH", type=Path, help="rosbag2, sqlite3 or mcap")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("out/demo"),
        help="output folder; default: out/demo",
    )
    parser.add_argument(
        "--frames",
        metavar="N",
        type=int,
        default=0,
        help=f"frames to show; default: all, {SIMULATED_FRAMES} simulated",
    )
    parser.add_argument(
        "--rate",
        metavar="HZ",
        type=float,
        default=0.0,
        help="run the cameras at this rate and count what the node drops; "
        "default: wait for each pair",
    )
    parser.add_argument(
        "--no-pictures",
        action="store_true",
        help="receive fused images and labels alone, and leave only summary.json",
    )
    parser.add_argument(
        "-p",
        dest="node_parameters",
        metavar="NAME:=VALUE",
        action="append",
        default=[],
        help="parameter of the node; may be repeated",
    )
    args = parser.parse_args(argv)
    if (args.rgb is None) != (args.thermal is None):
        parser.error("--rgb and --thermal go together")
    if args.bag is not None and args.rgb is not None:
        parser.error("give either --bag or --rgb and --thermal")
    if wrong := [text for text in args.node_parameters if ":=" not in text]:
        parser.error(f"-p: got {wrong[0]!r}, expected NAME:=VALUE")
    if args.frames < 0:
        parser.error(f"--frames: got {args.frames}, expected 1 or more")
    if args.rate and not 0.01 <= args.rate <= 1000:
        parser.error(f"--rate: got {args.rate:g}, expected 0.01 to 1000 Hz")
    return args


def make_source(args: argparse.Namespace, scratch: Path) -> Source:
    """Look at the input; raises OSError or ValueError where it cannot be read."""
    if args.bag:
        return bag_source(args)
    if args.rgb:
        return folder_source(args, scratch)
    return simulated_source(args)


def prepare_outputs(out: Path, *, pictures: bool) -> None:
    """Make the folders; remove the pictures of an earlier demo, and of nothing else."""
    prepare_output_folder(out)
    earlier = (out / "summary.json").exists()
    for name in OUTPUTS if pictures else ():
        folder = prepare_output_folder(out / name)
        for picture in folder.glob("*.png") if earlier else ():
            picture.unlink()
    for spool in out.glob(f"{SPOOL}*"):  # of a demo that was killed
        shutil.rmtree(spool)
    prepare_output_folder(out / "log")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """The whole demo; returns the summary. Raises DemoError, OSError or ValueError."""
    out = args.out
    prepare_outputs(out, pictures=not args.no_pictures)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=out, prefix=SPOOL)))
        source = make_source(args, scratch)
        print(f"{source.description}: starting cameras and node ...", flush=True)
        set_environment()
        receiver = Receiver(source, scratch, pictures=not args.no_pictures)
        stack.callback(receiver.close)
        node = Process(
            "mafs_ros.node",
            {
                "input_reliability": "reliable",
                "image_height": source.height,
                "image_width": source.width,
                "slop_s": SLOP_S,
                **source.node,
            },
            out / "log/node.log",
            args.node_parameters,
        )
        stack.callback(node.stop)
        pace = (
            {
                "pace_topic": "demo/done",
                "pace_slop_s": SLOP_S,
                "pace_timeout_s": STALL_TIMEOUT_S / 2,
            }
            if source.paced
            else {}
        )
        cameras = Process(
            "mafs_ros.cameras",
            {
                "wait_for_subscribers": 1 if args.no_pictures else 2,
                "wait_timeout_s": START_TIMEOUT_S,
                "sent_file": str(scratch / "sent.csv"),
                **pace,
                **source.cameras,
            },
            out / "log/cameras.log",
        )
        stack.callback(cameras.stop)
        processes = (node, cameras)
        wait_for_start(source, receiver, processes)
        writer = None if args.no_pictures else PictureWriter(receiver, source, scratch, out)
        if writer:
            stack.callback(finish_writer, writer, receiver)
        stack.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)  # no second one while ending
        if writer:
            writer.start()
        receiver.subscribe_inputs()
        wait_for_frames(source, receiver, writer, processes)
        settle(receiver, cameras.said)
        node.stop()
        if writer:
            write_pictures(writer, receiver)
        published = read_sent(scratch / "sent.csv")
        if not receiver.complete:
            raise DemoError(
                "no frame came out of the node: " + no_frame_reason(receiver, published)
            )
        summary = summarise(args, source, receiver, cameras.said, published)
        summary["files"] = describe_files(out, writer) if writer else f"{out}/summary.json"
        write_bytes(out / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())
    return summary


def wait_for_start(source: Source, receiver: Receiver, processes: tuple[Process, ...]) -> None:
    """Return when the node is active and the cameras wait; raises DemoError after a while."""
    cameras = processes[1]
    cycle = source.cameras.get("cycle", 0)
    deadline = time.monotonic() + START_TIMEOUT_S
    with progress(cycle or None, "starting" + ", rendering" * bool(cycle)) as bar:
        while True:
            for process in processes:
                process.check()
            rendered = cameras.said.get("rendered", 0)
            bar.update(rendered - bar.n)
            if receiver.all_are_ready() and rendered == cycle:
                return
            if time.monotonic() > deadline:
                raise DemoError(
                    f"the node is not active after {START_TIMEOUT_S:.0f} s; see "
                    + ", ".join(str(process.log) for process in processes)
                )
            time.sleep(0.1)


def wait_for_frames(
    source: Source,
    receiver: Receiver,
    writer: PictureWriter | None,
    processes: tuple[Process, ...],
) -> None:
    """Return when the cameras have sent everything; shows the frames that came out."""
    cameras = processes[1]
    newest, since = 0, time.monotonic()
    with progress(source.pairs, "frames") as bar:
        while cameras.code is None:
            for process in processes:
                process.check()
            for error in (receiver.error, writer and writer.error):
                if error:
                    raise DemoError(one_line(error)) from error
            bar.update(receiver.complete - bar.n)
            arrived = len(receiver.received["rgb"]) or receiver.complete
            if arrived != newest:
                newest, since = arrived, time.monotonic()
            if time.monotonic() - since > STALL_TIMEOUT_S:
                raise DemoError(f"no image for {STALL_TIMEOUT_S:.0f} s; see {cameras.log}")
            time.sleep(0.05)
        cameras.check()
        bar.update(receiver.complete - bar.n)


def settle(receiver: Receiver, sent: dict[str, Any]) -> None:
    """Wait until the node's diagnostics account for every image sent.

    At most a few seconds, while it works on a pair more: an engine may be slow.
    """
    start = since = time.monotonic()
    while time.monotonic() < min(since + SETTLE_TIMEOUT_S, start + STALL_TIMEOUT_S):
        perception = receiver.diagnostics.get("perception", {})
        received = [
            integer(receiver.diagnostics.get(f"{camera} camera", {}).get("received"))
            for camera in ("rgb", "thermal")
        ]
        busy = integer(perception.get("waiting")) + integer(perception.get("in_progress"))
        if (
            received == [sent[camera]["sent"] for camera in ("rgb", "thermal")]
            and not busy
            and integer(perception.get("published")) == receiver.complete
        ):
            return
        if busy:
            since = time.monotonic()
        time.sleep(0.05)


def write_pictures(writer: PictureWriter, receiver: Receiver) -> None:
    """Let the writer finish, showing its progress; raises DemoError where it cannot."""
    receiver.frames.put(None)
    receiver.make_pictures.set()
    with progress(receiver.complete, "pictures") as bar:
        while writer.is_alive():
            writer.join(0.1)
            bar.update(writer.written - bar.n)
    if writer.error:
        raise DemoError(one_line(writer.error)) from writer.error


def finish_writer(writer: PictureWriter, receiver: Receiver) -> None:
    """End the thread, whatever it does."""
    if writer.is_alive():
        writer.error = writer.error or DemoError("ended early")
        receiver.frames.put(None)
        receiver.make_pictures.set()
        writer.join()


def describe_files(out: Path, writer: PictureWriter) -> str:
    """Write the side-by-side picture, check the video, and say what lies where."""
    assert writer.best_picture is not None  # noqa: S101 (a frame came out)
    write_png(out / "side_by_side.png", writer.best_picture)
    readable = count_video_frames(out / "demo.webm")
    if readable != writer.video_frames:
        raise DemoError(
            f"{out}/demo.webm: {readable} of {writer.video_frames} frames can be read "
            "back; is the disk full?"
        )
    return (
        f"{out}/: fused/, labels/ and overlay/ ({writer.written} pictures each), "
        "side_by_side.png, demo.webm, summary.json"
    )


def progress(total: int | None, what: str) -> Any:
    """A progress bar; none where stderr is no terminal."""
    return tqdm(total=total, desc=f"{what:20}", unit="", disable=None, leave=True)


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 done, 1 failed (one line on stderr says why), 2 wrong usage, 130 interrupted."""
    args = parse_arguments(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        summary = run(args)
    except KeyboardInterrupt:
        print(f"demo: interrupted; what was done lies in {args.out}", file=sys.stderr)
        return 130
    except (DemoError, OSError, ValueError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(table_text(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
