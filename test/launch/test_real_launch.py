"""The launch files under the real launch, where its sources are at hand.

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
from contextlib import contextmanager, suppress
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


class Launched:
    """A launch file that runs, and what it and its nodes print."""

    def __init__(self, name: str, given: tuple[str, ...]) -> None:
        file = str(ROOT / "launch" / f"{name}.launch.py")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, file, *given],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip())
                self.changed.notify_all()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until so many lines hold the text."""

        def there() -> bool:
            return sum(text in line for line in self.lines) >= times

        with self.changed:
            assert self.changed.wait_for(there, DEADLINE_S), self.lines

    def wait(self) -> int:
        """Its exit code, once it and all that it started have ended."""
        code = self.process.wait(DEADLINE_S)
        self.reader.join(DEADLINE_S)
        assert not self.reader.is_alive(), "something that it started goes on"
        return code


@contextmanager
def launched(name: str, *given: str) -> Iterator[Launched]:
    """A launch file with its arguments; what is left of it at the end is killed."""
    launch = Launched(name, given)
    try:
        yield launch
    finally:
        with suppress(ProcessLookupError):
            os.killpg(launch.process.pid, signal.SIGKILL)
        launch.process.wait()
        launch.reader.join()


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
    given = ("simulated:=true", "namespace:=robot", f"params_file:={file}")
    with launched("two_pairs", *given) as launch:
        deadline = time.monotonic() + DEADLINE_S
        with listener.changed:
            while not all(listener.heard.values()):
                assert launch.process.poll() is None and time.monotonic() < deadline, launch.lines
                listener.changed.wait(1.0)
        launch.process.send_signal(signal.SIGINT)
        assert launch.wait() == 0, launch.lines
    lines = "\n".join(launch.lines)
    assert "front: active: /robot/front/rgb/image and /robot/front/thermal/image" in lines
    assert "Traceback" not in lines


def test_a_simulation_ends_with_its_node_and_rviz_is_not_missed(
    installed: None, ros_domain: int
) -> None:
    with launched("simulation", "rviz:=true", "weights:=/nowhere.safetensors") as launch:
        launch.wait()
    lines = "\n".join(launch.lines)
    assert "rviz2 is not installed" in lines
    assert "MAFS_E_CONFIGURE: cannot configure" in lines
    assert "the node has ended with exit code 1" in lines


def test_respawn_starts_the_node_again(installed: None, ros_domain: int) -> None:
    with launched("mafs", "weights:=/nowhere.safetensors") as launch:
        launch.wait_for("MAFS_E_CONFIGURE", times=2)
        launch.process.send_signal(signal.SIGINT)
        assert launch.wait() == 0


def test_a_missing_parameter_file_ends_the_launch(installed: None, ros_domain: int) -> None:
    with launched("mafs", "params_file:=/nowhere.yaml") as launch:
        assert launch.wait() == 1
    assert any("params_file: /nowhere.yaml does not exist" in line for line in launch.lines)
    assert not any("process started" in line for line in launch.lines)
