"""Which topics of a bag are the RGB and the thermal one."""

import re

import numpy as np
import pytest
from recordings import START, write_topics

from mafs_ros.bags import reader
from mafs_ros.bags.topics import choose_topics
from mafs_ros.bags.writer import BagWriter

U8, U16 = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint16)
RGB, F32 = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32)


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        (
            {"/cam0/image_raw": (RGB, "bgr8"), "/cam1/image_raw": (U16, "16UC1")},
            ("/cam0/image_raw", "/cam1/image_raw"),
        ),
        ({"/visible": (RGB, "rgb8"), "/ir": (U8, "mono8")}, ("/visible", "/ir")),
        (
            {"/rgbt_rig/rgb/image": (RGB, "rgb8"), "/rgbt_rig/thermal/image": (U8, "mono8")},
            ("/rgbt_rig/rgb/image", "/rgbt_rig/thermal/image"),
        ),
        (
            {
                "/camera/color/image_raw": (RGB, "rgb8"),
                "/camera/depth/image_rect_raw": (U16, "16UC1"),
                "/camera/aligned_depth_to_color/image_raw": (U16, "16UC1"),
                "/camera/infra1/image_rect_raw": (U8, "mono8"),
                "/flir_boson/image16": (U16, "mono16"),
            },
            ("/camera/color/image_raw", "/flir_boson/image16"),
        ),
        (
            {
                "/rgb/image": (RGB, "rgb8"),
                "/thermal/image": (F32, "32FC1"),
                "/mafs/fused/image": (RGB, "rgb8"),
                "/mafs/segmentation/labels": (U8, "mono8"),
                "/mafs/segmentation/overlay": (RGB, "rgb8"),
            },
            ("/rgb/image", "/thermal/image"),
        ),
        (
            {"/image_raw": (U8, "bayer_rggb8"), "/lepton": (U16, "mono16")},
            ("/image_raw", "/lepton"),
        ),
        (
            {
                "/image_raw": (RGB, "rgb8"),
                "/image_raw/compressed": (U8, "rgb8; jpeg compressed bgr8"),
                "/thermal": (U16, "mono16"),
                "/thermal/compressed": (U8, "16UC1; png compressed"),
            },
            ("/image_raw", "/thermal"),
        ),
        (
            {"/rgb/compressed": (U8, "jpeg"), "/thermal/compressed": (U8, "png")},
            ("/rgb/compressed", "/thermal/compressed"),
        ),
    ],
)
def test_guessed_topics(tmp_path, topics, expected):
    with reader.Bag(write_topics(tmp_path / "bag", topics)) as bag:
        rgb, thermal = choose_topics(bag)
        assert (rgb.name, thermal.name) == expected


def test_named_topics(tmp_path):
    path = write_topics(
        tmp_path / "bag",
        {
            "/left": (RGB, "rgb8"),
            "/right": (RGB, "rgb8"),
            "/a": (U8, "mono8"),
            "/b": (U8, "mono8"),
        },
    )
    with reader.Bag(path) as bag:
        rgb, thermal = choose_topics(bag, rgb="right", thermal="/b")  # slash or none
        assert (rgb.name, thermal.name) == ("/right", "/b")
        with pytest.raises(reader.BagError, match="as RGB and as thermal topic"):
            choose_topics(bag, rgb="/a", thermal="/a")


@pytest.mark.parametrize(
    ("topics", "names", "message"),
    [
        (
            {"/left": (RGB, "rgb8"), "/right": (RGB, "rgb8"), "/ir": (U8, "mono8")},
            {},
            "several topics may be the rgb one, name it; the image topics are: "
            "/ir (mono8 4x4, 1 messages), /left (rgb8 4x4, 1 messages), /right (rgb8 4x4, 1 "
            "messages)",
        ),
        (
            {"/rgb": (RGB, "rgb8"), "/grey": (U8, "mono8")},
            {},
            "no topic looks thermal, name it; the image topics are: /grey (mono8",
        ),
        (
            {"/rgb": (RGB, "rgb8"), "/ir": (U8, "mono8")},
            {"thermal": "/flir"},
            "no image topic /flir; the image topics are: /ir (mono8",
        ),
        (
            {"/rgb/compressed": (U8, "jpeg")},
            {},
            "no topic looks thermal, name it; the image topics are: /rgb/compressed (jpeg "
            "compressed, 1",
        ),
    ],
)
def test_wrong_topics_are_answered_with_those_that_exist(tmp_path, topics, names, message):
    path = write_topics(tmp_path / "bag", topics)
    with reader.Bag(path) as bag, pytest.raises(reader.BagError, match=re.escape(message)):
        choose_topics(bag, **names)


def test_bag_without_images(tmp_path):
    text = reader.TYPES.types["std_msgs/msg/String"](data="hello")
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_raw(
            "/chatter",
            "std_msgs/msg/String",
            bytes(reader.TYPES.serialize_cdr(text, "std_msgs/msg/String")),
            START,
        )
    with (
        reader.Bag(tmp_path / "bag") as bag,
        pytest.raises(reader.BagError, match="no image topics"),
    ):
        choose_topics(bag)
