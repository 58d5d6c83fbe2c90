"""Cameras with wrong stamps: the node names camera and cause, and what it advises pairs them."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from node_bench import Bench
from node_messages import SECOND, rgb_message, thermal_message
from node_process import Process

WARN_WITHIN_S = 10.0
Stamp = Callable[[int], int]
BOOT = 53 * SECOND


def right(now: int) -> int:
    return now


@contextmanager
def sending(bench: Bench, rgb: Stamp, thermal: Stamp, hz: float = 10.0) -> Iterator[None]:
    """Two cameras that send at once, in a thread; rgb and thermal make a stamp of the time."""
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(1 / hz):
            now = time.time_ns()
            bench.publish("rgb", rgb_message(rgb(now)))
            bench.publish("thermal", thermal_message(thermal(now)))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def whole_seconds(now: int) -> int:
    return now // SECOND * SECOND


START = time.time_ns()
FAULTS: dict[str, tuple[Stamp, Stamp, str, dict[str, Any]]] = {
    "thermal zero": (right, lambda now: 0, "thermal camera .* are all 0", {"pair_by": "arrival"}),
    "both zero": (
        lambda now: 0,
        lambda now: 0,
        "RGB camera .*/rgb/image.* and the thermal camera .* are all 0",
        {"pair_by": "arrival"},
    ),
    "only RGB zero": (lambda now: 0, right, "RGB camera .* are all 0", {"pair_by": "arrival"}),
    "constant": (right, lambda now: START, "thermal .* are all the same", {"pair_by": "arrival"}),
    "thermal from boot": (
        right,
        lambda now: now - START + BOOT,
        r"thermal camera \(/thermal/image\) count from a start",
        {"pair_by": "arrival"},
    ),
    "both from other boots": (
        lambda now: now - START + 5000 * SECOND,
        lambda now: now - START + BOOT,
        "RGB camera .* count from a start .* thermal camera .* count from a start",
        {"pair_by": "arrival"},
    ),
    "0.5 s late": (
        right,
        lambda now: now + SECOND // 2,
        r"thermal camera .* are late by 0\.\d+ s",
        {"thermal_time_offset_s": -0.5},
    ),
    "37 s ahead": (
        right,
        lambda now: now + 37 * SECOND,
        r"thermal camera .* are 37 s ahead of the time: TAI",
        {"thermal_time_offset_s": -37.0},
    ),
    "an hour ahead": (
        right,
        lambda now: now + 3600 * SECOND,
        r"thermal .* are 1 h ahead of the time: local time",
        {"thermal_time_offset_s": -3600.0},
    ),
    "microseconds": (
        right,
        lambda now: now // 1000,
        "thermal camera .* advance by 0.001 s in a second: they count microseconds",
        {"pair_by": "arrival"},
    ),
    "whole seconds": (
        right,
        whole_seconds,
        "thermal .* are whole seconds",
        {"pair_by": "arrival"},
    ),
}


def advised(line: str) -> dict[str, Any]:
    """The parameters of a message 'set NAME: VALUE'."""
    found = re.findall(r"(?:set |, )(\w+): (\S+?)(?=,|;|$)", line[line.rindex("set ") :])
    return {name: value if name == "pair_by" else float(value) for name, value in found}


def test_wrong_stamps_are_named_and_the_advice_pairs(
    start: Callable[..., Process], bench: Bench
) -> None:
    """One node for all, activated anew for each."""
    process = start()
    process.wait_for_line("active: ")
    for fault, (rgb, thermal, cause, parameters) in FAULTS.items():
        assert bench.transition("deactivate")
        (result, _) = bench.set_parameters(pair_by="stamp", thermal_time_offset_s=0.0)
        assert result.successful
        assert bench.transition("activate")
        lines, before = len(process.lines), time.monotonic()
        with sending(bench, rgb, thermal, hz=20.0):
            line = process.wait_for_line(rf"\[WARN\].*{cause}", lines)
            assert time.monotonic() - before < WARN_WITHIN_S, fault
            advice = advised(line)
            assert advice.keys() == parameters.keys(), line
            for name, value in parameters.items():
                assert advice[name] == (
                    value if name == "pair_by" else pytest.approx(value, abs=0.03)
                )
            bench.wait(lambda: bench.status["pairing"].level == b"\x01", f"{fault}: not WARN")
            (result,) = bench.set_parameters(**advice)
            assert result.successful, result.reason
            paired = bench.counts("pairing")["paired"]
            bench.wait(
                lambda: (
                    bench.counts("pairing")["paired"] > paired + 20  # noqa: B023
                    and bench.status["pairing"].level == b"\x00"
                ),
                f"{fault}: no pairs with {advice}",
            )


def test_right_stamps_are_not_complained_about(
    start: Callable[..., Process], bench: Bench
) -> None:
    """Nor are those whose clock is not the node's, or that are a driver's restart further."""
    process = start()
    process.wait_for_line("active: ")
    for shift in (0, -(10**7) * SECOND, 5 * SECOND - (10**7) * SECOND):
        paired = bench.counts("pairing").get("paired", 0)
        with sending(bench, lambda now: now + shift, lambda now: now + shift + 3_000_000):  # noqa: B023
            bench.wait(
                lambda: bench.counts("pairing").get("paired", 0) > paired + 40,  # noqa: B023
                "no pairs",
            )
    assert not [line for line in process.lines if "WARN" in line and "stamps" in line]


def test_images_that_come_late_need_a_longer_queue(
    start: Callable[..., Process], bench: Bench
) -> None:
    """Thermal images with right stamps, half a second later."""
    process = start(queue_size=2)
    process.wait_for_line("active: ")
    late = SECOND // 2
    stop = threading.Event()

    def send() -> None:
        waiting: list[int] = []
        while not stop.wait(0.1):
            now = time.time_ns()
            bench.publish("rgb", rgb_message(now))
            waiting.append(now)
            while waiting[0] + late < now:
                bench.publish("thermal", thermal_message(waiting.pop(0)))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        line = process.wait_for_line(r"\[WARN\].*thermal camera .* come 0\.\d+ s later than RGB")
        assert "received" in line
        size = int(re.search(r"where the stamps are right, set queue_size: (\d+)", line)[1])
        assert 10 <= size <= 20
        bench.wait(lambda: bench.status["pairing"].level == b"\x01", "not WARN")
        process.send(signal.SIGINT)
        assert process.wait() == 0
        start(queue_size=size).wait_for_line("active: ")
        bench.wait(
            lambda: (
                bench.counts("pairing").get("paired", 100) not in range(41)
                and bench.status["pairing"].level == b"\x00"
            ),
            f"no pairs with queue_size {size}",
        )
    finally:
        stop.set()
        thread.join()
