"""The ROS 2 lifecycle node `mafs`: pairs two cameras, publishes the fused image and the labels.

    ros2 run mafs_ros mafs_node --ros-args -p rgb_topic:=/cam/image -p thermal_topic:=/flir/image

configure loads the weights and compiles the engine, activate subscribes and publishes, deactivate
stops, cleanup frees. The node does the first two itself unless `autostart` is false. One thread
spins: its callbacks only pair messages and leave the newest pair in a mailbox. A second one, the
Worker, turns pairs into images and publishes them.
"""

import re
import time
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String

from mafs_ros.base.errors import one_line
from mafs_ros.base.output_topics import IMAGES, LABEL_INFO, MODE, private
from mafs_ros.base.resources import default_weights
from mafs_ros.engine.while_compiling import WhileCompiling
from mafs_ros.node.calibrations import Calibrations, known_to
from mafs_ros.node.camera_health import CameraHealth
from mafs_ros.node.declare import declare_parameters, parameter_values
from mafs_ros.node.depth import DepthInput
from mafs_ros.node.diagnostics import OK, Status, diagnostic_array, statuses
from mafs_ros.node.fallback import CameraFallback
from mafs_ros.node.health import Events
from mafs_ros.node.inputs import Inputs, input_topic
from mafs_ros.node.label_info import LabelInfo, label_info_message
from mafs_ros.node.mode_topic import ModeTopic
from mafs_ros.node.registration_status import registration_status
from mafs_ros.node.registration_watch import RegistrationWatch
from mafs_ros.node.stamps import stamp_fault
from mafs_ros.node.state import Activity, Session
from mafs_ros.node.transitions import attempt, refuse_impossible_transitions
from mafs_ros.node.warnings import Warnings
from mafs_ros.node.worker import Worker
from mafs_ros.parameters.checks import check_change, check_together
from mafs_ros.parameters.table import TABLE
from mafs_ros.perception.build import (
    build_perception,
    cache_dir_of,
    registration_in_words,
    scaler_from,
)
from mafs_ros.perception.pairing.fallback import BEAT_S
from mafs_ros.perception.pairing.mailbox import Mailbox
from mafs_ros.perception.pairing.policy import Pairing

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


