"""What CameraInfo and TF say one after the other, and the registration that follows."""

from __future__ import annotations

import numpy as np
import pytest
from camera_rigs import PINHOLE, PLUMB_BOB, camera_info, transform, turned

from mafs_ros.perception.registration.known import KnownCameras, fixed_pose
from mafs_ros.perception.registration.topics import camera_info_beside, is_rectified
from mafs_ros.perception.registration.transforms import TransformTree

TOPICS = {"rgb": "/rgb/camera_info", "thermal": "/flir/camera_info"}
POSE = np.eye(3), np.array([0.1, 0.0, 0.0])


def known(fixed=POSE):
    return KnownCameras(TOPICS, {"rgb": False, "thermal": False}, fixed, 10.0)


def infos(**changes):
    rgb = camera_info(PLUMB_BOB, (240, 320), 240.0, "rgb_optical", **changes)
    return rgb, camera_info(PINHOLE, (256, 320), 300.0, "flir_optical")


def test_both_cameras_are_waited_for():
    cameras = known()
    rgb, thermal = infos()
    assert cameras.trouble == "no CameraInfo on /rgb/camera_info and /flir/camera_info yet"
    assert cameras.take_info("rgb", rgb)
    assert cameras.trouble == "no CameraInfo on /flir/camera_info yet"
    assert cameras.registration is None and cameras.description == "none yet"
    assert cameras.take_info("thermal", thermal)
    assert cameras.trouble == ""
    assert cameras.description == (
        "RGB 320x240 plumb_bob, f 240 and thermal 320x256 without distortion, f 300, "
        "0.100 m apart by parameters, plane at 10 m"
    )


def test_the_same_again_builds_nothing_and_a_change_does():
    cameras = known()
    rgb, thermal = infos()
    cameras.take_info("rgb", rgb)
    cameras.take_info("thermal", thermal)
    first = cameras.registration
    assert not cameras.take_info("rgb", infos()[0]) and cameras.registration is first
    zoomed = camera_info(PLUMB_BOB, (240, 320), 280.0, "rgb_optical")
    assert cameras.take_info("rgb", zoomed) and cameras.registration is not first
    assert cameras.registration.rig.rgb.k[0, 0] == 280.0


def test_a_calibration_of_no_use_is_named_and_the_last_good_one_stays():
    cameras = known()
    rgb, thermal = infos()
    cameras.take_info("thermal", thermal)
    uncalibrated = infos(k=[0.0] * 9)[0]
    assert cameras.take_info("rgb", uncalibrated) and cameras.registration is None
    assert cameras.is_refused
    assert cameras.trouble.startswith("the CameraInfo of the RGB camera is of no use: k is all z")
    assert cameras.trouble.endswith("(/rgb/camera_info)")
    cameras.take_info("rgb", rgb)
    good = cameras.registration
    assert good is not None and not cameras.trouble
    cameras.take_info("rgb", uncalibrated)
    assert cameras.registration is good and "all zeros" in cameras.trouble
    cameras.take_info("rgb", rgb)
    assert not cameras.trouble


def test_cameras_that_look_apart_are_named():
    cameras = known((turned(0, 90, 0), POSE[1]))
    for camera, info in zip(("rgb", "thermal"), infos(), strict=True):
        cameras.take_info(camera, info)
    assert cameras.registration is None
    assert "sees no part of the RGB image" in cameras.trouble


def test_tf_through_a_chain_in_any_order():
    """base -> mast -> rgb_link -> rgb_optical, and mast -> flir_optical."""
    r, t = turned(1, -2, 3), [0.1, -0.02, 0.03]
    to_optical = turned(-90, 0, 0) @ turned(0, 90, 0)
    mast = transform("base", "mast", turned(0, 0, 30), [0.3, 0.0, 1.2])
    link = transform("mast", "rgb_link", turned(0, 5, 0), [0.0, 0.2, 0.0])
    optical = transform("rgb_link", "rgb_optical", to_optical, [0.0, 0.0, 0.01])
    # Where the thermal camera is so that it sits at r, t in the RGB camera's frame.
    in_mast_r = turned(0, 5, 0) @ to_optical @ r
    in_mast_t = turned(0, 5, 0) @ (to_optical @ t + [0.0, 0.0, 0.01]) + [0.0, 0.2, 0.0]
    flir = transform("mast", "/flir_optical", in_mast_r, in_mast_t)
    cameras = known(None)
    rgb, thermal = infos()
    assert cameras.needs_transform
    assert not cameras.take_transforms([flir, optical])
    cameras.take_info("rgb", rgb)
    cameras.take_info("thermal", thermal)
    assert "no transform from 'flir_optical' to 'rgb_optical' on /tf_static" in cameras.trouble
    assert not cameras.take_transforms([mast])
    assert cameras.take_transforms([link])
    assert cameras.registration.rig.rotation == pytest.approx(r, abs=1e-9)
    assert cameras.registration.rig.translation == pytest.approx(t, abs=1e-9)
    assert "apart by TF" in cameras.description and not cameras.needs_transform
    first = cameras.registration
    assert not cameras.take_transforms([mast, link]) and cameras.registration is first
    moved = transform("mast", "flir_optical", in_mast_r, in_mast_t + [0.0, 0.05, 0.0])
    assert cameras.take_transforms([moved]) and cameras.registration is not first


def test_a_tree_with_faults_ends():
    tree = TransformTree()
    empty = transform("a", "c", np.eye(3), [0, 0, 0])
    empty.transform.rotation.w = 0.0
    circle = [transform("a", "b", np.eye(3), [1, 0, 0]), transform("b", "a", np.eye(3), [1, 0, 0])]
    tree.take([empty, *circle])
    assert tree.between("c", "a") is None
    assert tree.between("d", "d")[1] == pytest.approx([0, 0, 0])


def test_the_transform_of_parameters():
    assert fixed_pose([0.0] * 3, [0.0] * 4) is None
    r, t = fixed_pose([0.1, 0.0, 0.2], [0.0] * 4)
    assert (r == np.eye(3)).all() and t == pytest.approx([0.1, 0.0, 0.2])
    r, _ = fixed_pose([0.0] * 3, [0.0, 0.0, 2**-0.5, 2**-0.5])
    assert r @ [1, 0, 0] == pytest.approx([0, 1, 0])


def test_another_plane():
    cameras = known()
    for camera, info in zip(("rgb", "thermal"), infos(), strict=True):
        cameras.take_info(camera, info)
    first = cameras.registration
    cameras.set_plane(10.0)
    assert cameras.registration is first
    cameras.set_plane(4.0)
    assert cameras.registration.plane_depth_m == 4.0


@pytest.mark.parametrize(
    ("topic", "beside", "rectified"),
    [
        ("/camera/color/image_raw", "/camera/color/camera_info", False),
        ("/flir/image_rect", "/flir/camera_info", True),
        ("/flir/image_rect_color/compressed", "/flir/camera_info", True),
        ("/rgb/image/compressed", "/rgb/camera_info", False),
        ("/flir/image_rect/compressedDepth", "/flir/camera_info", True),
        ("/directory/image", "/directory/camera_info", False),
    ],
)
def test_names_of_topics(topic, beside, rectified):
    assert camera_info_beside(topic) == beside
    assert is_rectified(topic) is rectified
