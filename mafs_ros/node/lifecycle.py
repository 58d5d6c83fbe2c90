"""The ROS 2 lifecycle node `mafs`: pairs two cameras, publishes the fused image and the labels.

    ros2 run mafs_ros mafs_node --ros-args -p rgb_topic:=/cam/image -p thermal_topic:=/flir/image

It serves one pair of cameras, or several with the parameter `pairs`, each a `CameraPair`.

configure loads the weights and compiles the engine, activate subscribes and publishes, deactivate
stops, cleanup frees. The node does the first two itself unless `autostart` is false. One thread
spins: its callbacks only pair messages and leave the newest pair in a mailbox. A second one, the
Worker, turns pairs into images and publishes them.
"""

import time
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.base.resources import default_weights
from mafs_ros.engine.while_compiling import WhileCompiling
from mafs_ros.node.bond import ManagerBond, check_bond
from mafs_ros.node.camera_pair import CameraPair
from mafs_ros.node.confidence import confidence_in_words
from mafs_ros.node.declare import declare_parameters, given_parameters, parameter_values
from mafs_ros.node.diagnostics import OK, WARN, Status, diagnostic_array
from mafs_ros.node.fault_record import FaultRecord
from mafs_ros.node.state import Network
from mafs_ros.node.transitions import attempt, refuse_impossible_transitions
from mafs_ros.node.warnings import Warnings
from mafs_ros.node.worker import Worker
from mafs_ros.parameters.checks import check_change
from mafs_ros.parameters.pairs import (
    changes_of,
    check_default_is_kept,
    check_pairs,
    check_topics,
    pair_names,
    rows_for,
    values_of,
)
from mafs_ros.parameters.table import ParameterError
from mafs_ros.perception.build import cache_dir_of, engine_from
from mafs_ros.perception.pairing.fallback import BEAT_S
from mafs_ros.perception.pairing.turns import Turns


