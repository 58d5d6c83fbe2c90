"""The node as a process of its own, over DDS, with its real engine and weights."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header, String

from mafs_ros.images import serialised_image
from mafs_ros.labels import ClassTable, load_class_table

try:
    from vision_msgs.msg import LabelInfo
except ImportError:
    LabelInfo = None

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, WIDTH = 128, 160
DEADLINE_S = 60.0
SECOND = 10**9
RELIABLE = QoSProfile(depth=500, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
TOPICS = {
    "fused": "/mafs/fused/image",
    "labels": "/mafs/segmentation/labels",
    "overlay": "/mafs/segmentation/overlay",
}
OUTCOMES = (
    "waiting",
    "in_progress",
    "published",
    "failed",
    "bad_image",
    "not_subscribed",
    "replaced_while_busy",
    "discarded",
)
CAUSES = (
    "paired",
    "unpaired_slop",
    "unpaired_overflow",
    "duplicate",
    "late",
    "cleared",
    "pending",
)


def ros_arguments(parameters: dict[str, Any]) -> list[str]:
    words = [
        word
        for name, value in parameters.items()
        for word in ("-p", f"{name}:={json.dumps(value)}")
    ]
    return ["--ros-args", *words]


class Process:
    """A child process whose stderr is read line by line."""

    def __init__(self, module: str, parameters: dict[str, Any]) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", module, *ros_arguments(parameters)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "RCUTILS_COLORIZED_OUTPUT": "0", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        for line in self.child.stderr:
            with self.changed:
                self.lines.append(line.rstrip())
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def wait_for_line(self, pattern: str, after: int = 0) -> str:
        """The first line from number `after` on that holds the pattern."""

        def matching() -> list[str]:
            return [line for line in self.lines[after:] if re.search(pattern, line)]

        with self.changed:
            self.changed.wait_for(lambda: matching() or self.child.poll() is not None, DEADLINE_S)
            found = matching()
        assert found, f"no line {pattern!r} among:\n" + "\n".join(self.lines)
        return found[0]

    def send(self, *signals: int) -> None:
        for number in signals:
            self.child.send_signal(number)

    def wait(self) -> int:
        code = self.child.wait(DEADLINE_S)
        self.reader.join()
        return code

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()
        self.reader.join()
        self.child.stdout.close()
        self.child.stderr.close()


class Bench:
    """The cameras and the consumer of the node under test, in this process."""

    def __init__(self, camera_qos: QoSProfile = RELIABLE) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("bench", context=self.context)
        self.changed = threading.Condition()
        self.received: dict[str, list[Any]] = {name: [] for name in (*TOPICS, "label_info")}
        self.status: dict[str, Any] = {}
        self.publishers: dict[str, Any] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin)
        self.thread.start()
        self.camera_qos = camera_qos

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def subscribe(self, *names: str) -> None:
        for name in names:
            self.node.create_subscription(
                Image, TOPICS[name], lambda message, name=name: self._take(name, message), RELIABLE
            )

    def subscribe_label_info(self) -> None:
        self.node.create_subscription(
            LabelInfo or String,
            "/mafs/segmentation/label_info",
            lambda message: self._take("label_info", message),
            LATCHED,
        )

    def _take(self, name: str, message: Any) -> None:
        with self.changed:
            self.received[name].append(message)
            self.changed.notify_all()

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        with self.changed:
            self.status = {status.name.partition(": ")[2]: status for status in array.status}
            self.changed.notify_all()

    def wait(self, condition: Callable[[], Any], what: str, timeout_s: float = DEADLINE_S) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout_s), f"{what}; {self.values()}"

    def values(self, name: str = "perception") -> dict[str, str]:
        """The newest /diagnostics values of one status."""
        status = self.status.get(name)
        return {} if status is None else {item.key: item.value for item in status.values}

    def counts(self, name: str = "perception") -> dict[str, int]:
        return {key: int(value) for key, value in self.values(name).items() if value.isdigit()}

    def wait_for_counts(self, name: str = "perception", **expected: int) -> None:
        self.wait(lambda: expected.items() <= self.counts(name).items(), f"expected {expected}")

    def publish(self, camera: str, message: Any) -> None:
        compressed = isinstance(message, CompressedImage)
        topic = f"/{camera}/image" + "/compressed" * compressed
        if topic not in self.publishers:
            self.publishers[topic] = self.node.create_publisher(
                type(message), topic, self.camera_qos
            )
        self.publishers[topic].publish(message)

    def send_pair(self, stamp_ns: int, **messages: Any) -> int:
        """Send a pair, images of the test's own where no messages are given; returns the stamp."""
        pair = {"rgb": rgb_message(stamp_ns), "thermal": thermal_message(stamp_ns), **messages}
        for camera, message in pair.items():
            message.header = header(stamp_ns, f"{camera}_camera")
            self.publish(camera, message)
        return stamp_ns

    def connect(self, *outputs: str, make: Callable[[], dict[str, Any]] = dict) -> int:
        """Subscribe, then send pairs until one has come back on each output; the newest stamp."""
        self.subscribe(*outputs)
        deadline = time.monotonic() + DEADLINE_S
        stamp = time.time_ns()
        while not all(self.received[name] for name in outputs):
            assert time.monotonic() < deadline, f"nothing comes back; {self.values()}"
            stamp = self.send_pair(time.time_ns(), **make())
            with self.changed:
                self.changed.wait(0.2)
        self.wait_for_stamp(stamp)
        return stamp

    def wait_for_stamp(self, stamp_ns: int, name: str = "fused") -> Image:
        """The output with this stamp."""

        def matching() -> list[Image]:
            return [message for message in self.received[name] if stamp_of(message) == stamp_ns]

        self.wait(matching, f"no {name} with stamp {stamp_ns}")
        return matching()[0]

    def call(self, kind: Any, service: str, request: Any) -> Any:
        client = self.node.create_client(kind, service)
        assert client.wait_for_service(DEADLINE_S), service
        future = client.call_async(request)
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        assert done.wait(DEADLINE_S), f"no answer from {service}"
        self.node.destroy_client(client)
        return future.result()

    def transition(self, label: str) -> bool:
        request = ChangeState.Request()
        request.transition.label = label
        return self.call(ChangeState, "/mafs/change_state", request).success

    def state(self) -> str:
        return self.call(GetState, "/mafs/get_state", GetState.Request()).current_state.label

    def set_parameters(self, **values: Any) -> list[Any]:
        request = SetParameters.Request(
            parameters=[
                Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
            ]
        )
        return self.call(SetParameters, "/mafs/set_parameters", request).results