class MafsNode(LifecycleNode):
    """See the module. Raises ParameterError where a parameter given at the start is impossible."""

    def __init__(self) -> None:
        super().__init__("mafs", automatically_declare_parameters_from_overrides=True)
        self._warnings = Warnings(self)
        self._session: Session | None = None
        self._activity: Activity | None = None
        for unknown in declare_parameters(self):
            self.get_logger().warning(unknown)
        check_together(parameter_values(self))
        self.add_on_set_parameters_callback(self._on_set_parameters)
        refuse_impossible_transitions(self)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady time: with use_sim_time a paused or looping bag would stop a ROS timer.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._every_second, clock=steady)
        self.create_timer(BEAT_S, self._beat, clock=steady)

    def destroy_node(self) -> None:
        super().destroy_node()
        # rclpy forgets this one, which keeps the DDS participant and its 16 MiB in /dev/shm.
        self._state_machine.destroy_when_not_in_use()

    # lifecycle

    @property
    def active(self) -> bool:
        return self._activity is not None

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
        if self._activity is not None:
            self._activity.mailbox.close()
            self._activity.worker.join(timeout_s)
            if self._activity.worker.is_alive():
                return
        self.stop()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return attempt(self, "configure", self._configure, undo=self._clean_up)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return attempt(self, "activate", self._activate, undo=self._deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return attempt(self, "deactivate", self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return attempt(self, "clean up", self._clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return attempt(self, "shut down", self.stop)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return attempt(self, "recover", self.stop)

    def warn(self, kind: str, text: str) -> None:
        """A warning, at most one of a kind in a few seconds."""
        self._warnings.warn(kind, text)

    def _configure(self) -> None:
        values = parameter_values(self)
        for camera in ("rgb", "thermal"):
            input_topic(self, values, camera)
        known = known_to(self, values)
        weights = Path(values["weights"]).expanduser() if values["weights"] else default_weights()
        perception, table = build_perception(
            values, weights, cache_dir_of(values), say=self.get_logger().info
        )
        engine = perception.engine = WhileCompiling(perception.engine)
        self._session = Session(
            perception,
            table,
            outputs={
                name: self.create_publisher(Image, private(topic), OUTPUT_QOS)
                for name, topic in IMAGES.items()
            },
            label_info=self.create_publisher(
                LabelInfo or String, private(LABEL_INFO), LATCHED_QOS
            ),
            mode=ModeTopic(self.create_publisher(String, private(MODE), LATCHED_QOS)),
            overlay_alpha=values["overlay_alpha"],
            facts={
                "engine": engine.description,
                "weights": str(weights),
                "preset": engine.model_info.preset,
                "classes": " ".join(table.names),
            },
            registration=registration_in_words(values),
            known=known,
        )
        self.get_logger().info(
            f"{engine.description}; {engine.model_info.preset} with classes "
            + ", ".join(table.names)
        )
        if values["image_height"]:
            engine.prepare(values["image_height"], values["image_width"])

    def _activate(self) -> None:
        session = self._session
        assert session is not None  # noqa: S101 (lifecycle: configured)
        values = parameter_values(self)
        since = time.monotonic()
        rgb, thermal = (
            CameraHealth(camera, input_topic(self, values, camera), since)
            for camera in ("rgb", "thermal")
        )
        mailbox, pairs = Mailbox(), Events()
        fallback = CameraFallback(
            values["fallback_after_s"],
            (rgb, thermal),
            mailbox,
            pairs,
            session.mode,
            self.get_logger(),
        )
        pairing = Pairing(
            fallback.paired,
            slop_s=values["slop_s"],
            queue_size=values["queue_size"],
            thermal_time_offset_s=values["thermal_time_offset_s"],
            pair_by=values["pair_by"],
        )
        fallback.feed(pairing)
        registration_watch = RegistrationWatch(self.get_logger(), values["registration_warn_px"])
        depth = None
        if values["depth_topic"]:
            depth = DepthInput(self, values["depth_topic"], values["depth_slop_s"], self._warnings)
            depth.open()
        worker = Worker(
            session,
            mailbox,
            pairing,
            rgb,
            thermal,
            self._warnings,
            self.get_logger(),
            self.get_clock(),
            registration_watch,
            depth,
        )
        calibrations = Calibrations(self, values, session, self._warnings)
        self._activity = Activity(
            rgb,
            thermal,
            pairing,
            pairs,
            mailbox,
            worker,
            registration_watch,
            calibrations,
            fallback,
            depth,
        )
        worker.start()
        registration_watch.start()
        calibrations.open()
        session.label_info.publish(label_info_message(session.table))
        self._activity.inputs = Inputs(
            self, values, (rgb, thermal), fallback.arrived, self._warnings
        )
        self._activity.inputs.open()
        self.get_logger().info(
            f"active: {rgb.topic} and {thermal.topic} ({values['input_reliability']}) to "
            + ", ".join(publisher.topic_name for publisher in session.outputs.values())
        )

    def _deactivate(self) -> None:
        activity, self._activity = self._activity, None
        if activity is None:
            return
        self.get_logger().info("stopping")
        for subscriptions in (activity.inputs, activity.calibrations, activity.depth):
            if subscriptions is not None:
                subscriptions.close()
        activity.mailbox.close()
        activity.worker.join()
        activity.fallback.close()
        activity.registration_watch.close()

    def _clean_up(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        for publisher in (*session.outputs.values(), session.label_info, session.mode.publisher):
            self.destroy_publisher(publisher)
        session.perception.engine.close()

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
            if self._session.known is not None:
                self._session.known.set_plane(values["plane_depth_m"])
                self._session.perception.registration = self._session.known.registration
        if self._activity is not None:
            self._activity.pairing.slop_s = values["slop_s"]
            self._activity.pairing.thermal_time_offset_s = values["thermal_time_offset_s"]
            self._activity.pairing.pair_by = values["pair_by"]
            self._activity.fallback.after_s = values["fallback_after_s"]
            self._activity.registration_watch.warn_px = values["registration_warn_px"]
            if self._activity.depth is not None:
                self._activity.depth.slop_s = values["depth_slop_s"]

    # health

    def _beat(self) -> None:
        if self._activity is not None and self._activity.inputs is not None:
            self._activity.fallback.beat(self._activity.worker.frames)

    def _every_second(self) -> None:
        try:
            if self._activity is not None and self._activity.inputs is not None:
                self._activity.inputs.accept_best_effort()
            self._diagnostics.publish(
                diagnostic_array(
                    self.get_fully_qualified_name(),
                    self._statuses(time.monotonic()),
                    self.get_clock().now().to_msg(),
                )
            )
        except Exception as error:  # must not end the node
            self.warn("health", f"no diagnostics: {one_line(error)}")

    def _statuses(self, now: float) -> list[Status]:
        session, activity = self._session, self._activity
        if session is None or activity is None or activity.inputs is None:
            state = "unconfigured" if session is None else "inactive"
            return [Status("perception", OK, state, {})]
        stale_s = self.get_parameter("stale_timeout_s").value
        activity.inputs.watch(now, stale_s)
        activity.calibrations.watch(now, stale_s)
        fault = stamp_fault(
            activity,
            now,
            self.get_clock().now().nanoseconds,
            self.get_parameter("queue_size").value,
        )
        found = statuses(session, activity, now, stale_s, fault)
        found.append(registration_status(session, activity.depth, now, stale_s))
        for status in found:
            if status.name == "pairing" and status.level != OK:
                cause = re.sub(r"[\d.]", "", status.message)  # another cause is said at once
                self.warn(cause, status.message)
            elif status.name == "pairing" and fault is not None and not activity.doubt_said:
                activity.doubt_said = True  # may be right: pairs come
                self.warn("stamps", f"please check the stamps: {fault}")
            elif status.name == "alignment" and status.level != OK:
                self.warn("alignment", status.message)
        return found
