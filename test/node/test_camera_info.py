"""CameraInfo, TF and depth over DDS to the node, which registers by them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from node_bench import LATCHED, RELIABLE, Bench
from node_messages import HEIGHT, SECOND, WIDTH, header, image_message, rgb_image
from node_process import DEADLINE_S, Process
from sensor_msgs.msg import CameraInfo, Image

FOCAL = 150.0
FIXED = {"thermal_to_rgb_translation_m": [0.2, 0.0, 0.0], "plane_depth_m": 10.0}
# Columns that the thermal image moves to the right at 10 m: f * b / z.
SHIFT = 3


def camera_info(camera: str, focal: float = FOCAL) -> CameraInfo:
    k = [focal, 0.0, WIDTH / 2 - 0.5, 0.0, focal, HEIGHT / 2 - 0.5, 0.0, 0.0, float(focal > 0)]
    return CameraInfo(
        header=header(time.time_ns(), f"{camera}_optical"),
        height=HEIGHT,
        width=WIDTH,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=k if focal else [0.0] * 9,
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    )


def pair() -> dict[str, Any]:
    """A grey RGB image, and a thermal one with a white strip in columns 60 to 79."""
    thermal = np.full((HEIGHT, WIDTH), 20, np.uint8)
    thermal[:, 60:80] = 250
    return {
        "rgb": image_message(np.full_like(rgb_image(), 40), "rgb8"),
        "thermal": image_message(thermal, "mono8"),
    }


def strip(message: Any) -> tuple[int, int]:
    """The first and the last bright column in the middle of a fused image."""
    image = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, -1)
    bright = np.flatnonzero(image[HEIGHT // 2 - 10 : HEIGHT // 2 + 10].mean((0, 2)) > 130)
    return int(bright[0]), int(bright[-1])


class Rig(Bench):
    """A bench that also publishes CameraInfo and depth."""

    def inform(self, camera: str, info: CameraInfo) -> None:
        self._publish(f"/{camera}/camera_info", info)

    def send_depth(self, depth: np.ndarray, encoding: str, stamp_ns: int) -> None:
        self._publish(
            "/depth/image",
            image_message(depth, "mono16", stamp_ns)
            if encoding == "16UC1"
            else image_message(depth, "32FC1", stamp_ns),
        )

    def _publish(self, topic: str, message: Any) -> None:
        self.offer(topic, type(message))
        self.publishers[topic].publish(message)

    def offer(self, topic: str, kind: type) -> None:
        """Be a publisher that the node hears; it may find it a moment after this one finds it."""
        if topic not in self.publishers:
            publisher = self.node.create_publisher(kind, topic, RELIABLE)
            self.publishers[topic] = publisher
            self.wait_until(publisher.get_subscription_count, f"nobody on {topic}")

    def wait_until(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, what
            with self.changed:
                self.changed.wait(0.05)

    def inform_until(self, message: str, **infos: CameraInfo) -> None:
        """Publish CameraInfo until the registration's status holds the message."""

        def said() -> bool:
            for camera, info in infos.items():
                self.inform(camera, info)
            status = self.status.get("registration")
            return status is not None and message in status.message

        self.wait_until(said, f"no status {message!r}; {self.status.get('registration')}")

    def fused_strip(self) -> tuple[int, int]:
        return strip(self.wait_for_stamp(self.send_pair(time.time_ns(), **pair())))


@pytest.fixture
def rig(ros_domain: int):
    rig = Rig()
    yield rig
    rig.close()