def header(stamp_ns: int, frame_id: str) -> Header:
    result = Header(frame_id=frame_id)
    result.stamp.sec, result.stamp.nanosec = divmod(stamp_ns, SECOND)
    return result


def stamp_of(message: Any) -> int:
    return message.header.stamp.sec * SECOND + message.header.stamp.nanosec


def rgb_image(seed: int = 0) -> np.ndarray:
    """A smooth coloured picture."""
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (8, 10, 3), np.uint8), (WIDTH, HEIGHT))


def thermal_image(level: int = 29500) -> np.ndarray:
    """A warm rectangle on a cool slope, in centikelvin."""
    image = np.tile(np.linspace(28000, 28500, WIDTH).astype(np.uint16), (HEIGHT, 1))
    image[40:90, 60:80] = level
    return image


def image_message(array: np.ndarray, encoding: str, stamp_ns: int = 0) -> Image:
    return deserialize_message(serialised_image(array, encoding, header(stamp_ns, "")), Image)


def rgb_message(stamp_ns: int) -> Image:
    return image_message(rgb_image(), "rgb8", stamp_ns)


def thermal_message(stamp_ns: int) -> Image:
    return image_message(thermal_image(), "mono16", stamp_ns)


def pixels(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, -1)


@pytest.fixture
def bench(ros_domain: int) -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture
def start(ros_domain: int) -> Iterator[Callable[..., Process]]:
    """Start the node with parameters; at the end each still running must end cleanly."""
    processes = []

    def start(**parameters: Any) -> Process:
        processes.append(Process("mafs_ros.node", parameters))
        return processes[-1]

    yield start
    try:
        for process in processes:
            if process.child.poll() is None:
                process.send(signal.SIGINT)
                assert process.wait() == 0, "\n".join(process.lines)
            assert not [line for line in process.lines if "Traceback" in line], process.lines
    finally:
        for process in processes:
            process.kill()


