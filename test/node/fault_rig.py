"""An active pair of cameras of a node, without messages and without a network."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from node_messages import image_message, rgb_image, thermal_image
from rclpy.clock import Clock

from mafs_ros.node.camera_pair import CameraPair
from mafs_ros.node.lifecycle import MafsNode
from mafs_ros.node.outputs import Wanted
from mafs_ros.node.state import Arrival, Network
from mafs_ros.node.worker import FrameMaker
from mafs_ros.parameters.checks import complete
from mafs_ros.perception.classes import load_class_table
from mafs_ros.perception.pairing.mailbox import Mailbox

CLOCK = Clock()


class Eyes:
    """An engine that sees nothing."""

    gives_confidence = False
    description = "sees nothing"

    def preparing(self, now: float) -> str:
        return ""

    def __call__(self, rgb: np.ndarray, thermal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return rgb, np.zeros(rgb.shape[:3], np.uint8)


class Rig:
    """An active pair of cameras of the node, with an output that somebody subscribes to."""

    def __init__(self, node: MafsNode, **parameters: Any) -> None:
        self.values = complete(parameters)
        self.pair = CameraPair(node, self.values, node.warnings.faults)
        self.pair.configure(Network(Eyes(), load_class_table("street"), {}))
        self.pair.activate(Mailbox())
        self.pair.subscribe()
        assert self.pair.activity is not None and self.pair.session is not None
        self.activity, self.session = self.pair.activity, self.pair.session
        wanted = Wanted(frozenset({"fused"}), frozenset())
        self.session.outputs.wanted = lambda: wanted  # type: ignore[method-assign]

    def frame(self, rgb: np.ndarray | None = None, thermal: np.ndarray | None = None) -> None:
        """Perceive a pair."""
        now = time.monotonic()
        FrameMaker(self.pair, CLOCK).make(
            Arrival(image_message(rgb_image() if rgb is None else rgb, "rgb8"), now),
            Arrival(image_message(thermal_image() if thermal is None else thermal, "mono16"), now),
        )

    def arrivals(self, rgb: Callable[[float], float], thermal: Callable[[float], float]) -> None:
        """Images at 10 Hz of the last seconds; the functions make stamps of times of reception."""
        now = time.monotonic()
        for at in np.arange(now - 3, now, 0.1):
            self.activity.rgb.arrived(at, "160x128 rgb8", rgb(at))
            self.activity.thermal.arrived(at, "160x128 mono16", thermal(at))

    def after(self, seconds: float) -> None:
        """What it says of itself then."""
        self.pair.statuses(time.monotonic() + seconds)

    def close(self) -> None:
        self.pair.unsubscribe()
        self.pair.deactivate()
        self.pair.clean_up()
