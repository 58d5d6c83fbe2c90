"""One RGB and one thermal camera of the node: all that they do not share with others."""

import re
import time
from dataclasses import replace
from typing import Any

from rclpy.node import Node

from mafs_ros.base.faults import Fault
from mafs_ros.node.calibrations import Calibrations, info_topic, known_to
from mafs_ros.node.camera_health import CameraHealth
from mafs_ros.node.confidence import check_confidence
from mafs_ros.node.depth import DepthInput
from mafs_ros.node.diagnostics import Status, statuses
from mafs_ros.node.fallback import CameraFallback
from mafs_ros.node.fault_record import FaultRecord
from mafs_ros.node.health import Events, FrameHealth
from mafs_ros.node.inputs import Inputs, input_topic
from mafs_ros.node.outputs import Outputs
from mafs_ros.node.registration_status import registration_status
from mafs_ros.node.registration_watch import RegistrationWatch
from mafs_ros.node.stamps import stamp_fault
from mafs_ros.node.state import Activity, Network, Session
from mafs_ros.node.warnings import Warnings
from mafs_ros.parameters.pairs import in_words_of, naming
from mafs_ros.parameters.table import TABLE
from mafs_ros.perception.build import registration_from, registration_in_words, scaler_from
from mafs_ros.perception.pairing.mailbox import Mailbox
from mafs_ros.perception.pairing.policy import Pairing
from mafs_ros.perception.perception import Perception

CAMERAS = ("rgb", "thermal")
SCALER_PARAMETERS = tuple(
    name
    for name in TABLE
    if name.startswith("thermal_") and TABLE[name].live and name != "thermal_time_offset_s"
)

# Faults of statuses that nobody else says on the log.
SAID_HERE = (
    Fault.NO_PAIR,
    Fault.STAMPS,
    Fault.ALIGNMENT,
    Fault.DEPTH_SILENT,
    Fault.ENGINE_BUILDING,
)