@contextlib.contextmanager
def cameras(**parameters: Any) -> Iterator[Process]:
    process = Process(
        "mafs_ros.cameras",
        {"height": HEIGHT, "width": WIDTH, "cycle": 3, "wait_for_subscribers": 1, **parameters},
    )
    try:
        yield process
    finally:
        if process.child.poll() is None:
            process.send(signal.SIGINT)
            process.wait()
        process.kill()


@pytest.fixture
def shared_memory() -> Iterator[None]:
    """Removes what a killed process leaves in /dev/shm: 16 MiB, locked by nobody any more."""
    folder = Path("/dev/shm")  # noqa: S108 (where Fast DDS has its segments)
    before = set(folder.iterdir())
    yield
    for lock in set(folder.glob("fast*_" + "[0-9a-f]" * 16 + "_el")) - before:
        with contextlib.suppress(OSError), lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.with_name(lock.name.removesuffix("_el")).unlink()
            lock.unlink()


@pytest.mark.alone
def test_every_pair_at_10_hz_comes_out_once_in_order(
    start: Callable[..., Process], bench: Bench, tmp_path: Path
) -> None:
    sent_file = tmp_path / "sent.csv"
    start(image_height=HEIGHT, image_width=WIDTH)
    connected = bench.connect("fused", "labels")
    with cameras(rate_hz=10.0, frames=200, rgb_frame_id="left_eye", sent_file=str(sent_file)) as c:
        assert c.wait() == 0, c.lines
    sent = [int(stamp) for topic, stamp, _ in csv.reader(sent_file.open()) if "rgb" in topic]
    assert len(sent) == 200
    bench.wait_for_stamp(sent[-1], "fused")
    bench.wait_for_stamp(sent[-1], "labels")
    classes = load_class_table("street").num_classes
    for name, encoding in (("fused", "rgb8"), ("labels", "mono8")):
        messages = [m for m in bench.received[name] if stamp_of(m) > connected]
        assert [stamp_of(message) for message in messages] == sent
        for message in messages:
            assert message.header.frame_id == "left_eye"
            assert (message.encoding, message.height, message.width) == (encoding, HEIGHT, WIDTH)
            assert len(message.data) == message.height * message.step
            assert name == "fused" or pixels(message).max() < classes


@pytest.mark.alone
def test_at_60_hz_it_keeps_up_with_the_newest_pair(
    start: Callable[..., Process], bench: Bench, tmp_path: Path
) -> None:
    sent_file = tmp_path / "sent.csv"
    start(image_height=480, image_width=640, input_reliability="reliable", input_depth=100)
    bench.subscribe("fused")
    with cameras(
        rate_hz=60.0, frames=300, height=480, width=640, depth=100, sent_file=str(sent_file)
    ) as process:
        assert process.wait() == 0, process.lines
    sent = {int(stamp) for topic, stamp, _ in csv.reader(sent_file.open()) if "rgb" in topic}
    bench.wait_for_counts("pairing", rgb_received=300, thermal_received=300)
    bench.wait_for_counts(waiting=0, in_progress=0)
    pairing, perception = bench.counts("pairing"), bench.counts()
    for camera in ("rgb", "thermal"):
        assert sum(pairing[f"{camera}_{cause}"] for cause in CAUSES) == 300
    assert pairing["paired"] == perception["pairs"]
    assert sum(perception[outcome] for outcome in OUTCOMES) == perception["pairs"]
    assert perception["failed"] == perception["bad_image"] == 0
    bench.wait(
        lambda: len(bench.received["fused"]) == perception["published"], "the published frames"
    )
    stamps = [stamp_of(message) for message in bench.received["fused"]]
    assert stamps == sorted(set(stamps)) and set(stamps) <= sent
    timing = {key: float(value) for key, value in bench.values().items() if "_ms_" in key}
    assert timing["latency_ms_p95"] < 2 * timing["engine_ms_p95"], timing
    assert timing["age_ms_median"] < 2 * timing["engine_ms_p95"], timing


