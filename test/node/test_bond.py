"""The bond with a lifecycle manager: as bondpy has it, where it is installed."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from node_bench import Bench
from node_process import DEADLINE_S, Process

from mafs_ros.node import bond
from mafs_ros.parameters.table import ParameterError

needs_bondpy = pytest.mark.skipif(
    importlib.util.find_spec("bondpy") is None or importlib.util.find_spec("bond") is None,
    reason="needs bondpy (ros-DISTRO-bondpy), which is no part of the ROS wheels",
)


def test_a_bond_without_bondpy_is_refused_with_advice() -> None:
    with mock.patch.object(bond, "Bond", None):
        bond.check_bond({"bond": False})
        with pytest.raises(
            ParameterError, match="bondpy is not installed: install .* bond: false"
        ):
            bond.check_bond({"bond": True})


class Manager:
    """The manager's end of the bond: as Nav2's, on the same topic, with the same name."""

    def __init__(self, bench: Bench) -> None:
        from bondpy.bondpy import Bond

        self.formed, self.broken = threading.Event(), threading.Event()
        self._bench = bench
        self._bond: Any = Bond(bench.node, "bond", "mafs", self.broken.set, self.formed.set)
        self._bond.start()

    def fall_silent(self) -> None:
        """As a process does that is killed."""
        with self._bond.lock:
            self._bond.is_shutdown = True  # ends the thread that publishes
            self._bond.condition.notify_all()

    def close(self) -> None:
        self.fall_silent()
        self._bench.node.destroy_subscription(self._bond.sub)


@needs_bondpy
def test_the_bond_lasts_while_the_node_is_active_and_a_dead_manager_is_named(
    start: Callable[..., Process], bench: Bench
) -> None:
    process = start(autostart=False, bond=True, backend="torch")
    assert bench.transition("configure")
    assert bench.transition("activate")
    manager = Manager(bench)
    assert manager.formed.wait(DEADLINE_S)
    assert bench.transition("deactivate")
    assert manager.broken.wait(DEADLINE_S)
    manager.close()
    assert not [line for line in process.lines if "BOND" in line]
    for _ in range(2):  # since bondpy declares a parameter when a bond breaks
        before = len(process.lines)
        assert bench.transition("activate")
        manager = Manager(bench)
        assert manager.formed.wait(DEADLINE_S)
        manager.fall_silent()
        process.wait_for_line("MAFS_E_BOND_BROKEN: the bond with the lifecycle manager", before)
        assert bench.state() == "active"
        assert bench.transition("deactivate")
