"""Receives what the node publishes."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mafs_ros.base.output_topics import IMAGES, absolute
from mafs_ros.images.messages.cdr import header_stamp
from mafs_ros.rig.source import Source

PACE_TOPIC = "demo/done"  # tells paced cameras which pair is done
BATCH = 100  # frames kept on disk (4 MB each) before the pictures are made
OUTPUTS = {name: absolute(topic) for name, topic in IMAGES.items()}


class Receiver:
    """Subscribes, as a third process, to inputs and outputs; keeps them on disk as they came.

    A frame whose three outputs are there goes into `frames` (its RGB stamp in ns, None at the
    end). Pictures are made of them once there are BATCH, or at the end, since that takes time that
    the node's engine would lack; paced cameras wait meanwhile. Without `pictures` only the fused
    image and the labels are received, and nothing is kept.
    """

    def __init__(self, source: Source, spool: Path, *, pictures: bool = True) -> None:
        self.frames: queue.Queue[int | None] = queue.Queue()
        self.make_pictures = threading.Event()
        self.received: dict[str, dict[int, int]] = {  # name -> stamp -> monotonic ns
            name: {} for name in ("rgb", "thermal", *OUTPUTS)
        }
        self.spooled: dict[str, deque[int]] = {"rgb": deque(), "thermal": deque()}
        self.complete = 0
        self.diagnostics: dict[str, dict[str, str]] = {}
        self.messages: dict[str, str] = {}
        self.error: Exception | None = None
        self._source, self._spool, self._pictures = source, spool, pictures
        self._outputs = {
            name: topic for name, topic in OUTPUTS.items() if pictures or name != "overlay"
        }
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("demo")
        self._qos = QoSProfile(depth=20)
        for name, topic in self._outputs.items():
            self._subscribe(name, topic, Image)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnose, self._qos)
        self._done = self._node.create_publisher(Header, PACE_TOPIC, self._qos)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="receiver")
        self._thread.start()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except Exception as error:  # a full disk, say: the main thread reports it
            self.error = error

    def _subscribe(self, name: str, topic: str, kind: type) -> None:
        def take(raw: Any) -> None:
            self._take(name, raw)

        self._node.create_subscription(kind, topic, take, self._qos, raw=True)

    def all_are_ready(self) -> bool:
        """Whether the node publishes and subscribes, and paced cameras hear this process."""
        return (
            all(self._node.count_publishers(topic) for topic in OUTPUTS.values())
            and all(map(self._node.count_subscribers, self.input_topics().values()))
            and (not self._source.paced or self._done.get_subscription_count() > 0)
        )

    def input_topics(self) -> dict[str, str]:
        return {
            name: f"/{name}/image" + ("/compressed" if self._source.compressed.get(name) else "")
            for name in ("rgb", "thermal")
        }

    def subscribe_inputs(self) -> None:
        """The cameras begin when both the node and this process listen."""
        if not self._pictures:
            return
        for name, topic in self.input_topics().items():
            self._subscribe(name, topic, self.input_type(name))

    def input_type(self, name: str) -> type:
        return CompressedImage if self._source.compressed.get(name) else Image

    def _take(self, name: str, raw: bytes) -> None:
        now, stamp = time.monotonic_ns(), header_stamp(raw)
        self.received[name][stamp] = now
        if self._pictures:
            (self._spool / f"{stamp}.{name}").write_bytes(raw)
        if name in self.spooled:
            self.spooled[name].append(stamp)
        if name in OUTPUTS and all(stamp in self.received[other] for other in self._outputs):
            self.complete += 1
            if self._pictures:
                self.frames.put(stamp)
            if self.frames.qsize() >= BATCH:
                self.make_pictures.set()
            if self._source.paced:
                if self.make_pictures.is_set():
                    self.frames.join()
                    self.make_pictures.clear()
                header = Header()
                header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
                self._done.publish(header)

    def _diagnose(self, array: DiagnosticArray) -> None:
        for status in array.status:
            name = status.name.removeprefix("mafs: ")
            self.diagnostics[name] = {item.key: item.value for item in status.values}
            self.messages[name] = status.message

    def close(self) -> None:
        """End the thread and the node."""
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        rclpy.try_shutdown()
