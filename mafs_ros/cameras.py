"""Two cameras without hardware: publishes a simulation, folders of images or a bag.

    python3 -m mafs_ros.cameras --ros-args -p rate_hz:=30.0
    python3 -m mafs_ros.cameras --ros-args -p rgb_dir:=vi -p thermal_dir:=ir
    python3 -m mafs_ros.cameras --ros-args -p bag:=drive.mcap -p speed:=0.5

Simulated cameras may be late, jitter, drop images and look askew. Stamps are those of the
scheduled acquisition, never of the publication; a bag keeps its own. On stdout come lines of JSON:
the progress of rendering, and at the end what was sent.
"""

from __future__ import annotations

import csv
import heapq
import json
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mafs_ros.bags import IMAGE_ENCODINGS, Bag, choose_topics
from mafs_ros.cdr import header_stamp, with_stamp
from mafs_ros.files import pair_folders, read_rgb, read_stamps, read_thermal
from mafs_ros.images import serialised_image
from mafs_ros.memory import IMAGE_BUFFERS, keep_freed_memory
from mafs_ros.pairing import Pairing
from mafs_ros.parameters import Parameter, ParameterError, declare_parameters

SECOND = 10**9
AHEAD = 16  # messages that wait ready for their time
LATE_MS = 500.0

PARAMETERS: tuple[Parameter, ...] = (
    # topics
    Parameter(
        "rgb_topic",
        "rgb/image",
        "Topic of the RGB images (compressed ones of a bag go to TOPIC/compressed).",
    ),
    Parameter("thermal_topic", "thermal/image", "Topic of the thermal images, likewise."),
    Parameter(
        "labels_topic",
        "",
        "Topic of the exact labels of the simulation, mono8 class ids "
        "with the RGB stamps. Empty: not published.",
    ),
    Parameter("rgb_frame_id", "rgb_camera", "frame_id of the RGB images; a bag keeps its own."),
    Parameter("thermal_frame_id", "thermal_camera", "frame_id of the thermal images, likewise."),
    Parameter(
        "reliability", "reliable", "Reliability offered.", choices=("reliable", "best_effort")
    ),
    Parameter("depth", 10, "Images of each camera kept for resending.", low=1, high=1000),
    # source: a bag, two folders, or else the simulation
    Parameter("bag", "", "rosbag2 to publish: a folder, or one .mcap or .db3 file."),
    Parameter("bag_rgb_topic", "", "RGB topic in the bag. Empty: guessed."),
    Parameter("bag_thermal_topic", "", "Thermal topic in the bag. Empty: guessed."),
    Parameter("rgb_dir", "", "Folder of RGB images to publish, paired by name with thermal_dir."),
    Parameter("thermal_dir", "", "Folder of thermal images."),
    Parameter(
        "stamps_file",
        "",
        "CSV name,rgb,thermal with the stamps of the folders in seconds. "
        "Empty: stamped as taken now, at rate_hz.",
    ),
    Parameter("height", 480, "Height of the simulated images in pixels.", low=32, high=4096),
    Parameter("width", 640, "Width of the simulated images in pixels.", low=32, high=4096),
    Parameter(
        "light",
        "seeded",
        "Light of the simulated street. seeded: the seed decides.",
        choices=("seeded", "day", "night"),
    ),
    Parameter("seed", 0, "Seed of the street, the jitter and the dropouts.", low=0, high=2**31),
    Parameter(
        "cycle",
        0,
        "Render this many simulated frames before the start and repeat them, "
        "for high rates. 0: render while publishing.",
        low=0,
        high=10_000,
    ),
    # time
    Parameter("rate_hz", 10.0, "Rate of the RGB camera.", low=0.01, high=1000.0),
    Parameter(
        "thermal_rate_hz", 0.0, "Rate of the thermal camera. 0: as rate_hz.", low=0.0, high=1000.0
    ),
    Parameter(
        "speed",
        1.0,
        "Speed of a bag or stamps_file. 2: twice as fast as recorded.",
        low=0.001,
        high=1000.0,
    ),
    Parameter(
        "frames",
        0,
        "RGB images after which to end. 0: all there are; a simulation or "
        "loop then goes on until stopped.",
        low=0,
        high=2**31,
    ),
    Parameter(
        "loop",
        False,
        "Begin again at the end of the folders or the bag. Recorded stamps then jump back.",
    ),
    Parameter(
        "wait_for_subscribers",
        0,
        "Subscriptions of both topics to wait for before the start.",
        low=0,
        high=100,
    ),
    Parameter(
        "wait_timeout_s", 60.0, "Seconds to wait for them before giving up.", low=0.0, high=3600.0
    ),
    # faults of simulated cameras and folders
    Parameter(
        "jitter_s",
        0.0,
        "Largest deviation of an acquisition from its schedule; both "
        "cameras deviate for themselves.",
        low=0.0,
        high=10.0,
    ),
    Parameter(
        "thermal_stamp_offset_s",
        0.0,
        "Seconds added to the thermal stamps; the images themselves are taken at the right time.",
        low=-10.0,
        high=10.0,
    ),
    Parameter(
        "dropout",
        0.0,
        "Probability that an image is lost, each camera for itself.",
        low=0.0,
        high=1.0,
    ),
    Parameter(
        "thermal_shift_x_px",
        0.0,
        "The thermal camera sees everything this much further right than the RGB camera.",
        low=-4096.0,
        high=4096.0,
    ),
    Parameter("thermal_shift_y_px", 0.0, "The same, further down.", low=-4096.0, high=4096.0),
    Parameter(
        "thermal_rotation_deg",
        0.0,
        "The thermal camera sees everything turned this much clockwise about the image centre.",
        low=-180.0,
        high=180.0,
    ),
    # for programs that measure
    Parameter(
        "sent_file",
        "",
        "CSV file to write: topic, stamp in ns, and time of publication in "
        "ns of CLOCK_MONOTONIC, which all processes of a machine share.",
    ),
    Parameter(
        "pace_topic",
        "",
        "Topic of std_msgs/Header: after each pair wait for the header "
        "that says it is done, so that none is too much. Empty: no waiting.",
    ),
    Parameter("pace_slop_s", 0.05, "slop_s of that receiver.", low=0.0, high=10.0),
    Parameter(
        "pace_timeout_s",
        10.0,
        "Seconds after which the wait for one pair ends.",
        low=0.0,
        high=3600.0,
    ),
)
FAULTS = (
    "jitter_s",
    "thermal_stamp_offset_s",
    "dropout",
    "thermal_shift_x_px",
    "thermal_shift_y_px",
    "thermal_rotation_deg",
)
SIMULATION_ONLY = ("labels_topic", "cycle")


