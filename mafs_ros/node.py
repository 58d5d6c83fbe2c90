"""The ROS 2 lifecycle node `mafs`: pairs two cameras, publishes the fused image and the labels.

    ros2 run mafs_ros mafs_node --ros-args -p rgb_topic:=/cam/image -p thermal_topic:=/flir/image

configure loads the weights and compiles the engine, activate subscribes and publishes, deactivate
stops, cleanup frees. The node does the first two itself unless `autostart` is false. One thread
spins: its callbacks only pair messages and leave the newest pair in a mailbox. A second one, the
Worker, turns pairs into images and publishes them.
"""

import json
import logging
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidTopicNameException
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.validate_topic_name import validate_topic_name
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from mafs_ros import health
from mafs_ros.cdr import CdrError, read_image
from mafs_ros.errors import one_line
from mafs_ros.health import CameraHealth, Events, FrameHealth, Status, Throttle
from mafs_ros.images import ImageError, rgb_from_message, serialised_image, thermal_from_message
from mafs_ros.labels import ClassTable, overlay
from mafs_ros.memory import IMAGE_BUFFERS, keep_freed_memory
from mafs_ros.pairing import Mailbox, Pairing, nanoseconds
from mafs_ros.parameters import (
    TABLE,
    ParameterError,
    check_change,
    check_together,
    declare_parameters,
    parameter_values,
)
from mafs_ros.perception import Perception
from mafs_ros.registration import Registration, load_registration
from mafs_ros.resources import default_weights
from mafs_ros.thermal import ThermalScaler, scaler_from

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError
try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:
    LabelInfo = None

OUTPUT_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE
)
LATCHED_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
SCALER_PARAMETERS = tuple(
    name
    for name in TABLE
    if name.startswith("thermal_") and TABLE[name].live and name != "thermal_time_offset_s"
)
# Names of our threads.
STARTER, WORKER = "mafs start", "mafs worker"
# How often the spinning thread looks for SIGINT and SIGTERM.
SIGNAL_PERIOD_S = 0.2
# How long the frame in progress may take at the end; `ros2 launch` loses patience after 5 s.
GRACE_S = 2.0
# Python's default of 5 ms lets the spinning thread keep a new pair from the worker.
SWITCH_S = 0.00001


@dataclass
class Arrival:
    """A message and the monotonic time of its arrival in seconds. Pairing reads `header`."""

    message: Any
    at: float
    header: Any = field(init=False)

    def __post_init__(self) -> None:
        self.header = self.message.header


@dataclass
class Session:
    """What exists from configure to cleanup."""

    engine: Any
    perception: Perception
    table: ClassTable
    outputs: dict[str, Any]  # 'fused', 'labels', 'overlay' -> publisher
    label_info: Any
    overlay_alpha: float
    facts: dict[str, Any]
    prepared: set[tuple[int, int]] = field(default_factory=set)


@dataclass
class Inputs:
    """What exists from activate to deactivate."""

    rgb: CameraHealth
    thermal: CameraHealth
    pairing: Pairing
    pairs: Events
    mailbox: Mailbox
    worker: "Worker"
    subscriptions: dict[str, Any] = field(default_factory=dict)  # by camera


class RosLogHandler(logging.Handler):
    """Sends what the layers without ROS log to the node's log."""

    def __init__(self, node: LifecycleNode) -> None:
        super().__init__()
        self._logger = node.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)


