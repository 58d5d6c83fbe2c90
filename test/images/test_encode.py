"""Messages out."""

import dataclasses
import sys

import cv2
import numpy as np
import pytest
from image_messages import (
    HEIGHT,
    WIDTH,
    Header,
    noise,
    picture,
    sensor_msgs,
)

from mafs_ros.images.messages import encodings
from mafs_ros.images.messages.cdr import header_frame, header_stamp, read_image, with_stamp
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.images.messages.encode import serialised_compressed, serialised_image
from mafs_ros.images.messages.pixels import ImageError


def header():
    result = Header(frame_id="rgb_optical")
    result.stamp.sec, result.stamp.nanosec = 1_700_000_000, 123_456_789
    return result


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", *encodings.THERMAL_ENCODINGS])
@pytest.mark.parametrize("view", ["whole", "crop", "turned", "read_only", "big_endian"])
def test_serialised_image_round_trip(encoding, view):
    colour = encoding in ("rgb8", "bgr8")
    array = picture() if colour else noise(encodings.THERMAL_ENCODINGS[encoding])
    if view == "crop":
        array = array[3:-4, 5:-6]
    elif view == "turned":
        array = array[::-1].swapaxes(0, 1)
    elif view == "read_only":
        array.flags.writeable = False
    elif view == "big_endian":
        array = array.astype(array.dtype.newbyteorder(">"))
    msg = read_image(serialised_image(array, encoding, header()))
    assert (msg.height, msg.width) == array.shape[:2]
    assert msg.encoding == encoding
    assert msg.step * msg.height == len(msg.data) == array.nbytes
    assert msg.is_bigendian == (sys.byteorder == "big")
    if colour:
        expected = array if encoding == "rgb8" else array[..., ::-1]
        np.testing.assert_array_equal(rgb_from_message(msg), expected)
    else:
        np.testing.assert_array_equal(thermal_from_message(msg), array)


def test_serialised_image_is_what_ros_makes_of_it():
    serialization = pytest.importorskip("rclpy.serialization")
    msg = serialization.deserialize_message(
        serialised_image(noise(np.uint16), "mono16", header()), sensor_msgs.Image
    )
    assert msg.header == header()
    assert (msg.height, msg.width, msg.encoding) == (HEIGHT, WIDTH, "mono16")
    np.testing.assert_array_equal(thermal_from_message(msg), noise(np.uint16))


@pytest.mark.parametrize(
    ("array", "encoding", "match"),
    [
        (np.zeros((2, 2), np.uint8), "rgb8", r"got uint8 \[2, 2\] for encoding rgb8"),
        (
            np.zeros((2, 2, 3), np.uint8),
            "mono8",
            r"got uint8 \[2, 2, 3\] .*expected uint8 \[H, W\]",
        ),
        (np.zeros((2, 2, 4), np.uint8), "rgb8", "got uint8"),
        (np.zeros((2, 2), np.int64), "mono8", r"got int64 .*expected uint8 \[H, W\]"),
        (np.zeros((2, 2), np.uint8), "mono16", "got uint8 .*expected uint16"),
        (np.zeros((0, 2), np.uint8), "mono8", r"got uint8 \[0, 2\]"),
        (np.zeros((2, 2), np.uint8), "rgba8", "got encoding rgba8, expected one of rgb8"),
    ],
)
def test_serialised_image_of_another_kind(array, encoding, match):
    with pytest.raises(ImageError, match=match):
        serialised_image(array, encoding, header())


def test_bag_messages_convert_too():
    """The classes of rosbags, written to CDR bytes and read back."""
    rosbags = pytest.importorskip("rosbags.typesys")
    store = rosbags.get_typestore(rosbags.Stores.ROS2_HUMBLE)
    name, compressed_name = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
    stamp = store.types["builtin_interfaces/msg/Time"](sec=1, nanosec=2)
    bag_header = store.types["std_msgs/msg/Header"](stamp=stamp, frame_id="rgb")
    rgb = picture()
    msg = store.types[name](
        header=bag_header,
        height=HEIGHT,
        width=WIDTH,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * WIDTH,
        data=rgb.reshape(-1),
    )
    again = store.deserialize_cdr(store.serialize_cdr(msg, name), name)
    np.testing.assert_array_equal(rgb_from_message(again), rgb)
    out = read_image(serialised_image(rgb_from_message(again), "rgb8", again.header))
    assert (out.header.stamp.sec, out.header.stamp.nanosec, out.header.frame_id) == (1, 2, "rgb")
    png = cv2.imencode(".png", rgb[..., ::-1])[1].reshape(-1)
    msg = store.types[compressed_name](header=bag_header, format="png", data=png)
    again = store.deserialize_cdr(store.serialize_cdr(msg, compressed_name), compressed_name)
    np.testing.assert_array_equal(rgb_from_message(again), rgb)
    assert dataclasses.is_dataclass(again)


def test_compressed_images_are_what_image_transport_publishes():
    serialization = pytest.importorskip("rclpy.serialization")

    def decoded(array, encoding, quality=90):
        raw = serialised_compressed(array, encoding, header(), quality)
        msg = serialization.deserialize_message(raw, sensor_msgs.CompressedImage)
        assert msg.header == header()
        assert (header_stamp(raw), header_frame(raw)) == (
            msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec,
            "rgb_optical",
        )
        return msg

    ids = noise(np.uint8)
    msg = decoded(ids, "mono8")
    assert msg.format == "mono8; png compressed "
    np.testing.assert_array_equal(thermal_from_message(msg), ids)
    smooth = cv2.GaussianBlur(picture(), (0, 0), 4)
    msg = decoded(smooth, "rgb8")
    assert msg.format == "rgb8; jpeg compressed bgr8"
    assert np.abs(rgb_from_message(msg).astype(int) - smooth).mean() < 4
    assert len(decoded(smooth, "rgb8", 20).data) < len(msg.data)
    with pytest.raises(ImageError, match="got encoding mono16 to compress, expected rgb8 or mono"):
        serialised_compressed(noise(np.uint16), "mono16", header(), 90)


def test_a_stamp_is_replaced_in_serialised_form():
    raw = serialised_image(noise(np.uint8), "mono8", header())
    other = read_image(with_stamp(raw, 5 * 10**9 + 7))
    assert (other.header.stamp.sec, other.header.stamp.nanosec) == (5, 7)
    assert other.header.frame_id == "rgb_optical" and other.data == read_image(raw).data