@dataclass(frozen=True)
class Shot:
    """One image of one camera ('rgb', 'thermal' or 'labels').

    `due`: nanoseconds after the start at which it is published. `stamp`: nanoseconds, after the
    start where `recorded` is false. `message`: serialised, None where it is lost; it gets the
    stamp when it is published, unless it has it already.
    """

    camera: str
    due: int
    stamp: int
    message: bytes | None
    recorded: bool = False


# Parameters ---------------------------------------------------------------------------------


def read_parameters(node: Node) -> dict[str, Any]:
    """Declare all parameters; returns name -> value. Raises ParameterError (parameters.py)."""
    for warning in declare_parameters(node, PARAMETERS):
        node.get_logger().warning(warning)
    values = {row.name: node.get_parameter(row.name).value for row in PARAMETERS}
    check_together(values)
    return values


def check_together(values: dict[str, Any]) -> None:
    """Raise ParameterError where values are fine one by one but not together."""
    if bool(values["rgb_dir"]) != bool(values["thermal_dir"]):
        raise ParameterError("parameters rgb_dir and thermal_dir: got one, expected both or none")
    if values["bag"] and values["rgb_dir"]:
        raise ParameterError("parameters bag and rgb_dir: got both, expected one source of images")
    if values["stamps_file"] and not values["rgb_dir"]:
        raise ParameterError("parameter stamps_file: goes with rgb_dir and thermal_dir")
    recorded = "bag" if values["bag"] else "rgb_dir" if values["rgb_dir"] else ""
    refused = SIMULATION_ONLY if recorded else ()
    if values["bag"] or values["stamps_file"]:
        refused = (*refused, *FAULTS)
    for name in refused:
        if values[name]:
            raise ParameterError(
                f"parameter {name}: got {values[name]!r}, which does not go "
                f"with recorded images (see parameter {recorded})"
            )
    fastest = max(values["rate_hz"], values["thermal_rate_hz"])
    if values["jitter_s"] >= 0.5 / fastest:
        raise ParameterError(
            f"parameter jitter_s: got {values['jitter_s']}, expected less than half a period, "
            f"{0.5 / fastest:.4f}, so that stamps keep their order"
        )


