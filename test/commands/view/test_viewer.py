"""`mafs view`: its page without internet; with rerun installed, pictures in a real browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from browser import Browser

from mafs_ros.bags.reader import TYPES
from mafs_ros.cli import make_parser
from mafs_ros.commands.view import command, rerun_process, stream
from mafs_ros.commands.view.page_server import PageServer

HTML = (
    b'<link rel="icon" href="favicon.ico"><link rel="preconnect"\n href="https://f.example" />'
    b'<link href="https://f.example/css" rel="stylesheet"><p>page</p>'
)
RED, GREEN = (250, 20, 20), (20, 220, 20)


class Source(BaseHTTPRequestHandler):
    def do_GET(self):
        found = {"/": ("text/html", HTML), "/a.wasm?x": ("application/wasm", bytes(range(256)))}
        if self.path not in found:
            self.send_error(404)
            return
        kind, body = found[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def page():
    """The address of a page that is handed on."""
    source = ThreadingHTTPServer((rerun_process.HOST, 0), Source)
    thread = threading.Thread(target=source.serve_forever, args=(0.02,))
    thread.start()
    port = rerun_process.free_port()
    with PageServer(rerun_process.HOST, port, source.server_address[1], 4321):
        yield f"http://{rerun_process.HOST}:{port}"
    source.shutdown()
    thread.join()
    source.server_close()


def test_page_is_handed_on_without_links_to_other_machines(page):
    with urllib.request.urlopen(f"{page}/") as answer:  # noqa: S310 (http, see above)
        assert answer.read() == b'<link rel="icon" href="favicon.ico"><p>page</p>'
        rules = answer.headers["Content-Security-Policy"]
    assert "connect-src 'self' data: blob: http://127.0.0.1:4321;" in rules
    assert set(re.findall(r"https?://[^ ;]+", rules)) == {"http://127.0.0.1:4321"}
    with urllib.request.urlopen(f"{page}/a.wasm?x") as answer:  # noqa: S310
        assert answer.read() == bytes(range(256))
        assert answer.headers["Content-Type"] == "application/wasm"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{page}/other")  # noqa: S310


def test_a_taken_port_is_named(page):
    port = int(page.rpartition(":")[2])
    with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 is not free"):
        PageServer(rerun_process.HOST, port, 1, 2)


@pytest.mark.parametrize(
    ("options", "rgb", "fused"),
    [
        ((), "/rgb/image", "/mafs/fused/image"),
        (("--namespace", "robot", "--rgb-topic", "/cam"), "/cam", "/robot/mafs/fused/image"),
    ],
)
def test_topics(options, rgb, fused):
    topics = stream.topics_of(make_parser().parse_args(["view", *options]))
    assert (topics["rgb"], topics["fused"]) == (rgb, fused)
    assert tuple(topics) == ("rgb", "thermal", "fused", "overlay")


def test_confidence_has_a_panel_where_it_is_asked_for():
    topics = stream.topics_of(make_parser().parse_args(["view", "--confidence"]))
    assert topics["confidence"] == "/mafs/segmentation/confidence"


def image(colour, encoding="rgb8"):
    stamp = TYPES.types["builtin_interfaces/msg/Time"](sec=7, nanosec=500_000_000)
    pixels = np.full((48, 64, 3), colour, np.uint8)
    return TYPES.types["sensor_msgs/msg/Image"](
        header=TYPES.types["std_msgs/msg/Header"](stamp=stamp, frame_id="f"),
        height=48,
        width=64,
        encoding=encoding,
        is_bigendian=0,
        step=192,
        data=pixels.reshape(-1),
    )


def test_pictures_of_messages():
    shown = stream.Viewer(None, None)
    assert (shown.picture("fused", image(RED), 7.5) == RED).all()
    thermal = image(7, "mono8")
    thermal.step = 64
    assert shown.picture("thermal", thermal, 7.5).shape == (48, 64)
    with pytest.raises(ValueError, match="encoding 'rgb12p'"):
        shown.picture("fused", image(RED, "rgb12p"), 7.5)


def test_without_rerun_it_says_what_to_install(monkeypatch, capsys):
    from mafs_ros.cli import main

    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    assert main(["view"]) == 1
    assert "pip install -r requirements/viewer.txt" in capsys.readouterr().err


def pixels(picture, colour):
    """How many pixels of a BGR picture have an RGB colour."""
    return (np.abs(picture.astype(int) - colour[::-1]).max(axis=2) < 12).sum()


@contextmanager
def published_pictures():
    """Publishes a red RGB image and a green fused one; gives colour -> publisher."""
    import rclpy
    from sensor_msgs.msg import Image

    rclpy.init(args=[])
    node = rclpy.create_node("cameras")
    publishers = {
        colour: node.create_publisher(Image, topic, 5)
        for topic, colour in (("/rgb/image", RED), ("/mafs/fused/image", GREEN))
    }
    done = threading.Event()

    def publish():
        while not done.wait(0.05):
            for colour, publisher in publishers.items():
                message = Image(height=48, width=64, encoding="rgb8", step=192)
                message.header.stamp = node.get_clock().now().to_msg()
                message.data.frombytes(np.full((48, 64, 3), colour, np.uint8).tobytes())
                publisher.publish(message)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield publishers
    finally:
        done.set()
        thread.join()
        node.destroy_node()
        rclpy.try_shutdown()


def test_live_pictures_in_a_browser(ros_domain, tmp_path):
    """Published images are seen in the page, which asks no other machine for anything."""
    pytest.importorskip("rerun", reason="needs rerun (680 MB): requirements/viewer.txt")
    pytest.importorskip("rclpy", reason="needs ROS 2")
    data_port, port = rerun_process.free_port(), rerun_process.free_port()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mafs_ros.cli",
            "view",
            "--port",
            str(port),
            "--data-port",
            str(data_port),
        ],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        with published_pictures() as publishers:
            address = process.stdout.readline().strip()
            assert address.startswith(f"http://127.0.0.1:{port}/?")
            deadline = time.monotonic() + 30
            while not all(publisher.get_subscription_count() for publisher in publishers.values()):
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.05)
            with Browser(
                tmp_path, "--use-angle=swiftshader", "--enable-unsafe-swiftshader"
            ) as page:
                page.open(address)
                deadline = time.monotonic() + 60
                while not all(pixels(page.screenshot(), colour) > 5000 for colour in publishers):
                    assert time.monotonic() < deadline, "no pictures after 60 s"
    finally:
        os.kill(process.pid, signal.SIGINT)
        code = process.wait(20)
    assert f"http://127.0.0.1:{port}/re_viewer_bg.wasm" in page.urls
    assert {url for url in page.urls if "127.0.0.1" not in url} == set()
    assert code == 0
    assert not rerun_process.is_open(port) and not rerun_process.is_open(data_port)