class MafsNode(LifecycleNode):
    """See the module. Raises ParameterError where a parameter given at the start is impossible."""

    def __init__(self) -> None:
        try:
            super().__init__("mafs", automatically_declare_parameters_from_overrides=True)
        except ValueError as error:
            if "PARAMETER_NOT_SET" not in str(error):  # rclpy's word for []
                raise
            raise ParameterError(
                'got a parameter whose value is an empty list, expected pairs: [""] for one pair '
                "without a name"
            ) from None
        self._warnings = Warnings(self, FaultRecord())
        self._engine: WhileCompiling | None = None
        self._pairs: list[CameraPair] = []  # from configure to cleanup
        self._turns = Turns(0)
        self._worker: Worker | None = None  # from activate to deactivate
        self._bond: ManagerBond | None = None  # likewise, with the parameter
        given = given_parameters(self)
        self._names, self._table = pair_names(given), rows_for(given)
        for unknown in declare_parameters(self, self._table):
            self._warnings.warn_once(Fault.UNKNOWN_PARAMETER, unknown)
        check_pairs(self._values())
        self.add_on_set_parameters_callback(self._on_set_parameters)
        refuse_impossible_transitions(self, self._warnings)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady time: with use_sim_time a paused or looping bag would stop a ROS timer.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self.say_health, clock=steady)
        self.create_timer(BEAT_S, self._beat, clock=steady)

    def destroy_node(self) -> None:
        super().destroy_node()
        # rclpy forgets this one, which keeps the DDS participant and its 16 MiB in /dev/shm.
        self._state_machine.destroy_when_not_in_use()

    # lifecycle

    @property
    def active(self) -> bool:
        return self._worker is not None

    @property
    def gpu_lost(self) -> bool:
        """Whether this process is of no use any more, and another one is."""
        return Fault.GPU_LOST in self._warnings.faults

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
        if self._worker is not None:
            self._turns.close()
            self._worker.join(timeout_s)
            if self._worker.is_alive():
                return
        self.stop()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return attempt(self._warnings, "configure", self._configure, undo=self._clean_up)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return attempt(self._warnings, "activate", self._activate, undo=self._deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return attempt(self._warnings, "deactivate", self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return attempt(self._warnings, "clean up", self._clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return attempt(self._warnings, "shut down", self.stop)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return attempt(self._warnings, "recover", self.stop)

    @property
    def warnings(self) -> Warnings:
        """What the node says of faults that are of no pair of cameras."""
        return self._warnings

    def _configure(self) -> None:
        values = self._values()
        check_bond(values)
        self._pairs = [
            CameraPair(self, values_of(name, values), self._warnings.faults, name)
            for name in self._names
        ]
        check_topics({pair.name: pair.topics for pair in self._pairs})
        weights = Path(values["weights"]).expanduser() if values["weights"] else default_weights()
        engine, table = engine_from(
            values, weights, cache_dir_of(values), say=self.get_logger().info
        )
        self._engine = WhileCompiling(engine)
        preset = engine.model_info.preset
        self.get_logger().info(
            f"{engine.description}; {preset} with classes " + ", ".join(table.names)
        )
        facts = {
            "weights": str(weights),
            "preset": preset,
            "classes": " ".join(table.names),
            "confidence": confidence_in_words(engine),
        }
        for pair in self._pairs:
            pair.configure(Network(self._engine, table, facts))

    def _activate(self) -> None:
        self._turns = Turns(len(self._pairs))
        for pair, mailbox in zip(self._pairs, self._turns.mailboxes, strict=True):
            pair.activate(mailbox)
        self._worker = Worker(self._pairs, self._turns, self.get_clock())
        self._worker.start()
        for pair in self._pairs:
            pair.subscribe()
        if self.get_parameter("bond").value:
            self._bond = ManagerBond(self, self._warnings)

    def _deactivate(self) -> None:
        bond, self._bond = self._bond, None
        if bond is not None:
            bond.close()
        worker, self._worker = self._worker, None
        if worker is not None:
            self.get_logger().info("stopping")
        for pair in self._pairs:
            pair.unsubscribe()
        self._turns.close()
        if worker is not None:
            worker.join()
        for pair in self._pairs:
            pair.deactivate()

    def _clean_up(self) -> None:
        pairs, self._pairs = self._pairs, []
        engine, self._engine = self._engine, None
        for pair in pairs:
            pair.clean_up()
        if engine is not None:
            engine.close()

    # parameters

    def _values(self) -> dict[str, Any]:
        return parameter_values(self, self._table)

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        values = self._values()
        changes = {parameter.name: parameter.value for parameter in parameters}
        rows = {row.name: row for row in self._table}
        try:
            check_change(values, changes, bool(self._pairs), rows, together=check_pairs)
            check_default_is_kept(values, changes)
            for pair in self._pairs:
                pair.apply(
                    values_of(pair.name, {**values, **changes}), changes_of(pair.name, changes)
                )
        except ValueError as error:
            return SetParametersResult(successful=False, reason=one_line(error))
        return SetParametersResult(successful=True)

    # health

    def _beat(self) -> None:
        for pair in self._pairs if self.active else ():
            pair.beat()

    def say_health(self) -> None:
        """Once a second: publish what the node knows about itself."""
        try:
            self._diagnostics.publish(
                diagnostic_array(
                    self.get_fully_qualified_name(),
                    self._statuses(time.monotonic()),
                    self.get_clock().now().to_msg(),
                )
            )
        except Exception as error:  # must not end the node
            self._warnings.warn(Fault.DIAGNOSTICS, f"no diagnostics: {one_line(error)}")

    def _statuses(self, now: float) -> list[Status]:
        if not self.active:
            state = "inactive" if self._pairs else "unconfigured"
            engine = self._engine
            building = "" if engine is None else engine.preparing(now)
            fault = Fault.ENGINE_BUILDING if building else None
            level, message = (WARN, f"configuring: {building}") if building else (OK, state)
            return [
                Status(f"{name}: perception" if name else "perception", level, message, {}, fault)
                for name in self._names
            ] + [self._warnings.faults.status(now)]
        found = [status for pair in self._pairs for status in pair.statuses(now)]
        return [*found, self._warnings.faults.status(now)]