# Images to messages ---------------------------------------------------------------------------


def unstamped(image: np.ndarray, frame_id: str) -> bytes:
    """Serialised message, without stamp, of uint8 [H, W, 3] or uint8, uint16, float32 [H, W]."""
    encoding = IMAGE_ENCODINGS[image.dtype, image.ndim]
    return serialised_image(image, encoding, Header(frame_id=frame_id))


def misalignment(values: dict[str, Any], height: int, width: int) -> np.ndarray | None:
    """Homography from thermal to RGB pixels, 3x3, that the fault parameters ask for, or None."""
    shift = values["thermal_shift_x_px"], values["thermal_shift_y_px"]
    if not any(shift) and not values["thermal_rotation_deg"]:
        return None
    centre = ((width - 1) / 2, (height - 1) / 2)
    to_thermal = np.eye(3)
    # OpenCV's angle is counter-clockwise.
    to_thermal[:2] = cv2.getRotationMatrix2D(centre, -values["thermal_rotation_deg"], 1.0)
    to_thermal[:2, 2] += shift
    return np.linalg.inv(to_thermal)


def misalign(thermal: np.ndarray, values: dict[str, Any]) -> np.ndarray:
    """The thermal image [h, w] as the misaligned camera sees it; the border is repeated."""
    homography = misalignment(values, *thermal.shape)
    if homography is None:
        return thermal
    return cv2.warpPerspective(
        thermal,
        homography,
        thermal.shape[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def simulated_images(values: dict[str, Any]) -> Callable[[float], dict[str, np.ndarray]]:
    """Images of the simulated street by frame number, which may lie between two frames."""
    from mafs_ros.simulation import StreetSimulation

    night = {"seeded": None, "day": False, "night": True}[values["light"]]
    street = StreetSimulation(
        seed=values["seed"], height=values["height"], width=values["width"], night=night
    )

    def images(number: float) -> dict[str, np.ndarray]:
        frame = street.frame(number / values["rate_hz"])
        return {"rgb": frame.rgb, "thermal": frame.thermal, "labels": frame.labels}

    return images


# Schedules ------------------------------------------------------------------------------------


def generated_shots(
    values: dict[str, Any], frames: int | None, images: Callable[[float], dict[str, np.ndarray]]
) -> Iterator[Shot]:
    """Shots of both cameras at their rates and with their faults, in the order of publication.

    frames: RGB images, None for no end. images: frame number -> camera -> array; a thermal
    camera of another rate asks for numbers between.
    """
    rate = values["rate_hz"]
    thermal_rate = values["thermal_rate_hz"] or rate
    cycle = values["cycle"]
    with_labels = bool(values["labels_topic"])
    frame_ids = {
        "rgb": values["rgb_frame_id"],
        "thermal": values["thermal_frame_id"],
        "labels": values["rgb_frame_id"],
    }

    @lru_cache(maxsize=max(4, cycle))
    def messages(number: float) -> dict[str, bytes]:
        arrays = images(number)
        arrays["thermal"] = misalign(arrays["thermal"], values)
        return {
            camera: unstamped(array, frame_ids[camera])
            for camera, array in arrays.items()
            if camera != "labels" or with_labels
        }

    def shots(camera: str, own_rate: float) -> Iterator[Shot]:
        offset = values["thermal_stamp_offset_s"] if camera == "thermal" else 0.0
        rng = np.random.default_rng((values["seed"], ord(camera[0])))
        index = 0
        while frames is None or index * rate < frames * own_rate:
            deviation, lost = rng.uniform(0.0, 2 * values["jitter_s"]), rng.random()
            due = round(SECOND * (index / own_rate + deviation))
            number = index if own_rate == rate else index * rate / own_rate
            content = messages(int(number) % cycle if cycle else number)
            stamp = due + round(SECOND * offset)
            message = None if lost < values["dropout"] else content[camera]
            yield Shot(camera, due, stamp, message)
            if with_labels and camera == "rgb" and message is not None:
                yield Shot("labels", due, stamp, content["labels"])
            index += 1

    for number in range(cycle):
        messages(number)
        if number % 10 == 9 or number == cycle - 1:
            print(json.dumps({"rendered": number + 1, "of": cycle}), flush=True)
    return heapq.merge(
        shots("rgb", rate), shots("thermal", thermal_rate), key=lambda shot: shot.due
    )


def folder_shots(values: dict[str, Any]) -> Iterator[Shot]:
    """Shots of two folders, at rate_hz or with the stamps of stamps_file."""
    pairs = pair_folders(values["rgb_dir"], values["thermal_dir"])

    def images(number: float) -> dict[str, np.ndarray]:
        _, rgb, thermal = pairs[int(number) % len(pairs)]
        return {"rgb": read_rgb(rgb), "thermal": read_thermal(thermal)}

    if not values["stamps_file"]:
        frames = values["frames"] or (None if values["loop"] else len(pairs))
        if not values["loop"]:
            frames = min(frames or len(pairs), len(pairs))
        return generated_shots(values, frames, images)
    stamps = read_stamps(values["stamps_file"], [name for name, _, _ in pairs])
    return repeated(values, lambda: stamped_shots(values, pairs, stamps))


def stamped_shots(
    values: dict[str, Any], pairs: list[tuple[str, Path, Path]], stamps: list[tuple[int, int]]
) -> Iterator[Shot]:
    """Shots of image files with recorded stamps (ns), in the order of the stamps."""
    order = sorted(
        [(rgb, "rgb", i) for i, (rgb, _) in enumerate(stamps)]
        + [(thermal, "thermal", i) for i, (_, thermal) in enumerate(stamps)]
    )
    for stamp, camera, index in order:
        _, rgb, thermal = pairs[index]
        image = read_rgb(rgb) if camera == "rgb" else read_thermal(thermal)
        yield Shot(
            camera,
            round((stamp - order[0][0]) / values["speed"]),
            stamp,
            unstamped(image, values[f"{camera}_frame_id"]),
            recorded=True,
        )


def bag_shots(values: dict[str, Any], bag: Bag, cameras: dict[str, str]) -> Iterator[Shot]:
    """Shots of a bag in the order and at the times of its recording; cameras: topic -> camera."""
    first = None
    for message in bag.messages(cameras):
        first = message.received if first is None else first
        yield Shot(
            cameras[message.topic],
            round((message.received - first) / values["speed"]),
            message.stamp,
            message.raw,
            recorded=True,
        )


def repeated(values: dict[str, Any], shots: Callable[[], Iterator[Shot]]) -> Iterator[Shot]:
    """Recorded shots, again and again where `loop` is set, until `frames` RGB images went out."""
    start, count = 0, 0
    while True:
        due, count_before = 0, count
        for shot in shots():
            count += shot.camera == "rgb"
            if values["frames"] and count > values["frames"]:
                return
            due = shot.due
            yield replace(shot, due=start + due)
        if not values["loop"] or count == count_before:
            return
        start += due + due // max(count - count_before - 1, 1)  # one period of pause


def ahead(shots: Iterator[Shot], depth: int = AHEAD) -> Generator[Shot, None, None]:
    """The same shots, with the next `depth` made meanwhile by one thread."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="shots")
    try:
        waiting = deque(pool.submit(next, shots, None) for _ in range(depth))
        waiting[-1].result()  # do not begin before there is a stock
        while (shot := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, shots, None))
            yield shot
    finally:
        pool.shutdown(cancel_futures=True)


# Publishing -----------------------------------------------------------------------------------


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Whether a condition of the ROS graph comes true in time; Humble has no events for them."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


class Pacer:
    """Waits after each pair for word from its receiver.

    Pairs are formed here from the stamps sent, with the rules of the receiver's node. Counted is
    how many are done: near a lost image the node may pair otherwise than here, but no more often.
    """

    def __init__(self, node: Node, values: dict[str, Any]) -> None:
        self._pairing = Pairing(self._paired, slop_s=values["pace_slop_s"])
        self._timeout_s = values["pace_timeout_s"]
        self._open = 0  # pairs sent and not done
        self._changed = threading.Condition()
        self.pairs = 0
        self.timeouts = 0
        self._node = node
        self._topic = node.create_subscription(
            Header, values["pace_topic"], self._receive, QoSProfile(depth=10)
        ).topic_name

    def _paired(self, rgb: Any, thermal: Any) -> None:
        self.pairs += 1
        with self._changed:
            self._open += 1

    def _receive(self, header: Header) -> None:
        with self._changed:
            self._open -= 1
            self._changed.notify()

    def wait_for_receiver(self, timeout_s: float) -> None:
        """Return once somebody publishes the topic; else raise TimeoutError."""

        def heard() -> bool:
            return self._node.count_publishers(self._topic) > 0

        if not wait_until(heard, timeout_s):
            raise TimeoutError(
                f"nobody publishes pace_topic {self._topic} after {timeout_s:g} s: "
                "is the receiver running, with the same ROS_DOMAIN_ID?"
            )

    def wait(self, camera: str, stamp: int) -> bool:
        """Take note of an image just sent; if it makes a pair, wait for that and return True."""
        before = self.pairs
        time_message = Time(sec=stamp // SECOND, nanosec=stamp % SECOND)
        message = SimpleNamespace(header=Header(stamp=time_message))
        if camera == "rgb":
            self._pairing.add_rgb(message)
        elif camera == "thermal":
            self._pairing.add_thermal(message)
        if self.pairs == before:
            return False
        with self._changed:
            if not self._changed.wait_for(lambda: self._open <= 0, self._timeout_s):
                self.timeouts += 1
            self._open = 0
        return True


class Cameras:
    """Publishes shots at their times and counts them."""

    def __init__(
        self, node: Node, values: dict[str, Any], types: dict[str, type] | None = None
    ) -> None:
        self._node = node
        self._values = values
        reliable = values["reliability"] == "reliable"
        qos = QoSProfile(
            depth=values["depth"],
            history=QoSHistoryPolicy.KEEP_LAST,
            durability=QoSDurabilityPolicy.VOLATILE,
            reliability=(
                QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT
            ),
        )
        self._reliable = reliable
        self._publishers = {}
        for camera in ("rgb", "thermal", "labels"):
            topic = values[f"{camera}_topic"]
            kind = (types or {}).get(camera, Image)
            if topic:
                name = f"{topic}/compressed" if kind is CompressedImage else topic
                self._publishers[camera] = node.create_publisher(kind, name, qos)
        self.sent = dict.fromkeys(self._publishers, 0)
        self.lost = dict.fromkeys(self._publishers, 0)
        self.late_ms: deque[float] = deque(maxlen=10_000)
        self._warned = False

    def wait_for_subscribers(self, count: int, timeout_s: float) -> None:
        """Return once both topics have `count` matched subscriptions; else raise TimeoutError."""

        def missing() -> list[Any]:
            return [
                publisher
                for camera, publisher in self._publishers.items()
                if camera != "labels" and publisher.get_subscription_count() < count
            ]

        if not wait_until(lambda: not missing(), timeout_s):
            raise TimeoutError(
                f"{missing()[0].topic_name} has {missing()[0].get_subscription_count()} "
                f"subscriptions after {timeout_s:g} s, expected {count}: is the receiver "
                "running, with the same ROS_DOMAIN_ID and a QoS that fits?"
            )

    def play(self, shots: Iterator[Shot], pacer: Pacer | None, sent_file: IO[str] | None) -> None:
        """Publish every shot at its time; waiting for the pacer moves what is late after it."""
        log = csv.writer(sent_file) if sent_file else None
        start: int | None = None
        waited = False
        for shot in shots:
            if start is None:
                start = time.monotonic_ns()
                epoch = self._node.get_clock().now().nanoseconds
            if shot.message is None:
                self.lost[shot.camera] += 1
                continue
            late = time.monotonic_ns() - start - shot.due
            if late < 0:
                time.sleep(-late / SECOND)
            elif waited:
                start, epoch = start + late, epoch + late
            stamp = shot.stamp if shot.recorded else epoch + shot.stamp
            published = self._publish(shot, stamp)
            self._note_lateness((published - start - shot.due) / 1e6)
            if log:
                topic = self._publishers[shot.camera].topic_name
                log.writerow((topic, stamp, published))
            waited = pacer is not None and pacer.wait(shot.camera, stamp)

    def _publish(self, shot: Shot, stamp: int) -> int:
        """Publish and return the time of it on the monotonic clock, in nanoseconds."""
        assert shot.message is not None  # see `play`
        message = shot.message
        if header_stamp(message) != stamp:
            message = with_stamp(message, stamp)
        now = time.monotonic_ns()
        self._publishers[shot.camera].publish(message)
        self.sent[shot.camera] += 1
        return now

    def _note_lateness(self, late_ms: float) -> None:
        if late_ms > LATE_MS and not self._warned:
            self._warned = True
            self._node.get_logger().warning(
                f"an image is published {late_ms:.0f} ms late: reading or rendering does not keep "
                "up (for the simulation, see parameter cycle)"
            )
        self.late_ms.append(late_ms)

    def finish(self, timeout_s: float = 5.0) -> None:
        """Wait until reliable receivers have acknowledged all images."""
        if self._reliable:
            for publisher in self._publishers.values():
                publisher.wait_for_all_acked(Duration(seconds=timeout_s))

    def summary(self) -> dict[str, Any]:
        """What was sent and lost by camera, and how late the publications were, in ms."""
        late = np.array(self.late_ms) if self.late_ms else np.zeros(1)
        return {
            **{
                camera: {
                    "topic": publisher.topic_name,
                    "sent": self.sent[camera],
                    "dropped": self.lost[camera],
                }
                for camera, publisher in self._publishers.items()
            },
            "late_ms": {
                "median": round(float(np.median(late)), 3),
                "max": round(float(late.max()), 3),
            },
        }


# Program --------------------------------------------------------------------------------------


def open_source(
    values: dict[str, Any], stack: ExitStack
) -> tuple[str, Iterator[Shot], dict[str, type]]:
    """Name of the source, its shots, and the message types of its cameras.

    stack: closes the bag. Raises OSError or ValueError where it cannot be read.
    """
    if values["bag"]:
        bag = stack.enter_context(Bag(values["bag"], salvage=True))
        topics = choose_topics(bag, values["bag_rgb_topic"], values["bag_thermal_topic"])
        cameras = {
            topic.name: camera for topic, camera in zip(topics, ("rgb", "thermal"), strict=True)
        }
        types = {
            camera: CompressedImage if topic.compressed else Image
            for topic, camera in zip(topics, ("rgb", "thermal"), strict=True)
        }
        shots = repeated(values, lambda: bag_shots(values, bag, cameras))
        damage = f"; what can be salvaged, since {bag.damage}" if bag.damage else ""
        return f"bag {values['bag']}: {topics[0]} and {topics[1]}{damage}", shots, types
    if values["rgb_dir"]:
        name = f"folders {values['rgb_dir']} and {values['thermal_dir']}"
        return name, folder_shots(values), {}
    name = f"simulated street, seed {values['seed']}"
    return name, generated_shots(values, values["frames"] or None, simulated_images(values)), {}


def run(node: Node, values: dict[str, Any]) -> None:
    """Publish everything, then print the summary; also after Ctrl-C."""
    with ExitStack() as stack:
        source, shots, types = open_source(values, stack)
        sent_file = None
        if values["sent_file"]:
            sent_file = stack.enter_context(open(values["sent_file"], "w", newline=""))
        cameras = Cameras(node, values, types)
        pacer = Pacer(node, values) if values["pace_topic"] else None
        stack.enter_context(spinning(node))
        ready = stack.enter_context(closing(ahead(shots)))
        node.get_logger().info(f"publishing {source}")
        finished = False
        try:
            if values["wait_for_subscribers"]:
                cameras.wait_for_subscribers(
                    values["wait_for_subscribers"], values["wait_timeout_s"]
                )
            if pacer:
                pacer.wait_for_receiver(values["wait_timeout_s"])
            cameras.play(ready, pacer, sent_file)
            cameras.finish()
            finished = True
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C while ending
            paced = {"pairs": pacer.pairs, "pace_timeouts": pacer.timeouts} if pacer else {}
            print(json.dumps({**cameras.summary(), **paced, "finished": finished}), flush=True)


@contextmanager
def spinning(node: Node) -> Iterator[None]:
    """Serve the node's subscriptions and parameters in a thread of their own."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            pass

    thread = threading.Thread(target=spin, name="spin")
    thread.start()
    try:
        yield
    finally:
        executor.shutdown()
        thread.join()


def main(args: list[str] | None = None) -> int:
    """Exit code 0 at the end of the images or after Ctrl-C, 1 after an error, in one line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    keep_freed_memory(IMAGE_BUFFERS)
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node = Node("cameras", automatically_declare_parameters_from_overrides=True)
    try:
        run(node, read_parameters(node))
    except KeyboardInterrupt:
        pass
    except (OSError, ValueError) as error:
        print(f"cameras: {error}", file=sys.stderr)
        return 1
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
