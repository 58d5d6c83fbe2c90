"""`mafs view`: the live streams of cameras and node in a browser, without internet.

Needs ROS 2 and requirements/viewer.txt (rerun). Rerun runs as a process that listens on this
machine alone, with its usage statistics off. Its page, which would ask the internet for fonts,
examples and news, is handed on by PageServer under a policy that forbids that.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

HOST = "127.0.0.1"
MEMORY_LIMIT = "200MB"  # of pictures kept for a browser that is opened later
START_TIMEOUT_S = 20.0
PERIOD_S = 0.2  # between two pictures of a panel: faster, browsers without a GPU fall behind
PANELS = ("rgb", "thermal", "fused", "overlay")

EXAMPLE = """\
examples:
  mafs view
  mafs view --rgb-topic /camera/color/image_raw --thermal-topic /flir/image_raw --namespace robot

Open the address that it prints in a browser on this machine (from another one:
ssh -L PORT:127.0.0.1:PORT -L 9876:127.0.0.1:9876 ROBOT). Ctrl-C ends it."""


def add_parser(commands) -> None:
    """Add `mafs view` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "view",
        help="live images in a browser, offline",
        epilog=EXAMPLE,
        description="Shows rgb, thermal, fused and overlay images as they are published.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rgb-topic", metavar="TOPIC", default="rgb/image")
    parser.add_argument("--thermal-topic", metavar="TOPIC", default="thermal/image")
    parser.add_argument(
        "--namespace",
        metavar="NS",
        default="",
        help="namespace of the node and of relative topics",
    )
    parser.add_argument("--port", metavar="N", type=int, default=9090, help="default: 9090")
    parser.add_argument(
        "--data-port", metavar="N", type=int, default=9876, help="for the pictures; default: 9876"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C. Raises ImportError, OSError or RuntimeError."""
    if importlib.util.find_spec("rerun") is None:
        raise ImportError("rerun is not installed: pip install -r requirements/viewer.txt")
    from mafs_ros.viewer_page import PageServer

    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mafs_view_")))
        web_port = free_port()
        process = start_rerun(home, args.data_port, web_port)
        stack.callback(stop, process)
        data = f"rerun+http://{HOST}:{args.data_port}/proxy"
        stack.enter_context(PageServer(HOST, args.port, web_port, args.data_port))
        picture = connect(data)
        stack.callback(picture.disconnect)
        print(
            f"http://{HOST}:{args.port}/?hide_welcome_screen&url={quote(data, safe='')}",
            flush=True,
        )
        show_topics(topics_of(args), picture)
    return 0


def topics_of(args: argparse.Namespace) -> dict[str, str]:
    """Panel -> topic name."""
    root = f"/{args.namespace.strip('/')}" if args.namespace.strip("/") else ""
    names = {
        "rgb": args.rgb_topic,
        "thermal": args.thermal_topic,
        "fused": "mafs/fused/image",
        "overlay": "mafs/segmentation/overlay",
    }
    return {
        panel: name if name.startswith("/") else f"{root}/{name}" for panel, name in names.items()
    }


# Rerun ------------------------------------------------------------------------------------------


def start_rerun(home: Path, data_port: int, web_port: int) -> subprocess.Popen[bytes]:
    """Rerun's own program, which unlike its Python functions can listen on one address alone.

    home: where it keeps its settings, so that the user's stay as they are. Raises OSError or
    RuntimeError where it does not start.
    """
    import rerun_cli

    binary = str(Path(rerun_cli.__file__).with_name("rerun"))
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_DATA_HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "RUST_LOG": "error",
    }
    subprocess.run(
        [binary, "analytics", "disable"], env=environment, check=True, capture_output=True
    )
    process = subprocess.Popen(
        [
            binary,
            "--serve-web",
            "--bind",
            HOST,
            "--port",
            str(data_port),
            "--web-viewer-port",
            str(web_port),
            "--server-memory-limit",
            MEMORY_LIMIT,
        ],
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (is_open(data_port) and is_open(web_port)):
        if process.poll() is not None:
            raise RuntimeError(
                f"rerun ended with exit code {process.returncode}; is the port "
                f"{data_port} taken? --data-port chooses another"
            )
        if time.monotonic() > deadline:
            stop(process)
            raise RuntimeError(f"rerun does not answer after {START_TIMEOUT_S:.0f} s")
        time.sleep(0.05)
    return process


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it, and return when it is gone."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def connect(data: str) -> Any:
    """A recording that goes to rerun, with a panel for each kind of picture."""
    import rerun
    import rerun.blueprint as blueprint

    recording = rerun.RecordingStream("mafs")
    recording.connect_grpc(data)
    views = [blueprint.Spatial2DView(origin=name, name=name) for name in PANELS]
    recording.send_blueprint(blueprint.Blueprint(blueprint.Grid(*views), collapse_panels=True))
    return recording


# ROS --------------------------------------------------------------------------------------------


def show_topics(topics: dict[str, str], recording: Any) -> None:
    """Subscribe and hand on the newest image of each topic; returns at Ctrl-C."""
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.qos import QoSProfile, QoSReliabilityPolicy
    from sensor_msgs.msg import Image

    rclpy.init(args=[])
    node = rclpy.create_node("mafs_view")
    viewer = Viewer(recording, node.get_logger())
    for panel, topic in topics.items():
        # Some cameras offer best effort alone; the node's outputs are reliable.
        reliability = (
            QoSReliabilityPolicy.BEST_EFFORT
            if panel in ("rgb", "thermal")
            else QoSReliabilityPolicy.RELIABLE
        )
        node.create_subscription(
            Image, topic, partial(viewer.show, panel), QoSProfile(depth=1, reliability=reliability)
        )
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()


class Viewer:
    """Turns image messages into pictures of a recording, a few a second of each panel."""

    def __init__(self, recording: Any, logger: Any) -> None:
        from mafs_ros.thermal import ThermalScaler

        self._recording, self._logger = recording, logger
        self._scaler = ThermalScaler()
        self._due = dict.fromkeys(PANELS, 0.0)

    def show(self, panel: str, message: Any) -> None:
        """Send one image if the panel is due; a bad one is reported and left out."""
        from rerun import Image

        now = time.monotonic()
        if now < self._due[panel]:
            return
        self._due[panel] = now + PERIOD_S
        stamp_s = message.header.stamp.sec + message.header.stamp.nanosec / 1e9
        try:
            picture = self.picture(panel, message, stamp_s)
        except ValueError as error:
            self._logger.warning(f"{panel}: {error}", throttle_duration_sec=5.0)
            return
        self._recording.set_time("stamp", timestamp=stamp_s)
        self._recording.log(panel, Image(picture))

    def picture(self, panel: str, message: Any, stamp_s: float) -> Any:
        """uint8 [H,W,3] rgb, or [H,W] thermal; raises ValueError for no usable image."""
        from mafs_ros.images import rgb_from_message, thermal_from_message

        if panel == "thermal":
            return self._scaler(thermal_from_message(message), stamp_s)
        return rgb_from_message(message)
