"""The bond with Nav2's lifecycle manager, by which each notices that the other has died."""

from collections.abc import Mapping
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node

from mafs_ros.base.faults import Fault
from mafs_ros.node.warnings import Warnings
from mafs_ros.parameters.table import ParameterError

try:
    from bond.msg import Constants
    from bondpy.bondpy import Bond
except ImportError:  # no part of a minimal ROS
    Bond = None

# As Nav2's own servers do: nav2_lifecycle_manager listens on `bond` for the name of the node.
TOPIC, PERIOD_S, TIMEOUT_S = "bond", 0.25, 4.0
FAREWELL_S = 0.2  # for the message that it ends, said every 50 ms


def check_bond(values: Mapping[str, Any]) -> None:
    """Raise ParameterError where a bond is asked for and bondpy is not installed."""
    if values["bond"] and Bond is None:
        raise ParameterError(
            "parameter bond: got true, but bondpy is not installed: install it "
            "(ros-DISTRO-bondpy; PyPI's bondpy is another thing), or set bond: false and "
            "bond_timeout: 0.0 of the lifecycle manager"
        )


class ManagerBond:
    """From activate to deactivate; see the parameter `bond`."""

    def __init__(self, node: Node, warnings: Warnings) -> None:
        self._node, self._warnings = node, warnings
        # bondpy declares this one when a bond breaks, and would raise the second time.
        if node.has_parameter(Constants.DISABLE_HEARTBEAT_TIMEOUT_PARAM):
            node.undeclare_parameter(Constants.DISABLE_HEARTBEAT_TIMEOUT_PARAM)
        self._bond = Bond(node, TOPIC, node.get_name(), self._on_broken, self._on_formed)
        self._bond.heartbeat_period = PERIOD_S
        self._bond.heartbeat_timeout = TIMEOUT_S
        self._bond.start()

    def close(self) -> None:
        """Break it, and tell the manager."""
        bond = self._bond
        bond.set_broken_callback(None)
        bond.break_bond()
        bond.wait_until_broken(Duration(seconds=FAREWELL_S))
        with bond.lock:  # not its shutdown(): that leaves what it destroys in the node's lists
            bond.is_shutdown = True
            bond.condition.notify_all()
        bond.connect_timer.cancel()
        self._node.destroy_subscription(bond.sub)
        self._node.destroy_publisher(bond.pub)

    def _on_formed(self) -> None:
        """The silence of a manager that was heard once counts; to bondpy from twice on alone."""
        self._bond.heartbeat_timer.reset()

    def _on_broken(self) -> None:
        self._warnings.warn_once(
            Fault.BOND_BROKEN,
            f"the bond with the lifecycle manager is broken: nobody answers on "
            f"{self._node.resolve_topic_name(TOPIC)} for {self._node.get_name()!r}, the node "
            "goes on without",
        )
