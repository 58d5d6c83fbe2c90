"""The cameras as a process of their own, and a receiver of what they send."""

import json
import subprocess
import sys
import threading

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from mafs_ros.images.messages.cdr import header_stamp

DEADLINE_S = 30.0


def arguments(values):
    parameters = [part for name, value in values.items() for part in ("-p", f"{name}:={value}")]
    return [sys.executable, "-m", "mafs_ros.cameras", "--ros-args", *parameters]


def start(**values):
    return subprocess.Popen(
        arguments(values), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    """The summary of a process that ends by itself with success."""
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def failure(**values):
    """The one line that a process which must fail writes beside its log."""
    run = subprocess.run(arguments(values), capture_output=True, text=True, timeout=DEADLINE_S)
    assert run.returncode == 1, run
    lines = [line for line in run.stderr.splitlines() if not line.startswith("[INFO]")]
    assert len(lines) == 1, run.stderr
    return lines[0]


class Receiver:
    """Subscribes to both cameras and keeps all messages, serialised, with their topics.

    more: further topics, name -> (topic, type).
    """

    def __init__(self, rgb=("rgb/image", Image), thermal=("thermal/image", Image), more=None):
        self.messages = []
        self.arrived = threading.Condition()
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("receiver", context=self.context)
        topics = {"rgb": rgb, "thermal": thermal, **(more or {})}
        self.types = {camera: kind for camera, (_, kind) in topics.items()}
        for camera, (topic, kind) in topics.items():
            self.node.create_subscription(
                kind,
                topic,
                lambda raw, camera=camera: self.take(camera, raw),
                QoSProfile(depth=200),
                raw=True,
            )
        self.acknowledge = self.node.create_publisher(Header, "done", QoSProfile(depth=10))
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()
        self.context.shutdown()

    def take(self, camera, raw):
        with self.arrived:
            self.messages.append((camera, raw))
            self.arrived.notify_all()

    def wait_for(self, count):
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.messages) >= count, DEADLINE_S), (
                f"{len(self.messages)} of {count} messages"
            )

    def raw(self, camera):
        return [raw for name, raw in self.messages if name == camera]

    def decoded(self, camera):
        return [deserialize_message(raw, self.types[camera]) for raw in self.raw(camera)]

    def stamps(self, camera):
        return np.array([header_stamp(raw) for raw in self.raw(camera)])


def receive(more=None, **values):
    """Run the cameras to their end; returns the receiver and their summary, both agreeing."""
    with Receiver(more=more) as receiver:
        summary = finish(start(wait_for_subscribers=1, **values))
        counts = {camera: summary[camera]["sent"] for camera in receiver.types}
        receiver.wait_for(sum(counts.values()))
    assert {camera: len(receiver.raw(camera)) for camera in receiver.types} == counts
    assert summary["finished"] is True
    return receiver, summary
