"""Starts the node `mafs`."""

import logging
import os
import re
import signal
import sys
import threading
import time
import traceback

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.base.memory import IMAGE_BUFFERS, keep_freed_memory
from mafs_ros.engine.building import end_all_builds
from mafs_ros.engine.while_compiling import COMPILER
from mafs_ros.node.lifecycle import MafsNode
from mafs_ros.node.worker import STARTER, WORKER
from mafs_ros.parameters.table import ParameterError

# How often the spinning thread looks for SIGINT and SIGTERM.
SIGNAL_PERIOD_S = 0.2
# How long the frame in progress may take at the end; `ros2 launch` loses patience after 5 s.
GRACE_S = 2.0
# As sysexits.h has it for what may succeed if it is tried again; the launch file goes by it.
GPU_LOST_EXIT = os.EX_TEMPFAIL
# Python's default of 5 ms lets the spinning thread keep a new pair from the worker.
SWITCH_S = 0.00001


class RosLogHandler(logging.Handler):
    """Sends what the layers without ROS log to the node's log, with the codes of faults."""

    def __init__(self, node: MafsNode) -> None:
        super().__init__()
        self._logger, self._warnings = node.get_logger(), node.warnings

    def emit(self, record: logging.LogRecord) -> None:
        text, fault = record.getMessage(), getattr(record, "fault", Fault.OTHER)
        if record.levelno >= logging.ERROR:
            self._warnings.error(fault, text)
        elif record.levelno >= logging.WARNING:
            self._warnings.warn_once(fault, text)
        else:
            self._logger.info(text)


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; returns the exit code.

    1: it could not start. GPU_LOST_EXIT: the GPU is lost to this process.
    """
    stop = threading.Event()

    # Not rclpy's own handlers: they shut the context down under the worker, and a second SIGINT
    # (a terminal and `ros2 launch` both send one) would raise in the middle of the clean-up.
    def end(*_: object) -> None:
        stop.set()
        end_all_builds()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    keep_freed_memory(IMAGE_BUFFERS)
    try:
        code = run(sys.argv if args is None else args, stop)
    except Exception as error:
        # Without the places in rcl's own source: ', at /project/src/parser.c:271'.
        reason = re.sub(", at /[^ ,]+", "", one_line(error))
        print(f"mafs_node: {Fault.START.code}: {reason}", file=sys.stderr)
        code = 1
    names = {thread.name for thread in threading.enumerate()}
    if code == GPU_LOST_EXIT or names & {STARTER, WORKER, COMPILER}:
        # An engine that compiles here cannot be told to stop, and is not waited for; what the
        # libraries of a lost GPU clean up at the end hangs.
        os._exit(code)
    return code


def run(args: list[str], stop: threading.Event) -> int:
    """The node's whole life; raises ParameterError and rclpy's errors for bad arguments."""
    if foreign := words_for_nobody(args[1:]):
        raise ParameterError(
            f"got arguments {' '.join(foreign)}, expected parameters as "
            "--ros-args -p NAME:=VALUE (names: ros2 param list, or docs/parameters.md)"
        )
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = MafsNode()
        logging.getLogger("mafs_ros").addHandler(RosLogHandler(node))
        logging.getLogger("mafs_ros").setLevel(logging.INFO)  # the progress of a build
        try:
            return live(node, stop)
        finally:
            node.destroy_node()
    finally:
        rclpy.shutdown()


def live(node: MafsNode, stop: threading.Event) -> int:
    """From autostart to the signal that ends it; returns the exit code."""
    if node.get_parameter("autostart").value:
        starter = start_in_thread(node, stop)
        if starter.is_alive():
            starter.join(GRACE_S)  # a build that was told to end removes what it left
            return 0
        if not node.active:
            if node.gpu_lost:
                return GPU_LOST_EXIT
            return 0 if stop.is_set() else 1  # what ends a build lets the start fail
    else:
        node.get_logger().info("waiting for lifecycle transitions (autostart is false)")
    sys.setswitchinterval(SWITCH_S)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not stop.is_set() and not node.gpu_lost:
        try:
            executor.spin_once(timeout_sec=SIGNAL_PERIOD_S)
        except Exception as error:  # of one callback: the next may do better
            node.warnings.warn(Fault.CALLBACK, f"a callback failed: {one_line(error)}")
            node.get_logger().debug(traceback.format_exc())
    if node.gpu_lost:
        node.say_health()
        return GPU_LOST_EXIT
    node.leave(GRACE_S)
    executor.shutdown()
    return 0


def start_in_thread(node: MafsNode, stop: threading.Event) -> threading.Thread:
    """Configure and activate the node, in a thread so that signals are heeded meanwhile.

    Returns when that has ended, or as soon as `stop` is set, with the thread still alive. Nobody
    spins yet: what takes long is said here.
    """
    thread = threading.Thread(target=node.start, name=STARTER)
    thread.start()
    said = time.monotonic()
    while thread.is_alive() and not stop.is_set():
        thread.join(SIGNAL_PERIOD_S)
        if time.monotonic() - said >= 1:
            said = time.monotonic()
            node.say_health()
    return thread


def words_for_nobody(args: list[str]) -> list[str]:
    """Arguments outside --ros-args ... --; NAME:=VALUE among them would only rename a topic."""
    words, for_ros = [], False
    for word in args:
        if word in ("--ros-args", "--"):
            for_ros = word == "--ros-args"
        elif not for_ros:
            words.append(word)
    return words


if __name__ == "__main__":
    sys.exit(main())
