"""CPU and delay of the node under two executors of rclpy: the figures of robot.md.

    python -m mafs_ros.cameras --ros-args -p rate_hz:=15.0 -p cycle:=10 &
    python docs/executors.py single --ros-args -p backend:=torch
    python docs/executors.py events --ros-args -p backend:=torch

Nobody subscribes to the outputs, so the network does not run. Prints one line of JSON and ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any

import numpy as np
from rclpy.experimental import EventsExecutor

from mafs_ros.node import __main__ as node
from mafs_ros.node.inputs import Inputs
from mafs_ros.node.state import seconds

WARM_UP, MEASURED_S = 30, 10.0  # images, seconds


def measure(which: str, ages: list[float]) -> None:
    """Print what the process takes from the first images on, then end it."""
    while len(ages) < WARM_UP:
        time.sleep(0.1)
    first, cpu, start = len(ages), time.process_time(), time.monotonic()
    time.sleep(MEASURED_S)
    percent = 100 * (time.process_time() - cpu) / (time.monotonic() - start)
    median, p95 = 1000 * np.percentile(ages[first:], [50, 95])
    row = {"executor": which, "cpu_percent": percent, "age_ms": median, "age_p95_ms": p95}
    print(
        json.dumps(
            {key: round(value, 1) if key != "executor" else value for key, value in row.items()}
        )
    )
    os.kill(os.getpid(), signal.SIGINT)


def main() -> int:
    which, ages = sys.argv.pop(1), []
    if which == "events":
        node.SingleThreadedExecutor = EventsExecutor
    take = Inputs._on_image

    def timed(inputs: Inputs, camera: Any, message: Any) -> None:
        take(inputs, camera, message)
        ages.append(time.time() - seconds(message))

    Inputs._on_image = timed
    threading.Thread(target=measure, args=(which, ages), daemon=True).start()
    return node.main()


if __name__ == "__main__":
    sys.exit(main())