def test_bad_images_are_counted_logged_and_skipped(
    start: Callable[..., Process], bench: Bench
) -> None:
    process = start()
    stamp = bench.connect("fused")
    short, unknown, empty = rgb_message(0), rgb_message(0), Image(encoding="mono16")
    short.data = short.data[:100]
    unknown.encoding = "rgb565"
    for number, bad in enumerate(({"rgb": short}, {"rgb": unknown}, {"thermal": empty}), 1):
        stamp = bench.send_pair(stamp + SECOND // 10, **bad)
        bench.wait_for_counts(bad_image=number)
    bench.wait_for_counts("rgb camera", bad=2)
    assert "bad images in 10 s: got encoding" in bench.status["rgb camera"].message
    bench.publishers["/rgb/image"].publish(serialize_message(rgb_message(0))[:1000])  # cut off
    bench.wait_for_counts("rgb camera", bad=3)
    assert "bad images in 10 s: got 1000 bytes" in bench.status["rgb camera"].message
    stamp = bench.send_pair(stamp + SECOND // 10)
    bench.wait_for_stamp(stamp)
    bench.wait_for_counts("thermal camera", bad=1)
    assert bench.counts()["failed"] == 0
    process.wait_for_line(r"rgb image on /rgb/image skipped .*got 100 bytes .*expected 61440")
    process.wait_for_line(r"thermal image on /thermal/image skipped .*got an image of 0x0")


def test_a_frame_that_fails_is_skipped(start: Callable[..., Process], bench: Bench) -> None:
    process = start(thermal_scaling="as_is")  # takes 8-bit images alone
    bench.subscribe("fused")
    grey = {"thermal": image_message(np.full((HEIGHT, WIDTH), 90, np.uint8), "mono8")}
    stamp = bench.connect("fused", make=lambda: grey)
    stamp = bench.send_pair(stamp + SECOND // 10)
    bench.wait_for_counts(failed=1)
    bench.wait_for_stamp(bench.send_pair(stamp + SECOND // 10, **grey))
    process.wait_for_line("frame skipped .*thermal scaling as_is takes 8-bit images")


@pytest.mark.alone
def test_killed_camera_is_named_and_comes_back(
    start: Callable[..., Process], bench: Bench, shared_memory: None
) -> None:
    process = start(stale_timeout_s=1.0)
    bench.subscribe("fused")
    with cameras(rate_hz=20.0) as camera:
        bench.wait(lambda: bench.received["fused"], "a fused frame")
        camera.kill()
    for name in ("rgb", "thermal"):
        process.wait_for_line(rf"no {name} message on /{name}/image for \d+ s")
    bench.wait(lambda: bench.status["thermal camera"].level == b"\x02", "an ERROR status")
    frames, lines = len(bench.received["fused"]), len(process.lines)
    with cameras(rate_hz=20.0):
        bench.wait(lambda: len(bench.received["fused"]) > frames, "fused frames again")
        process.wait_for_line("thermal messages on /thermal/image come again", lines)


def test_time_may_jump_back(start: Callable[..., Process], bench: Bench) -> None:
    """A bag that loops, with its clock."""
    start(use_sim_time=True)
    clock = bench.node.create_publisher(Clock, "/clock", RELIABLE)

    def play(second: float) -> None:
        message = Clock(clock=header(round(second * SECOND), "").stamp)
        clock.publish(message)
        bench.wait_for_stamp(bench.send_pair(round(second * SECOND)))

    bench.connect("fused")
    with bench.changed:
        bench.received["fused"].clear()
    for _ in range(2):
        for second in (1000.0, 1000.1, 1000.2, 1030.0):
            play(second)
        with bench.changed:
            bench.received["fused"].clear()
    bench.wait_for_counts("pairing", time_resets=2)  # from this test's clock, and the loop


def test_cameras_that_never_pair_are_explained(
    start: Callable[..., Process], bench: Bench
) -> None:
    process = start(stale_timeout_s=1.0)
    bench.connect("fused")
    deadline = time.monotonic() + DEADLINE_S
    while "no pair" not in bench.status["pairing"].message:
        assert time.monotonic() < deadline
        bench.publish("rgb", rgb_message(time.time_ns()))
        bench.publish("thermal", thermal_message(time.time_ns() - 90 * SECOND))
        with bench.changed:
            bench.changed.wait(0.1)
    process.wait_for_line(r"no pair for \d+ s: the newest thermal stamp is -(89|90)\.\d+ s from")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"weights": "/nowhere/my.safetensors"}, "/nowhere/my.safetensors"),
        ({"weights": str(ROOT / "package.xml")}, "package.xml"),
        ({"registration_file": "/nowhere/pair.yaml"}, "/nowhere/pair.yaml"),
        ({"rgb_topic": "two words"}, "parameter rgb_topic: got 'two words', expected the name of"),
        ({"slop_s": -1.0}, "parameter slop_s: got -1.0, expected a float from 0.0 to 10.0"),
        ({"thermal_low": 9.0, "thermal_high": 8.0}, "expected thermal_low below thermal_high"),
    ],
)
def test_what_cannot_start_says_why_and_ends(
    start: Callable[..., Process], parameters: dict[str, Any], message: str
) -> None:
    process = start(**parameters)
    assert process.wait() == 1
    errors = [line for line in process.lines if "INFO" not in line]
    assert len(errors) == 1 and message in errors[0], process.lines


def test_words_that_are_no_ros_arguments_are_refused(ros_domain: int) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "mafs_ros.node", "rgb_topic:=/x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert run.returncode == 1
    assert run.stderr.startswith("mafs_node: got arguments rgb_topic:=/x, expected parameters as")


@pytest.mark.parametrize("signals", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)])
def test_signals_end_it_cleanly_while_frames_flow(
    start: Callable[..., Process], bench: Bench, signals: tuple[int, ...]
) -> None:
    process = start()
    bench.connect("fused", "labels")
    with cameras(rate_hz=50.0):
        before = len(bench.received["fused"])
        bench.wait(lambda: len(bench.received["fused"]) > before + 5, "frames")
        process.send(*signals)
        assert process.wait() == 0
    assert not [line for line in process.lines if "INFO" not in line], process.lines


