"""While an engine is built the node says so, and can be stopped."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.srv import ChangeState
from node_bench import Bench
from node_process import DEADLINE_S, Process

from mafs_ros.engine.cache_folder import default_cache_dir


@pytest.fixture
def start(ros_domain: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Process]]:
    """The node of stub_node.py."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    processes = []

    def start(**parameters: Any) -> Process:
        processes.append(Process("stub_node", {"backend": "tensorrt", **parameters}))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def message(bench: Bench) -> str:
    """What /diagnostics says of perception."""
    status = bench.status.get("perception")
    return "" if status is None else status.message


def assert_ends(process: Process) -> None:
    """By SIGINT while a build goes on, with the process that builds, and nothing is left."""
    builder = int(re.findall(r"begun by (\d+)", process.wait_for_line("begun by"))[0])
    (partial,) = default_cache_dir().glob(".tensorrt-*.partial")
    process.send(signal.SIGINT)
    assert process.wait() == 0, process.lines  # the build would last longer than that waits
    assert not Path(f"/proc/{builder}").exists() and not partial.exists()
    assert not [line for line in process.lines if "Traceback" in line], process.lines


def test_the_node_ends_while_it_builds_at_its_start(
    start: Callable[..., Process], bench: Bench
) -> None:
    process = start(image_height=32, image_width=64)
    bench.wait(lambda: "configuring: building the engine for 64x32" in message(bench), "a build")
    assert_ends(process)


def test_the_node_ends_while_it_builds_in_a_transition(
    start: Callable[..., Process], bench: Bench
) -> None:
    process = start(image_height=32, image_width=64, autostart=False)
    process.wait_for_line("waiting for lifecycle transitions")
    client = bench.node.create_client(ChangeState, "/mafs/change_state")
    assert client.wait_for_service(DEADLINE_S)
    request = ChangeState.Request()
    request.transition.label = "configure"
    client.call_async(request)
    assert_ends(process)
