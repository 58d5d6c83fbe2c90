"""Start, transitions, live parameters and end of the node, a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from node_bench import Bench
from node_messages import (
    HEIGHT,
    SECOND,
    WIDTH,
)
from node_process import DEADLINE_S, ROOT, Process, cameras


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"weights": "/nowhere/my.safetensors"}, "/nowhere/my.safetensors"),
        ({"registration_file": "/nowhere/pair.yaml"}, "/nowhere/pair.yaml"),
        ({"rgb_topic": "two words"}, "parameter rgb_topic: got 'two words', expected the name of"),
        ({"slop_s": -1.0}, "parameter slop_s: got -1.0, expected a float from 0.0 to 10.0"),
        ({"thermal_low": 9.0, "thermal_high": 8.0}, "expected thermal_low below thermal_high"),
    ],
)
def test_what_cannot_start_says_why_and_ends(
    start: Callable[..., Process], parameters: dict[str, Any], message: str
) -> None:
    assert message in start(**parameters).error()


def test_words_that_are_no_ros_arguments_are_refused(ros_domain: int) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "mafs_ros.node", "rgb_topic:=/x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert run.returncode == 1
    assert run.stderr.startswith(
        "mafs_node: MAFS_E_START: got arguments rgb_topic:=/x, expected parameters as"
    )


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


def test_unwritable_cache_costs_time_only(start: Callable[..., Process]) -> None:
    process = start(cache_dir="/proc/engines")
    assert "is compiled at every start" in process.wait_for_line("cache_dir /proc/engines cannot")
    process.wait_for_line("active")


@pytest.mark.parametrize("signals", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,)])
def test_signals_end_it_cleanly_while_frames_flow(
    start: Callable[..., Process], bench: Bench, signals: tuple[int, ...]
) -> None:
    # A busy machine may take seconds to start cameras, which the node would say.
    process = start(image_height=HEIGHT, image_width=WIDTH, stale_timeout_s=60.0)
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
    # Of a size that nothing is compiled for, the node says that another one stands in.
    expected = ("INFO", "MAFS_E_ENGINE_SIZE") if when == "first frame" else ("INFO",)
    assert all(any(word in line for word in expected) for line in process.lines), process.lines
