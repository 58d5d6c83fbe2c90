"""The cameras of the unaligned rig over DDS: images, calibration, depth, transform."""

import importlib.util
import subprocess

import numpy as np
import pytest
from camera_process import arguments, failure, receive
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from mafs_ros.simulation import RigStreet, unaligned_rig

VALUES = {
    "rig": "unaligned",
    "seed": 3,
    "light": "day",
    "rate_hz": 20.0,
    "frames": 2,
    "depth_topic": "depth/image",
    "thermal_frame_id": "ir_optical",
}
MORE = {
    "depth": ("depth/image", Image),
    "rgb_info": ("rgb/camera_info", CameraInfo),
    "thermal_info": ("thermal/camera_info", CameraInfo),
}


def test_rig_sends_images_depth_and_calibration_of_the_same_stamps(ros_domain):
    receiver, _ = receive(MORE, **VALUES)
    rig = unaligned_rig()
    street = RigStreet(rig, 3, night=False)
    for index in range(2):
        frame = street.frame(index / 20.0)
        sent = {name: receiver.decoded(name)[index] for name in receiver.types}
        assert sent["rgb"].data.tobytes() == frame.rgb.tobytes()
        assert sent["thermal"].data.tobytes() == frame.thermal.tobytes()
        assert sent["thermal"].header.frame_id == "ir_optical"
        depth = np.frombuffer(sent["depth"].data, np.uint16).reshape(480, 640)
        assert sent["depth"].encoding == "16UC1"
        near = frame.depth < 65.0
        assert np.abs(depth[near] / 1000.0 - frame.depth[near]).max() < 0.001
        for name, camera in (("rgb", rig.rgb), ("thermal", rig.thermal)):
            info = sent[f"{name}_info"]
            assert info.header == sent[name].header
            assert (info.width, info.height) == (camera.width, camera.height)
            assert np.array_equal(np.reshape(info.k, (3, 3)), camera.k)
            assert np.reshape(info.p, (3, 4)).tolist() == [[*row, 0.0] for row in camera.k]
            assert tuple(info.d) == camera.distortion
            assert info.distortion_model == "plumb_bob"
        assert sent["depth"].header == sent["rgb"].header


without = pytest.mark.skipif(
    importlib.util.find_spec("tf2_msgs") is not None, reason="tf2_msgs is installed here"
)
with_tf = pytest.mark.skipif(
    importlib.util.find_spec("tf2_msgs") is None, reason="needs tf2_msgs, which has no wheel"
)


@without
def test_missing_tf2_msgs_is_said_once_and_the_images_go_out(ros_domain):
    values = VALUES | {"height": 48, "width": 64, "frames": 1}
    run = subprocess.run(arguments(values), capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("/tf_static is not published: tf2_msgs is not installed") == 1
    assert "[-0.11, -0.04, -0.02] m of rgb_camera" in run.stderr


@with_tf
def test_transform_is_latched(ros_domain):
    import rclpy
    from tf2_msgs.msg import TFMessage

    from mafs_ros.cameras.transform import publish_transform

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("rig", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        assert publish_transform(node, unaligned_rig(), "rgb_camera", "thermal_camera")
        received = rclpy.task.Future(executor=executor)
        qos = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(TFMessage, "/tf_static", received.set_result, qos)
        executor.spin_until_future_complete(received, timeout_sec=20.0)
        (transform,) = received.result().transforms
        assert transform.child_frame_id == "thermal_camera"
        assert transform.transform.translation.x == pytest.approx(-0.11)
    finally:
        node.destroy_node()
        context.shutdown()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depth_topic": "depth"}, "parameter depth_topic: goes with rig unaligned"),
        (
            {"rig": "unaligned", "bag": "/nowhere"},
            "parameter rig: got 'unaligned', which does not",
        ),
        ({"rig": "crooked"}, "parameter rig: got 'crooked', expected"),
    ],
)
def test_errors_are_one_line(ros_domain, values, message):
    assert message in failure(**values)
