"""Serialised images against the serialisers of rclpy and rosbags."""

import dataclasses
import sys

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from mafs_ros.images.messages.cdr import (
    CdrError,
    header_stamp,
    read_image,
    with_stamp,
    write_image,
)

STORE = get_typestore(Stores.ROS2_HUMBLE)
IMAGE = "sensor_msgs/msg/Image"
PIXELS = np.arange(5 * 7 * 2, dtype=np.uint8)
# Texts of each length modulo 4: the numbers behind them are aligned.
TEXTS = ["", "a", "ab", "abc", "abcd", "kamera/grün"]


def serialised(frame_id="camera", encoding="mono16", *, little=True, step=14):
    """An Image by rosbags, which writes either byte order."""
    types = STORE.types
    stamp = types["builtin_interfaces/msg/Time"](sec=-3, nanosec=999_999_999)
    message = types[IMAGE](
        header=types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id),
        height=5,
        width=7,
        encoding=encoding,
        is_bigendian=int(not little),
        step=step,
        data=PIXELS,
    )
    return bytes(STORE.serialize_cdr(message, IMAGE, little_endian=little))


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("frame_id", TEXTS)
@pytest.mark.parametrize("encoding", TEXTS)
def test_read_image(frame_id, encoding, little):
    image = read_image(serialised(frame_id, encoding, little=little))
    assert (image.header.stamp.sec, image.header.stamp.nanosec) == (-3, 999_999_999)
    assert (image.header.frame_id, image.encoding) == (frame_id, encoding)
    assert (image.height, image.width, image.step) == (5, 7, 14)
    assert image.is_bigendian == (not little)
    assert image.data.readonly
    np.testing.assert_array_equal(np.frombuffer(image.data, np.uint8), PIXELS)


def test_pixels_are_not_copied():
    raw = serialised()
    whole = np.frombuffer(raw, np.uint8)
    assert np.shares_memory(whole, np.frombuffer(read_image(raw).data, np.uint8))


@pytest.mark.parametrize("frame_id", TEXTS)
@pytest.mark.parametrize("encoding", TEXTS)
def test_write_image(frame_id, encoding):
    serialization = pytest.importorskip("rclpy.serialization")
    messages = pytest.importorskip("sensor_msgs.msg")
    ours = write_image((-3, 999_999_999), frame_id, 5, 7, encoding, 14, memoryview(PIXELS))
    assert ours == serialised(frame_id, encoding, little=sys.byteorder == "little")
    theirs = serialization.deserialize_message(ours, messages.Image)
    assert (theirs.header.frame_id, theirs.encoding, theirs.step) == (frame_id, encoding, 14)
    assert bytes(theirs.data) == PIXELS.tobytes()


@pytest.mark.parametrize("little", [True, False])
def test_stamp(little):
    raw = serialised(little=little)
    assert header_stamp(raw) == -3 * 10**9 + 999_999_999
    moved = with_stamp(raw, 5_000_000_007)
    assert header_stamp(moved) == 5_000_000_007
    before, after = read_image(raw), read_image(moved)
    assert dataclasses.replace(after, header=before.header) == before


@pytest.mark.parametrize("little", [True, False])
def test_cut_short_at_every_byte(little):
    raw = serialised(little=little)
    for length in range(len(raw)):
        with pytest.raises(CdrError, match="got"):
            read_image(raw[:length])


def test_other_encapsulations():
    raw = serialised()
    assert read_image(b"\x00\x07" + raw[2:]) == read_image(raw)  # plain CDR, version 2
    with pytest.raises(CdrError, match="got a message in encapsulation 0003, expected plain CDR"):
        read_image(b"\x00\x03" + raw[2:])