class CameraPair:
    """Two cameras, their pairing, registration, outputs and counters.

    name: '' where it is the only one. `session` is there from configure to cleanup, `activity`
    from activate to deactivate. All is called by the thread that spins; the worker uses what is in
    both.
    """

    def __init__(
        self, node: Node, values: dict[str, Any], faults: FaultRecord, name: str = ""
    ) -> None:
        """values: of the parameters of the pair; faults: of the node.

        Raises OSError or ValueError for topics that are none and files that cannot be read, so
        that they are found before weights are loaded.
        """
        self.name = name
        self.warnings = Warnings(node, faults, name)
        self.session: Session | None = None
        self.activity: Activity | None = None
        self._node, self._values = node, values
        with naming(name):
            self.topics = {camera: input_topic(node, values, camera) for camera in CAMERAS}
            self._known = known_to(node, values)
            self._scaler, self._registration = scaler_from(values), registration_from(values)

    def configure(self, network: Network) -> None:
        """Make the outputs, and compile for the size of the images where it is given."""
        with naming(self.name):
            check_confidence(network.engine, self._values)
        perception = Perception(network.engine, self._scaler, self._registration)
        perception.confidence_threshold = self._values["confidence_threshold"]
        self.session = Session(
            perception,
            network.table,
            Outputs(
                self._node,
                network.table,
                network.engine.gives_confidence,
                self._values["jpeg_quality"],
                info_topic(self._node, self._values, "rgb"),
                self.name,
            ),
            overlay_alpha=self._values["overlay_alpha"],
            facts=network.facts,
            registration=registration_in_words(self._values),
            known=self._known,
        )
        if self._values["image_height"]:
            network.engine.prepare(self._values["image_height"], self._values["image_width"])

    def activate(self, mailbox: Mailbox) -> None:
        """All but the cameras' images, which `subscribe` lets come once a worker serves them.

        mailbox: where pairs of images are left for it.
        """
        session = self._configured
        values, since = self._values, time.monotonic()
        rgb, thermal = (
            CameraHealth(camera, topic, since) for camera, topic in self.topics.items()
        )
        pairs = Events()
        fallback = CameraFallback(
            values["fallback_after_s"],
            (rgb, thermal),
            mailbox,
            pairs,
            session.outputs.mode,
            self.warnings,
        )
        pairing = Pairing(
            fallback.paired,
            slop_s=values["slop_s"],
            queue_size=values["queue_size"],
            thermal_time_offset_s=values["thermal_time_offset_s"],
            pair_by=values["pair_by"],
        )
        fallback.feed(pairing)
        watch = RegistrationWatch(self.warnings, values["registration_warn_px"])
        depth = None
        if values["depth_topic"]:
            depth = DepthInput(
                self._node, values["depth_topic"], values["depth_slop_s"], self.warnings
            )
        calibrations = Calibrations(self._node, values, session, self.warnings)
        self.activity = Activity(
            rgb,
            thermal,
            pairing,
            pairs,
            mailbox,
            FrameHealth(),
            watch,
            calibrations,
            fallback,
            depth,
        )
        watch.start()

    def subscribe(self) -> None:
        """Hear the cameras, what tells how they see, and depth; say so."""
        session, activity, values = self._configured, self._active, self._values
        activity.calibrations.open()
        if activity.depth is not None:
            activity.depth.open()
        session.outputs.say_threshold(0.0)  # until labels with another come
        activity.inputs = Inputs(
            self._node,
            values,
            (activity.rgb, activity.thermal),
            activity.fallback.arrived,
            self.warnings,
        )
        activity.inputs.open()
        self.warnings.logger.info(
            f"active: {activity.rgb.topic} and {activity.thermal.topic} "
            f"({values['input_reliability']}) to " + ", ".join(session.outputs.topics)
        )

    def unsubscribe(self) -> None:
        """Hear nothing any more."""
        if self.activity is None:
            return
        self._configured.outputs.camera_info.unsubscribe()
        for subscriptions in (
            self.activity.inputs,
            self.activity.calibrations,
            self.activity.depth,
        ):
            if subscriptions is not None:
                subscriptions.close()

    def deactivate(self) -> None:
        """End what `activate` made; the worker must have ended."""
        activity, self.activity = self.activity, None
        if activity is not None:
            activity.fallback.close()
            activity.registration_watch.close()

    def clean_up(self) -> None:
        """Remove the outputs."""
        session, self.session = self.session, None
        if session is not None:
            session.outputs.close()

    def apply(self, values: dict[str, Any], changes: dict[str, Any]) -> None:
        """Take over live parameters; the worker sees them at its next frame.

        values: of all parameters of the pair; changes: of those that are set anew. Raises
        ParameterError, and takes nothing over, where the engine cannot do it.
        """
        session, activity = self.session, self.activity
        if session is not None:
            check_confidence(session.perception.engine, values)
        self._values = values
        if session is not None:
            if any(name in changes for name in SCALER_PARAMETERS):
                session.perception.scaler = scaler_from(values)
            session.perception.confidence_threshold = values["confidence_threshold"]
            session.overlay_alpha = values["overlay_alpha"]
            session.outputs.jpeg_quality = values["jpeg_quality"]
            if session.known is not None:
                session.known.set_plane(values["plane_depth_m"])
                session.perception.registration = session.known.registration
        if activity is not None:
            activity.pairing.slop_s = values["slop_s"]
            activity.pairing.thermal_time_offset_s = values["thermal_time_offset_s"]
            activity.pairing.pair_by = values["pair_by"]
            activity.fallback.after_s = values["fallback_after_s"]
            activity.registration_watch.warn_px = values["registration_warn_px"]
            if activity.depth is not None:
                activity.depth.slop_s = values["depth_slop_s"]

    def beat(self) -> None:
        """Often: see whether a camera has died."""
        if self.activity is not None and self.activity.inputs is not None:
            self.activity.fallback.beat(self.activity.frames)

    def statuses(self, now: float) -> list[Status]:
        """Once a second: judge the cameras, warn of what is wrong with them, and say all.

        now: monotonic time in seconds.
        """
        session, activity = self._configured, self._active
        stale_s = self._values["stale_timeout_s"]
        session.outputs.camera_info.watch()
        activity.inputs.accept_best_effort()
        activity.inputs.watch(now, stale_s)
        activity.calibrations.watch(now, stale_s)
        clock_ns = self._node.get_clock().now().nanoseconds
        fault = stamp_fault(activity, now, clock_ns, self._values["queue_size"])
        found = statuses(session, activity, now, stale_s, fault)
        found.append(registration_status(session, activity.depth, now, stale_s))
        for status in found:
            if status.fault is not None:
                self._note(status.fault, status.message)
            elif status.name == "pairing" and fault is not None and not activity.doubt_said:
                activity.doubt_said = True  # may be right: pairs come
                self.warnings.warn_once(Fault.STAMPS_DOUBTED, f"please check the stamps: {fault}")
        return [self._named(status) for status in found]

    def _named(self, status: Status) -> Status:
        """As it is called in /diagnostics."""
        if not self.name:
            return status
        return replace(
            status,
            name=f"{self.name}: {status.name}",
            message=in_words_of(self.name, status.message),
        )

    def _note(self, fault: Fault, text: str) -> None:
        """Keep the fault of a status, and say those that are said nowhere else."""
        if fault in SAID_HERE:
            cause = re.sub(r"[\d.]", "", text)  # another cause is said at once
            self.warnings.warn(fault, text, cause)
        else:
            self.warnings.note(fault, text)

    @property
    def _configured(self) -> Session:
        assert self.session is not None  # noqa: S101 (lifecycle: configured)
        return self.session

    @property
    def _active(self) -> Activity:
        assert self.activity is not None  # noqa: S101 (lifecycle: active)
        return self.activity