class MafsNode(LifecycleNode):
    """See the module. Raises ParameterError where a parameter given at the start is impossible."""

    def __init__(self) -> None:
        super().__init__("mafs", automatically_declare_parameters_from_overrides=True)
        self._throttle = Throttle()
        self._session: Session | None = None
        self._inputs: Inputs | None = None
        for unknown in declare_parameters(self):
            self.get_logger().warning(unknown)
        check_together(parameter_values(self))
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._refuse_impossible_transitions()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady time: with use_sim_time a paused or looping bag would stop a ROS timer.
        self.create_timer(1.0, self._every_second, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def destroy_node(self) -> None:
        super().destroy_node()
        # rclpy forgets this one, which keeps the DDS participant and its 16 MiB in /dev/shm.
        self._state_machine.destroy_when_not_in_use()

    # lifecycle

    @property
    def active(self) -> bool:
        return self._inputs is not None

    def start(self) -> None:
        """Configure and activate; where that fails the reason is on the log."""
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def stop(self) -> None:
        """Leave whatever state there is and join the worker."""
        self._deactivate()
        self._clean_up()

    def leave(self, timeout_s: float) -> None:
        """For the end of the process: stop, unless the worker is busy for longer than that."""
        if self._inputs is not None:
            self._inputs.mailbox.close()
            self._inputs.worker.join(timeout_s)
            if self._inputs.worker.is_alive():
                return
        self.stop()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("configure", self._configure, undo=self._clean_up)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("activate", self._activate, undo=self._deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("deactivate", self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("clean up", self._clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("shut down", self.stop)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt("recover", self.stop)

    def _attempt(
        self, name: str, action: Callable[[], None], undo: Callable[[], None] | None = None
    ) -> TransitionCallbackReturn:
        """Make a transition; whatever it raises becomes one line on the log and a FAILURE."""
        try:
            action()
        except Exception as error:
            self.get_logger().error(f"cannot {name}: {one_line(error)}")
            self.get_logger().debug(traceback.format_exc())
            if undo:
                undo()
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _refuse_impossible_transitions(self) -> None:
        """Answer requests for impossible transitions, which would end the process in rclpy."""
        for service in self.services:
            if service.srv_type is ChangeState:
                service.callback = self._refusing(service.callback)

    def _refusing(self, change_state: Callable[..., Any]) -> Callable[..., Any]:
        def answer(request: Any, response: Any) -> Any:
            try:
                return change_state(request, response)
            except Exception as error:
                self.get_logger().warning(f"transition refused: {one_line(error)}")
                response.success = False
                return response

        return answer

    def _configure(self) -> None:
        from mafs_ros.engine import create_engine  # imports OpenVINO or torch

        values = parameter_values(self)
        for camera in ("rgb", "thermal"):
            self._input_topic(camera)
        registration = (
            load_registration(Path(values["registration_file"]).expanduser())
            if values["registration_file"]
            else Registration(None)
        )
        weights = Path(values["weights"]).expanduser() if values["weights"] else default_weights()
        self.get_logger().info(f"loading {weights}")
        engine = create_engine(
            values["backend"],
            weights,
            threads=values["threads"],
            precision=values["precision"],
            cache_dir=cache_dir_of(values),
        )
        table = ClassTable.from_dict(engine.model_info.class_table)
        self._session = Session(
            engine,
            Perception(engine, scaler_from(values), registration),
            table,
            outputs={
                name: self.create_publisher(Image, topic, OUTPUT_QOS)
                for name, topic in (
                    ("fused", "~/fused/image"),
                    ("labels", "~/segmentation/labels"),
                    ("overlay", "~/segmentation/overlay"),
                )
            },
            label_info=self.create_publisher(
                LabelInfo or String, "~/segmentation/label_info", LATCHED_QOS
            ),
            overlay_alpha=values["overlay_alpha"],
            facts={
                "engine": engine.description,
                "weights": str(weights),
                "preset": engine.model_info.preset,
                "classes": " ".join(table.names),
            },
        )
        self.get_logger().info(
            f"{engine.description}; {engine.model_info.preset} with classes "
            + ", ".join(table.names)
        )
        if values["image_height"]:
            self.prepare(self._session, values["image_height"], values["image_width"])

    def prepare(self, session: Session, height: int, width: int) -> None:
        """Compile and warm up the engine for a size, once; says so on the log."""
        if (height, width) in session.prepared:
            return
        self.get_logger().info(f"preparing the engine for {width}x{height} images ...")
        start = time.monotonic()
        session.engine.prepare(height, width)
        session.prepared.add((height, width))
        self.get_logger().info(
            f"engine ready for {width}x{height} images after {time.monotonic() - start:.1f} s"
        )

    def _activate(self) -> None:
        session = self._session
        assert session is not None  # noqa: S101 (lifecycle: configured)
        values = parameter_values(self)
        since = time.monotonic()
        rgb, thermal = (
            CameraHealth(camera, self._input_topic(camera), since) for camera in ("rgb", "thermal")
        )
        mailbox, pairs = Mailbox(), Events()

        def leave_pair(rgb_arrival: Arrival, thermal_arrival: Arrival) -> None:
            pairs.add(time.monotonic())
            mailbox.put((rgb_arrival, thermal_arrival))

        pairing = Pairing(
            leave_pair,
            slop_s=values["slop_s"],
            queue_size=values["queue_size"],
            thermal_time_offset_s=values["thermal_time_offset_s"],
        )
        worker = Worker(self, session, mailbox, rgb, thermal)
        self._inputs = Inputs(rgb, thermal, pairing, pairs, mailbox, worker)
        worker.start()
        session.label_info.publish(label_info_message(session.table))
        reliable = values["input_reliability"] != "best_effort"
        for camera in (rgb, thermal):
            self._subscribe(self._inputs, camera, reliable)
        self.get_logger().info(
            f"active: {rgb.topic} and {thermal.topic} ({values['input_reliability']}) to "
            + ", ".join(publisher.topic_name for publisher in session.outputs.values())
        )

    def _deactivate(self) -> None:
        inputs, self._inputs = self._inputs, None
        if inputs is None:
            return
        self.get_logger().info("stopping")
        for subscription in inputs.subscriptions.values():
            self.destroy_subscription(subscription)
        inputs.mailbox.close()
        inputs.worker.join()

    def _clean_up(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        for publisher in (*session.outputs.values(), session.label_info):
            self.destroy_publisher(publisher)
        session.engine.close()

    # parameters

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        values = parameter_values(self)
        changes = {parameter.name: parameter.value for parameter in parameters}
        try:
            check_change(values, changes, configured=self._session is not None)
            self._apply({**values, **changes}, changes)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=one_line(error))
        return SetParametersResult(successful=True)

    def _apply(self, values: dict[str, Any], changes: dict[str, Any]) -> None:
        """Take over live parameters; the worker sees them at its next frame."""
        if self._session is not None:
            if any(name in changes for name in SCALER_PARAMETERS):
                self._session.perception.scaler = scaler_from(values)
            self._session.overlay_alpha = values["overlay_alpha"]
        if self._inputs is not None:
            self._inputs.pairing.slop_s = values["slop_s"]
            self._inputs.pairing.thermal_time_offset_s = values["thermal_time_offset_s"]

    # inputs

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _input_topic(self, camera: str) -> str:
        """The full name of the topic subscribed for 'rgb' or 'thermal', remappings included."""
        name = self._value(f"{camera}_topic")
        try:
            validate_topic_name(name)
        except InvalidTopicNameException as error:
            reason = str(error).splitlines()[0].rstrip(":")
            raise ParameterError(
                f"parameter {camera}_topic: got {name!r}, expected the name of a topic ({reason})"
            ) from None
        topic = self.resolve_topic_name(name)
        if self._value(f"{camera}_transport") == "compressed":
            topic = f"{topic.removesuffix('/compressed')}/compressed"
        return topic

    def _subscribe(self, inputs: Inputs, camera: CameraHealth, reliable: bool) -> None:
        """Subscribe to a camera, in place of an earlier subscription if there is one."""
        add = inputs.pairing.add_rgb if camera is inputs.rgb else inputs.pairing.add_thermal
        compressed = self._value(f"{camera.name}_transport") == "compressed"
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._value("input_depth"),
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        )

        def on_image(message: Any) -> None:
            arrival = Arrival(message, time.monotonic())
            camera.arrived(arrival.at, describe(message), seconds(arrival))
            add(arrival)

        def on_raw_image(raw: bytes) -> None:
            try:
                on_image(read_image(raw))
            except CdrError as error:
                self.refuse(camera, one_line(error))

        def subscribe(events: SubscriptionEventCallbacks) -> Any:
            return self.create_subscription(
                CompressedImage if compressed else Image,
                camera.topic,
                on_image if compressed else on_raw_image,
                qos,
                event_callbacks=events,
                raw=not compressed,
            )

        if camera.name in inputs.subscriptions:
            self.destroy_subscription(inputs.subscriptions[camera.name])
        try:
            inputs.subscriptions[camera.name] = subscribe(
                SubscriptionEventCallbacks(
                    incompatible_qos=partial(self._on_incompatible_qos, camera),
                    message_lost=partial(self._on_lost, camera),
                )
            )
        except UnsupportedEventTypeError:  # a middleware that does not know them
            inputs.subscriptions[camera.name] = subscribe(SubscriptionEventCallbacks())

    def _on_incompatible_qos(self, camera: CameraHealth, event: Any) -> None:
        """The camera offers less than reliable: say who, or be content with it (`auto`)."""
        if self._value("input_reliability") == "auto":
            camera.best_effort = True  # not here: this subscription is being served
            return
        offers = [
            f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
            for publisher in self.get_publishers_info_by_topic(camera.topic)
            if publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
        ]
        self.warn(
            f"{camera.name} QoS",
            (
                f"incompatible QoS on {camera.topic}: {', '.join(offers) or 'its publisher'} offers "
                "best_effort, this node requests reliable: no image comes from there; set "
                "input_reliability to auto or best_effort"
            ),
        )

    def _accept_best_effort(self, inputs: Inputs) -> None:
        """Subscribe anew, with best effort, to a camera that turned out to offer no more."""
        for camera in (inputs.rgb, inputs.thermal):
            if camera.best_effort:
                camera.best_effort = False
                self._subscribe(inputs, camera, reliable=False)
                self.get_logger().info(
                    f"{camera.topic} is offered with best_effort alone: "
                    "subscribed anew with best_effort"
                )

    def _on_lost(self, camera: CameraHealth, event: Any) -> None:
        camera.lost += event.total_count_change
        self.warn(
            f"{camera.name} lost",
            (
                f"{camera.lost} {camera.name} messages on {camera.topic} were lost on the way: give "
                "the camera and this node the Fast DDS profile of mafs_ros (config/fastdds_shm.xml), "
                "or set input_reliability to reliable"
            ),
        )

    def refuse(self, camera: CameraHealth, reason: str) -> None:
        """Log and count a message that holds no usable image."""
        camera.refused(time.monotonic(), reason)
        self.warn(
            f"{camera.name} image",
            f"{camera.name} image on {camera.topic} skipped ({camera.bad} so far): {reason}",
        )

    def warn(self, kind: str, text: str) -> None:
        """A warning, at most one of a kind in a few seconds."""
        if self._throttle.take(kind, time.monotonic()):
            self.get_logger().warning(text)

    # health

    def _every_second(self) -> None:
        try:
            if self._inputs is not None:
                self._accept_best_effort(self._inputs)
            statuses = self._statuses(time.monotonic())
            self._diagnostics.publish(
                health.diagnostic_array(
                    self.get_fully_qualified_name(), statuses, self.get_clock().now().to_msg()
                )
            )
        except Exception as error:  # must not end the node
            self.warn("health", f"no diagnostics: {one_line(error)}")

    def _statuses(self, now: float) -> list[Status]:
        session, inputs = self._session, self._inputs
        if session is None or inputs is None:
            state = "unconfigured" if session is None else "inactive"
            return [Status("perception", health.OK, state, {})]
        stale_s = self._value("stale_timeout_s")
        for camera in (inputs.rgb, inputs.thermal):
            self._watch(camera, now, stale_s)
        pairing = health.pairing_status(
            inputs.pairing.counters,
            inputs.pairs,
            now,
            stale_s,
            inputs.rgb,
            inputs.thermal,
            self._value("slop_s"),
        )
        if pairing.level != health.OK:
            self.warn("pairing", pairing.message)
        scaler = cast(ThermalScaler, session.perception.scaler)
        low, high = scaler.range or (None, None)
        return [
            health.camera_status(inputs.rgb, now, stale_s),
            health.camera_status(inputs.thermal, now, stale_s),
            pairing,
            health.perception_status(
                inputs.worker.frames,
                inputs.mailbox,
                now,
                {
                    **session.facts,
                    "thermal_scaling": scaler.mode,
                    "thermal_low": health.number(low),
                    "thermal_high": health.number(high),
                },
            ),
        ]

    def _watch(self, camera: CameraHealth, now: float, stale_s: float) -> None:
        """Warn of a camera that has become silent, and say when it is back."""
        if camera.silent_s(now) >= stale_s:
            count = self.count_publishers(camera.topic)
            why = (
                f"publishers there: {count}"
                if count
                else "nobody publishes it: is the camera running, and is this its topic?"
            )
            self.warn(f"{camera.name} silent", f"{health.silence(camera, now)} ({why})")
            camera.silent = True
        elif camera.silent:
            self.get_logger().info(f"{camera.name} messages on {camera.topic} come again")
            camera.silent = False


class Worker(threading.Thread):
    """Takes pairs from the mailbox until it is closed; perceives and publishes them.

    Nothing that goes wrong with one frame ends it: that frame is logged, counted and skipped.
    """

    def __init__(
        self,
        node: MafsNode,
        session: Session,
        mailbox: Mailbox,
        rgb: CameraHealth,
        thermal: CameraHealth,
    ) -> None:
        super().__init__(name=WORKER)
        self.frames = FrameHealth()
        self._node = node
        self._session = session
        self._mailbox = mailbox
        self._rgb, self._thermal = rgb, thermal

    def run(self) -> None:
        while (pair := self._mailbox.take()) is not None:
            try:
                self._process(*pair)
            except Exception as error:
                self.frames.fail(time.monotonic(), one_line(error))
                self._node.warn(
                    "frame", f"frame skipped ({self.frames.failed} so far): {one_line(error)}"
                )
                self._node.get_logger().debug(traceback.format_exc())

    def _process(self, rgb: Arrival, thermal: Arrival) -> None:
        wanted = {
            name: publisher
            for name, publisher in self._session.outputs.items()
            if publisher.get_subscription_count() > 0
        }
        if not wanted:
            self.frames.not_subscribed += 1
            return
        watch = Stopwatch()
        watch.steps_ms["waiting"] = 1000 * (time.monotonic() - max(rgb.at, thermal.at))
        rgb_image = self._image(self._rgb, rgb, rgb_from_message)
        thermal_image = self._image(self._thermal, thermal, thermal_from_message)
        if rgb_image is None or thermal_image is None:
            self.frames.bad_image += 1
            return
        watch.lap("conversion")
        self._node.prepare(self._session, *rgb_image.shape[:2])
        perceived = self._session.perception(rgb_image, thermal_image, seconds(thermal))
        watch.restart(perceived.timings_ms)
        if "fused" in wanted:
            wanted["fused"].publish(serialised_image(perceived.fused, "rgb8", rgb.header))
        if "labels" in wanted:
            wanted["labels"].publish(serialised_image(perceived.labels, "mono8", rgb.header))
        watch.lap("publishing")
        latency_ms = 1000 * (time.monotonic() - max(rgb.at, thermal.at))
        age_ms = 1000 * (self._node.get_clock().now().nanoseconds / 1e9 - seconds(rgb))
        if "overlay" in wanted:
            shown = overlay(
                perceived.fused, perceived.labels, self._session.table, self._session.overlay_alpha
            )
            wanted["overlay"].publish(serialised_image(shown, "rgb8", rgb.header))
            watch.lap("overlay")
        self.frames.publish(time.monotonic(), latency_ms, age_ms, watch.steps_ms)

    def _image(
        self, camera: CameraHealth, arrival: Arrival, convert: Callable[[Any], np.ndarray]
    ) -> np.ndarray | None:
        """The image of a message; None, logged and counted, where it holds none."""
        try:
            return convert(arrival.message)
        except ImageError as error:
            self._node.refuse(camera, one_line(error))
            return None


class Stopwatch:
    """Milliseconds of one step after the other."""

    def __init__(self) -> None:
        self.steps_ms: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """The step `name` took the time since the step before."""
        now = time.monotonic()
        self.steps_ms[name] = 1000 * (now - self._last)
        self._last = now

    def restart(self, steps_ms: dict[str, float]) -> None:
        """The time since the step before is accounted for by these."""
        self.steps_ms.update(steps_ms)
        self._last = time.monotonic()


def cache_dir_of(values: dict[str, Any]) -> Path | None:
    """The folder for compiled engines that the parameters name, None for none."""
    from mafs_ros.engine.cache import default_cache_dir

    if values["cache_dir"] == "auto":
        return default_cache_dir()
    return Path(values["cache_dir"]).expanduser() if values["cache_dir"] else None


def label_info_message(table: ClassTable) -> Any:
    """The class table as vision_msgs/LabelInfo, or as JSON where vision_msgs is not installed."""
    if LabelInfo is None:
        return String(data=json.dumps(table.to_dict()))
    message = LabelInfo()
    message.class_map = [VisionClass(class_id=c.id, class_name=c.name) for c in table.classes]
    return message


def seconds(arrival: Arrival) -> float:
    """The stamp of a message in seconds."""
    return nanoseconds(arrival.header.stamp) / 1e9


def describe(message: Any) -> str:
    """'640x480 rgb8', or the format of a compressed image."""
    if isinstance(message, CompressedImage):
        return message.format
    return f"{message.width}x{message.height} {message.encoding}"


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; returns the exit code (1: it could not start)."""
    stop = threading.Event()
    # Not rclpy's own handlers: they shut the context down under the worker, and a second SIGINT
    # (a terminal and `ros2 launch` both send one) would raise in the middle of the clean-up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    keep_freed_memory(IMAGE_BUFFERS)
    try:
        code = run(sys.argv if args is None else args, stop)
    except Exception as error:
        # Without the places in rcl's own source: ', at /project/src/parser.c:271'.
        print(f"mafs_node: {re.sub(', at /[^ ,]+', '', one_line(error))}", file=sys.stderr)
        code = 1
    if any(thread.name in (STARTER, WORKER) for thread in threading.enumerate()):
        os._exit(code)  # an engine that compiles cannot be told to stop, and is not waited for
    return code


def run(args: list[str], stop: threading.Event) -> int:
    """The node's whole life; raises ParameterError and rclpy's errors for bad arguments."""
    if foreign := words_for_nobody(args[1:]):
        raise ParameterError(
            f"got arguments {' '.join(foreign)}, expected parameters as "
            "--ros-args -p NAME:=VALUE (names: ros2 param list, or the README)"
        )
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = MafsNode()
        logging.getLogger("mafs_ros").addHandler(RosLogHandler(node))
        logging.getLogger("mafs_ros").setLevel(logging.INFO)  # the progress of a build
        try:
            return live(node, stop)
        finally:
            node.destroy_node()
    finally:
        rclpy.shutdown()


def live(node: MafsNode, stop: threading.Event) -> int:
    """From autostart to the signal that ends it; returns the exit code."""
    if node.get_parameter("autostart").value:
        starter = start_in_thread(node, stop)
        if starter.is_alive():
            return 0
        if not node.active:
            return 1
    sys.setswitchinterval(SWITCH_S)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not stop.is_set():
        try:
            executor.spin_once(timeout_sec=SIGNAL_PERIOD_S)
        except Exception as error:  # of one callback: the next may do better
            node.warn("callback", f"a callback failed: {one_line(error)}")
            node.get_logger().debug(traceback.format_exc())
    node.leave(GRACE_S)
    executor.shutdown()
    return 0


def start_in_thread(node: MafsNode, stop: threading.Event) -> threading.Thread:
    """Configure and activate the node, in a thread so that signals are heeded meanwhile.

    Returns when that has ended, or as soon as `stop` is set, with the thread still alive.
    """
    thread = threading.Thread(target=node.start, name=STARTER)
    thread.start()
    while thread.is_alive() and not stop.is_set():
        thread.join(SIGNAL_PERIOD_S)
    return thread


def words_for_nobody(args: list[str]) -> list[str]:
    """Arguments outside --ros-args ... --; NAME:=VALUE among them would only rename a topic."""
    words, for_ros = [], False
    for word in args:
        if word in ("--ros-args", "--"):
            for_ros = word == "--ros-args"
        elif not for_ros:
            words.append(word)
    return words


if __name__ == "__main__":
    sys.exit(main())
