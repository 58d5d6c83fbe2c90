"""`mafs bag simulate`: a rig's images, calibration, transform and depth in one bag."""

import numpy as np
import pytest
from rosbags.rosbag2 import Reader

from mafs_ros.bags.reader import TYPES, Bag
from mafs_ros.bags.rig_messages import depth_image
from mafs_ros.bags.simulate import write_simulated_drive
from mafs_ros.bags.topics import choose_topics
from mafs_ros.cli import main
from mafs_ros.images.messages.cdr import read_image
from mafs_ros.perception.registration.topics import camera_info_beside
from mafs_ros.simulation import RigStreet, unaligned_rig

DRIVE = {"frames": 2, "fps": 4.0, "seed": 3, "night": False, "width": 160, "height": 120}


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    path = tmp_path_factory.mktemp("simulated") / "drive"
    write_simulated_drive(path, **DRIVE)
    return path


def messages(path):
    """Topic -> (connection, deserialised messages) of everything in a bag."""
    found = {}
    with Reader(path) as bag:
        for connection, _, raw in bag.messages():
            message = TYPES.deserialize_cdr(raw, connection.msgtype)
            found.setdefault(connection.topic, (connection, []))[1].append(message)
    return found


def test_images_are_those_of_the_rig_and_the_cameras_are_guessed(drive):
    street = RigStreet(unaligned_rig(120, 160), 3, night=False)
    recorded = messages(drive)
    for i, t in enumerate((0.0, 0.25)):
        frame = street.frame(t)
        expected = {"/rgb/image": frame.rgb, "/thermal/image": frame.thermal}
        for topic, image in (expected | {"/labels/image": frame.labels}).items():
            message = recorded[topic][1][i]
            assert message.data.tobytes() == image.tobytes(), topic
        depth = recorded["/depth/image"][1][i]
        assert depth.encoding == "16UC1" and depth.header.frame_id == "rgb_camera"
        metres = depth.data.view(np.uint16).reshape(120, 160) / 1000
        near = frame.depth < 65.0
        assert np.abs(metres[near] - frame.depth[near]).max() < 0.001
        assert (metres[~near] == 0).all() and (~near).any()
    with Bag(drive) as bag:
        assert [t.name for t in choose_topics(bag)] == ["/rgb/image", "/thermal/image"]


def test_calibration_and_transform_are_the_true_ones(drive):
    rig = unaligned_rig(120, 160)
    recorded = messages(drive)
    for camera, topic in ((rig.rgb, "/rgb/camera_info"), (rig.thermal, "/thermal/camera_info")):
        for info, image in zip(
            recorded[topic][1], recorded[topic.replace("camera_info", "image")][1], strict=True
        ):
            assert info.header == image.header
            assert (info.width, info.height) == (image.width, image.height)
            assert info.distortion_model == "plumb_bob"
            assert np.array_equal(info.k.reshape(3, 3), camera.k)
            assert np.array_equal(info.p.reshape(3, 4)[:, :3], camera.k)
            assert tuple(info.d) == camera.distortion
    connection, (message,) = recorded["/tf_static"]
    assert connection.ext.offered_qos_profiles[0].durability.name == "TRANSIENT_LOCAL"
    (transform,) = message.transforms
    assert (transform.header.frame_id, transform.child_frame_id) == (
        "rgb_camera",
        "thermal_camera",
    )
    move, q = transform.transform.translation, transform.transform.rotation
    assert [move.x, move.y, move.z] == pytest.approx(rig.translation)
    u = np.array([q.x, q.y, q.z])
    for column, axis in zip(rig.rotation.T, np.eye(3), strict=True):
        # Rodrigues' formula with a unit quaternion.
        turned = axis + 2 * q.w * np.cross(u, axis) + 2 * np.cross(u, np.cross(u, axis))
        assert turned == pytest.approx(column, abs=1e-9)


def test_camera_info_lies_beside_its_image():
    assert camera_info_beside("/flir/image_raw") == "/flir/camera_info"
    assert camera_info_beside("image") == "camera_info"
    assert camera_info_beside("/image") == "/camera_info"


def test_depth_that_does_not_fit_is_none():
    depth = np.array([[0.5, 65.5, 65.6, np.inf, np.nan, 12.3456]], np.float32)
    pixels = np.frombuffer(read_image(depth_image(depth, "rgb")).data, np.uint16)
    assert pixels.tolist() == [500, 65500, 0, 0, 0, 12346]


def test_command_writes_a_bag_that_info_reads(tmp_path, capsys):
    out = tmp_path / "drive"
    options = ["--seconds", "0.2", "--fps", "10", "--seed", "3", "--light", "day"]
    assert main(["bag", "simulate", *options, str(out)]) == 0
    assert "2 pairs of unaligned cameras" in capsys.readouterr().out
    assert main(["bag", "simulate", *options, str(out)]) == 1
    assert "exists already" in capsys.readouterr().err
    with Bag(out) as bag:
        rgb, thermal = choose_topics(bag)
    assert (rgb.width, rgb.height) == (640, 480)
    assert (thermal.width, thermal.height, thermal.count) == (320, 256, 2)