def test_camera_info_is_waited_for_followed_and_refused(
    start: Callable[..., Process], rig: Rig
) -> None:
    process = start(registration="camera_info", stale_timeout_s=1.0, **FIXED)
    rig.subscribe("fused")
    process.wait_for_line("registration: no CameraInfo on /rgb/camera_info and /thermal/camera_i")
    rig.send_pair(time.time_ns(), **pair())  # none comes out: not registered is not shown
    rig.wait_for_counts(not_registered=1)
    assert rig.status["registration"].level == b"\x02" and not rig.received["fused"]

    # What is not calibrated is refused in a line, and the pairs still wait.
    rig.inform_until("k is all zeros, the camera is not calibrated", rgb=camera_info("rgb", 0.0))
    process.wait_for_line("CameraInfo of the RGB camera is of no use: k is all zeros")
    assert rig.status["registration"].level == b"\x02"

    infos = {camera: camera_info(camera) for camera in ("rgb", "thermal")}
    rig.inform_until("0.200 m apart by parameters, plane at 10 m", **infos)
    assert rig.status["registration"].level == b"\x00"
    process.wait_for_line("registration by camera_info: RGB 160x128 without distortion, f 150")
    assert rig.fused_strip() == (60 + SHIFT, 79 + SHIFT)

    # A change is followed, said once, and a wrong one leaves the last good one.
    lines = len(process.lines)
    rig.inform_until(
        "thermal 160x128 without distortion, f 75", thermal=camera_info("thermal", 75)
    )
    first, last = rig.fused_strip()
    assert last - first == pytest.approx(2 * 20, abs=2)  # twice as wide: half the focal length
    process.wait_for_line("registration by camera_info: .*, f 75", lines)
    rig.inform_until("k is all zeros", thermal=camera_info("thermal", 0.0))
    assert rig.status["registration"].level == b"\x01"
    assert rig.fused_strip() == (first, last)
    assert len([line for line in process.lines[lines:] if ", f 75" in line]) == 1

    # Another plane while it runs: twice the shift at half the distance.
    rig.inform_until("f 150, 0.200 m", thermal=infos["thermal"])
    assert rig.set_parameters(plane_depth_m=5.0)[0].successful
    assert rig.fused_strip() == (60 + 2 * SHIFT, 79 + 2 * SHIFT)


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_depth_is_used_where_it_is_recent(
    start: Callable[..., Process], rig: Rig, encoding: str
) -> None:
    process = start(
        registration="camera_info", depth_topic="/depth/image", stale_timeout_s=1.0, **FIXED
    )
    rig.subscribe("fused")
    rig.offer("/depth/image", Image)
    infos = {camera: camera_info(camera) for camera in ("rgb", "thermal")}
    rig.inform_until("no depth image on /depth/image for", **infos)
    assert rig.fused_strip() == (60 + SHIFT, 79 + SHIFT)  # the plane
    stamp = time.time_ns()
    metres = np.full((HEIGHT, WIDTH), 5.0)
    raw = (1000 * metres).astype(np.uint16) if encoding == "16UC1" else metres.astype(np.float32)
    rig.send_depth(raw, encoding, stamp)
    rig.wait(lambda: rig.counts("registration").get("depth_received"), "no depth received")
    rig.send_pair(stamp + SECOND // 100, **pair())
    fused = rig.wait_for_stamp(stamp + SECOND // 100)
    assert strip(fused) == (60 + 2 * SHIFT, 79 + 2 * SHIFT)
    late = rig.send_pair(stamp + SECOND, **pair())
    assert strip(rig.wait_for_stamp(late)) == (60 + SHIFT, 79 + SHIFT)
    rig.wait_for_counts("registration", depth_used=1)
    rig.send_depth(np.zeros((HEIGHT, WIDTH), np.uint16), "16UC1", stamp + 2 * SECOND)
    wrong = Image(
        header=header(stamp + 2 * SECOND, ""), height=4, width=4, encoding="rgb8", step=12
    )
    rig.publishers["/depth/image"].publish(wrong)
    rig.wait(lambda: rig.counts("registration")["depth_received"] == 3, "three depth images")
    rig.wait_for_stamp(rig.send_pair(stamp + 2 * SECOND, **pair()))
    del process


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {
                "registration": "camera_info",
                "rgb_topic": "/x/rgb",
                "thermal_topic": "/x/ir",
                **FIXED,
            },
            "both are /x/camera_info",
        ),
        (
            {"registration": "camera_info", "rgb_camera_info_topic": "two words", **FIXED},
            "parameter rgb_camera_info_topic: got 'two words'",
        ),
    ],
)
def test_what_cannot_register_does_not_start(
    start: Callable[..., Process], parameters: dict[str, Any], message: str
) -> None:
    assert message in start(**parameters).error()


def test_tf_tells_how_the_cameras_sit(start: Callable[..., Process], rig: Rig) -> None:
    messages = pytest.importorskip("tf2_msgs.msg")
    process = start(registration="camera_info", plane_depth_m=10.0)
    rig.subscribe("fused")
    transform = TransformStamped(header=header(0, "rgb_optical"), child_frame_id="thermal_optical")
    transform.transform.translation.x, transform.transform.rotation.w = 0.2, 1.0
    static = rig.node.create_publisher(messages.TFMessage, "/tf_static", LATCHED)
    static.publish(messages.TFMessage(transforms=[transform]))
    infos = {camera: camera_info(camera) for camera in ("rgb", "thermal")}
    rig.inform_until("0.200 m apart by TF, plane at 10 m", **infos)
    assert rig.fused_strip() == (60 + SHIFT, 79 + SHIFT)
    process.wait_for_line("registration by camera_info: .* by TF")


def test_without_tf2_msgs_the_transform_is_asked_for(start: Callable[..., Process]) -> None:
    try:
        import tf2_msgs.msg  # noqa: F401
    except ImportError:
        process = start(registration="camera_info")
        assert process.wait() == 1
        assert "tf2_msgs is not installed: install it" in "\n".join(process.lines)
    else:
        pytest.skip("tf2_msgs is installed")
