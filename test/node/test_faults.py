"""Every fault of the node is raised here by the part that raises it, and read as a robot reads it.

On the log its line begins with the code; in /diagnostics the code is a key of the status `faults`.
"""

from __future__ import annotations

import ast
import logging
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from fault_causes import RAISED
from fault_rig import Rig
from rclpy.time import Time

from mafs_ros.base.faults import Fault, faults_markdown
from mafs_ros.node import __main__ as program
from mafs_ros.node.camera_pair import CameraPair
from mafs_ros.node.diagnostics import diagnostic_array
from mafs_ros.node.lifecycle import MafsNode
from mafs_ros.parameters.checks import complete

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def node() -> Iterator[MafsNode]:
    """A real node that is not configured, with one parameter that does not exist."""
    rclpy.init(args=["--ros-args", "-p", "slop:=1.0", "-p", "weights:=/nowhere.safetensors"])
    node = MafsNode()
    yield node
    node.destroy_node()
    rclpy.shutdown()


@pytest.fixture
def rig(node: MafsNode) -> Iterator[Callable[..., Rig]]:
    rigs = []

    def make(**parameters: Any) -> Rig:
        rigs.append(Rig(node, **parameters))
        return rigs[-1]

    yield make
    for one in rigs:
        one.close()


# In /diagnostics alone: the log has its cause, which has a code of its own.
NOT_LOGGED = {Fault.NO_FRAME}


@pytest.fixture
def handler(node: MafsNode) -> Iterator[None]:
    """The layers without ROS log to the node, as in a node of its own."""
    handler = program.RosLogHandler(node)
    logging.getLogger("mafs_ros").addHandler(handler)
    yield
    logging.getLogger("mafs_ros").removeHandler(handler)


@pytest.mark.parametrize("fault", RAISED, ids=lambda fault: fault.name)
def test_each_fault_is_on_the_log_and_in_diagnostics(
    fault: Fault,
    node: MafsNode,
    rig: Callable[..., Rig],
    handler: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    node.warnings.faults._newest.clear()
    capfd.readouterr()
    record = (RAISED[fault](node, rig) or node).warnings.faults
    log = capfd.readouterr().err
    line = rf"\[(WARN|ERROR)\] \[[\d.]+\] \[mafs\]: {fault.code}: .+"
    assert bool(re.search(line, log)) is (fault not in NOT_LOGGED), log
    array = diagnostic_array("/mafs", [record.status(time.monotonic())], Time(seconds=1).to_msg())
    (shown,) = array.status
    assert shown.name == "mafs: faults" and shown.level >= bytes([fault.value.level])
    assert fault.code in shown.message.split()
    assert re.match(r"0 s ago: .+", {item.key: item.value for item in shown.values}[fault.code])


def test_faults_of_several_pairs_bear_their_names(
    node: MafsNode, rig: Callable[..., Rig], capfd: pytest.CaptureFixture[str]
) -> None:
    pair = CameraPair(node, complete({}), node.warnings.faults, "rear")
    pair.warnings.warn(Fault.NO_PAIR, "no pair for 5 s (see slop_s)")
    assert "rear: MAFS_E_NO_PAIR: no pair for 5 s (see rear.slop_s)" in capfd.readouterr().err
    status = node.warnings.faults.status(time.monotonic())
    assert status.values["MAFS_E_NO_PAIR"].endswith("rear: no pair for 5 s (see rear.slop_s)")


def test_what_ends_the_program_is_on_stderr(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest's own stay
    assert program.main(["mafs_node", "rgb_topic:=/rgb"]) == 1
    assert f"mafs_node: {Fault.START.code}: got arguments rgb_topic" in capfd.readouterr().err


def test_no_fault_is_without_a_test_and_a_line_in_the_docs() -> None:
    assert set(RAISED) | {Fault.START} == set(Fault)
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- python3 -m mafs_ros.base.faults -->\n(.*)<!-- end -->", page, re.S)
    assert table and table[1] == faults_markdown()
    codes = re.findall(r"^\| `(MAFS_E_\w+)` ", page, re.M)
    assert len(set(codes)) == len(codes) == len(Fault)
    assert all(len(part) > 5 for fault in Fault for part in fault.value[1:])


def calls_of(folder: str, pattern: str) -> list[tuple[str, ast.Call]]:
    """File and call of each call in a room whose function's source matches."""
    return [
        (path.name, call)
        for path in (ROOT / "mafs_ros" / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and re.fullmatch(pattern, ast.unparse(call.func))
    ]


def test_nothing_is_logged_without_a_code() -> None:
    """What gets onto the node's log goes through Warnings; what engines log names its fault."""
    said = calls_of("node", r".*(logger|get_logger\(\))\.(warn|warning|error|fatal)")
    assert {file for file, _ in said} == {"warnings.py"}
    logged = calls_of("engine", r"log\.(warning|error)")
    assert len(logged) >= 7
    assert [f for f, call in logged if "extra" not in {k.arg for k in call.keywords}] == []


def test_a_status_that_is_not_ok_has_a_fault() -> None:
    """A call with a level other than OK has a fault as its fifth argument."""
    statuses = calls_of("node", "Status")
    assert len(statuses) >= 9
    for file, call in statuses:
        level = call.args[1]
        ok = isinstance(level, ast.Name) and level.id == "OK"
        assert ok or len(call.args) == 5 or file == "fault_record.py", (file, call.lineno)
