"""The bond with a lifecycle manager: as bondpy has it, where it is installed."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from node_bench import Bench
from node_process import Process

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


@needs_bondpy
def test_the_manager_is_bound_while_the_node_is_active(
    start: Callable[..., Process], bench: Bench
) -> None:
    """The bench is the manager: Nav2's does the same on the same topic, with the same name."""
    from bondpy.bondpy import Bond

    process = start(autostart=False, bond=True)
    assert bench.transition("configure")
    for _ in range(2):
        assert bench.transition("activate")
        formed, broken = threading.Event(), threading.Event()
        manager: Any = Bond(bench.node, "bond", "mafs", broken.set, formed.set)
        manager.start()
        assert formed.wait(20)
        assert bench.transition("deactivate")
        assert broken.wait(20)
        manager.shutdown()
    assert not [line for line in process.lines if "BOND" in line]


@needs_bondpy
def test_a_manager_that_dies_is_named_and_the_node_goes_on(
    start: Callable[..., Process], bench: Bench
) -> None:
    from bondpy.bondpy import Bond

    process = start(autostart=False, bond=True)
    assert bench.transition("configure")
    before = 0
    for _ in range(2):  # twice, since bondpy declares a parameter when a bond breaks
        assert bench.transition("activate")
        formed = threading.Event()
        manager: Any = Bond(bench.node, "bond", "mafs", None, formed.set)
        manager.start()
        assert formed.wait(20)
        manager.sub.destroy()
        with manager.lock:  # it falls silent, as a process does that is killed
            manager.is_shutdown = True
            manager.condition.notify_all()
        process.wait_for_line("MAFS_E_BOND_BROKEN: the bond with the lifecycle manager", before)
        before = len(process.lines)
        assert bench.state() == "active"
        assert bench.transition("deactivate")