@pytest.mark.alone
@pytest.mark.parametrize("when", ["configure", "first frame"])
def test_signal_ends_it_while_the_engine_compiles(
    start: Callable[..., Process], bench: Bench, tmp_path: Path, when: str
) -> None:
    """`ros2 launch` kills what takes longer than 5 s; converting the network takes longer."""
    size = {"image_height": 256, "image_width": 320} if when == "configure" else {}
    process = start(cache_dir=str(tmp_path), **size)
    if when == "first frame":
        process.wait_for_line("active")
        bench.subscribe("fused")
        deadline = time.monotonic() + DEADLINE_S
        while not any("preparing" in line for line in process.lines):
            assert time.monotonic() < deadline
            bench.send_pair(time.time_ns())
            with bench.changed:
                bench.changed.wait(0.1)
    process.wait_for_line("preparing the engine")
    before = time.monotonic()
    process.send(signal.SIGINT)
    assert process.wait() == 0
    assert time.monotonic() - before < 5.0
    assert not [line for line in process.lines if "INFO" not in line], process.lines


def test_lifecycle(start: Callable[..., Process], bench: Bench) -> None:
    process = start(autostart=False, weights="/nowhere/my.safetensors")
    assert bench.state() == "unconfigured"
    assert not bench.transition("activate")  # impossible here: refused, node lives
    assert not bench.transition("configure")  # wrong weights
    process.wait_for_line("cannot configure: .*/nowhere/my.safetensors")
    assert bench.set_parameters(weights="")[0].successful
    assert bench.transition("configure") and bench.state() == "inactive"
    bench.wait(lambda: bench.status["perception"].message == "inactive", "the status")
    refused = bench.set_parameters(backend="torch")[0]
    assert not refused.successful and "clean up the node" in refused.reason
    assert bench.transition("activate")
    stamp = bench.connect("fused")
    assert bench.transition("deactivate")
    bench.wait(lambda: bench.node.count_subscribers("/rgb/image") == 0, "no subscription")
    assert bench.transition("activate")
    bench.wait(lambda: bench.node.count_subscribers("/rgb/image") == 1, "the subscription")
    with bench.changed:
        bench.received["fused"].clear()
    assert bench.connect("fused") > stamp
    assert bench.transition("deactivate") and bench.transition("cleanup")
    assert bench.state() == "unconfigured"
    assert bench.transition("shutdown") and bench.state() == "finalized"


def test_work_is_done_for_subscribers_only(start: Callable[..., Process], bench: Bench) -> None:
    start()
    deadline = time.monotonic() + DEADLINE_S
    while not bench.counts().get("not_subscribed"):
        assert time.monotonic() < deadline
        bench.send_pair(time.time_ns())
        with bench.changed:
            bench.changed.wait(0.1)
    assert bench.counts()["published"] == 0
    bench.connect("fused", "labels")
    bench.wait(lambda: bench.counts()["published"] > 0, "frames")
    assert "overlay_ms_median" not in bench.values()
    bench.connect("overlay")
    bench.wait(lambda: "overlay_ms_median" in bench.values(), "the overlay")
    message = bench.received["overlay"][-1]
    assert (message.encoding, message.height, message.width) == ("rgb8", HEIGHT, WIDTH)


