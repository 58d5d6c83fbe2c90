"""The launch file of two pairs under the real launch, where its sources are at hand.

launch and launch_ros are no wheels: put their packages on PYTHONPATH, with osrf_pycommon and
composition_interfaces (a stand-in will do).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

pytest.importorskip("launch_ros", reason="launch_ros is not on PYTHONPATH")

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 180.0
PROGRAM = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
file, *given = sys.argv[1:]
service = LaunchService()
arguments = [tuple(word.split(":=")) for word in given]
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(file), launch_arguments=arguments)]))
sys.exit(service.run())
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package as ament finds it, its executables run by this Python."""
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    programs = tmp_path / "lib" / "mafs_ros"
    index.mkdir(parents=True)
    programs.mkdir(parents=True)
    (index / "mafs_ros").touch()
    for name in ("mafs_node", "mafs_cameras"):
        text = (ROOT / "scripts" / name).read_text(encoding="utf-8")
        program = programs / name
        program.write_text(text.replace("/usr/bin/env python3", sys.executable, 1))
        program.chmod(0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))


class Listener:
    """Hears labels of several topics and counts them."""

    def __init__(self, topics: list[str]) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("listener", context=self.context)
        self.heard = dict.fromkeys(topics, 0)
        self.changed = threading.Condition()
        for topic in topics:
            self.node.create_subscription(
                Image, topic, lambda _, topic=topic: self._count(topic), 10, raw=True
            )
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin)
        self.thread.start()

    def _count(self, topic: str) -> None:
        with self.changed:
            self.heard[topic] += 1
            self.changed.notify_all()

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def listener(ros_domain: int) -> Iterator[Listener]:
    topics = [f"/robot/mafs/{pair}/segmentation/labels" for pair in ("front", "rear")]
    listener = Listener(topics)
    yield listener
    listener.close()


def test_two_pairs_with_a_namespace_and_a_parameter_file(
    installed: None, listener: Listener, tmp_path: Path
) -> None:
    """Simulated cameras, in the robot's namespace, the engine that starts at once by the file."""
    file = tmp_path / "pairs.yaml"
    example = (ROOT / "config" / "two_pairs.yaml").read_text(encoding="utf-8")
    file.write_text(example + '    backend: "torch"\n')
    log = tmp_path / "log"
    with log.open("w") as output:
        launch = subprocess.Popen(
            [
                *(sys.executable, "-c", PROGRAM, str(ROOT / "launch" / "two_pairs.launch.py")),
                *("simulated:=true", "namespace:=robot", f"params_file:={file}"),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + DEADLINE_S
        with listener.changed:
            while not all(listener.heard.values()):
                assert launch.poll() is None and time.monotonic() < deadline, log.read_text()
                listener.changed.wait(1.0)
        launch.send_signal(signal.SIGINT)
        assert launch.wait(DEADLINE_S) == 0, log.read_text()
    finally:
        if launch.poll() is None:
            os.killpg(launch.pid, signal.SIGKILL)
            launch.wait()
    lines = log.read_text()
    assert "front: active: /robot/front/rgb/image and /robot/front/thermal/image" in lines
    assert "Traceback" not in lines