def test_label_info_is_latched(start: Callable[..., Process], bench: Bench) -> None:
    start().wait_for_line("active")
    bench.subscribe_label_info()
    bench.wait(lambda: bench.received["label_info"], "the class table")
    message, table = bench.received["label_info"][0], load_class_table("street")
    if LabelInfo is None:
        assert ClassTable.from_dict(json.loads(message.data)) == table
    else:
        assert [(c.class_id, c.class_name) for c in message.class_map] == [
            (c.id, c.name) for c in table.classes
        ]


def test_unwritable_cache_costs_time_only(start: Callable[..., Process]) -> None:
    process = start(cache_dir="/proc/engines")
    assert "is compiled at every start" in process.wait_for_line("cache_dir /proc/engines cannot")
    process.wait_for_line("active")


def test_incompatible_qos_names_both_sides(ros_domain: int, start: Callable[..., Process]) -> None:
    process = start(input_reliability="reliable")
    bench = Bench(camera_qos=BEST_EFFORT)
    try:
        bench.send_pair(time.time_ns())
        for camera in ("rgb", "thermal"):
            process.wait_for_line(
                rf"incompatible QoS on /{camera}/image: .* offers best_effort, this node requests "
                "reliable: .*set input_reliability to auto or best_effort"
            )
    finally:
        bench.close()


def test_best_effort_cameras_are_taken_by_default(
    ros_domain: int, start: Callable[..., Process]
) -> None:
    process = start()
    bench = Bench(camera_qos=BEST_EFFORT)
    try:
        bench.connect("fused")
        for camera in ("rgb", "thermal"):
            process.wait_for_line(f"/{camera}/image is offered with best_effort alone")
    finally:
        bench.close()


def test_live_parameters(start: Callable[..., Process], bench: Bench) -> None:
    start()
    stamp = bench.connect("fused")
    results = bench.set_parameters(
        thermal_scaling="fixed",
        thermal_unit="kelvin",
        thermal_low=280.0,
        thermal_high=300.0,
        slop_s=0.2,
    )
    assert [result.successful for result in results] == [True, True, True, True, True]
    bench.wait_for_stamp(bench.send_pair(stamp + SECOND))
    bench.wait(lambda: bench.values().get("thermal_high") == "30000.00", "the fixed range")
    assert bench.values()["thermal_low"] == "28000.00"
    assert bench.values("pairing")["slop_s"] == "0.2"
    refused = bench.set_parameters(thermal_low=301.0)[0]
    assert not refused.successful and "expected thermal_low below thermal_high" in refused.reason
    refused = bench.set_parameters(overlay_alpha=1.5)[0]
    assert not refused.successful and "overlay_alpha" in refused.reason


def test_compressed_images(start: Callable[..., Process], bench: Bench) -> None:
    """JPEG and 16-bit PNG give nearly the picture that raw images give."""

    def encoded(image: np.ndarray, suffix: str, kind: str) -> CompressedImage:
        return CompressedImage(format=kind, data=cv2.imencode(suffix, image)[1].tobytes())

    scaling = {"thermal_scaling": "fixed", "thermal_low": 28000.0, "thermal_high": 30000.0}
    process = start(rgb_transport="compressed", thermal_transport="compressed", **scaling)
    messages = {
        "rgb": encoded(rgb_image()[..., ::-1], ".jpg", "rgb8; jpeg compressed bgr8"),
        "thermal": encoded(thermal_image(), ".png", "16UC1; png compressed 16UC1"),
    }
    stamp = bench.connect("fused", make=lambda: messages)
    compressed = pixels(bench.wait_for_stamp(stamp)).astype(int)
    process.send(signal.SIGINT)
    assert process.wait() == 0
    with bench.changed:
        bench.received["fused"].clear()
    start(**scaling)
    raw = pixels(bench.wait_for_stamp(bench.connect("fused"))).astype(int)
    assert np.abs(compressed - raw).mean() < 2
