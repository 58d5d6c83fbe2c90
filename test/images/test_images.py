"""Every encoding in and out, and every way in which a message can be wrong."""

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from image_messages import (
    HEIGHT,
    PADDINGS,
    WIDTH,
    bayer,
    both_raise,
    encoded,
    noise,
    picture,
    raw,
    sensor_msgs,
    yuv422,
)

from mafs_ros.images.messages import decode, encodings
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.images.messages.pixels import ImageError

# Raw RGB


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("big_endian", [False, True])  # means nothing for 8 bit
@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("rgb8", (0, 1, 2)), ("bgr8", (2, 1, 0)), ("rgba8", (0, 1, 2, 0)), ("bgra8", (2, 1, 0, 0))],
)
def test_colour(encoding, channels, padding, big_endian):
    rgb = picture()
    msg = raw(np.ascontiguousarray(rgb[..., channels]), encoding, padding, big_endian)
    result = rgb_from_message(msg)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, rgb)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_rgb_camera(encoding, padding):
    grey = noise(np.uint8)
    result = rgb_from_message(raw(grey, encoding, padding))
    np.testing.assert_array_equal(result, np.dstack([grey] * 3))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer(pattern, padding):
    flat = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    flat[:] = 200, 120, 40
    result = rgb_from_message(raw(bayer(flat, pattern), f"bayer_{pattern}8", padding))
    np.testing.assert_array_equal(result, flat)
    smooth = picture()
    result = rgb_from_message(raw(bayer(smooth, pattern), f"bayer_{pattern}8", padding))
    assert np.abs(result[2:-2, 2:-2].astype(int) - smooth[2:-2, 2:-2]).mean() < 6


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    ("encoding", "order"),
    [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")],
)
def test_yuv422(encoding, order, padding):
    rgb = picture()
    result = rgb_from_message(raw(yuv422(rgb, order), encoding, padding))
    assert np.abs(result.astype(int) - rgb).mean() < 3
    assert np.abs(result.astype(int).mean((0, 1)) - rgb.mean((0, 1))).max() < 1


def test_yuv422_of_odd_width():
    msg = raw(np.zeros((HEIGHT, 5, 2), np.uint8), "yuyv")
    with pytest.raises(ImageError, match="got a width of 5 pixels, expected an even one"):
        rgb_from_message(msg)


# Raw thermal


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize(("encoding", "dtype"), encodings.THERMAL_ENCODINGS.items())
def test_thermal(encoding, dtype, padding, big_endian):
    array = noise(dtype)
    result = thermal_from_message(raw(array, encoding, padding, big_endian))
    assert result.dtype == np.dtype(dtype)
    assert result.dtype.isnative
    assert result.flags.c_contiguous
    assert result.flags.aligned
    np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "8UC3"])
def test_grey_thermal_image_in_colour_channels(encoding):
    grey = noise(np.uint8)
    channels = 4 if encoding.endswith("a8") else 3
    array = np.dstack([grey] * channels)
    array[0, :3] = 0  # a crosshair of three coloured pixels
    array[0, :3, 1] = 255
    result = thermal_from_message(raw(array, encoding))
    np.testing.assert_array_equal(result[1:], grey[1:])


def test_grey_thermal_image_in_yuv():
    grey = noise(np.uint8)
    packed = yuv422(np.dstack([grey] * 3), "yuyv")
    result = thermal_from_message(raw(packed, "yuyv"))
    assert np.abs(result.astype(int) - grey).max() <= 2


def test_false_colours_are_no_temperatures():
    palette = cv2.applyColorMap(noise(np.uint8), cv2.COLORMAP_INFERNO)
    with pytest.raises(ImageError, match="false colours.*white-hot"):
        thermal_from_message(raw(palette, "bgr8"))
    with pytest.raises(ImageError, match="false colours.*white-hot"):
        thermal_from_message(encoded(palette, ".png", "png"))


# No copy where none is needed, no reading beyond


def test_unpadded_images_are_not_copied():
    msg = raw(picture(), "rgb8")
    assert np.shares_memory(rgb_from_message(msg), np.frombuffer(msg.data, np.uint8))
    for encoding, dtype in encodings.THERMAL_ENCODINGS.items():
        msg = raw(noise(dtype), encoding)
        assert np.shares_memory(thermal_from_message(msg), np.frombuffer(msg.data, np.uint8))


def test_messages_of_a_bag_reader():
    """rosbags gives the data as a read-only array, anywhere in the file."""
    thermal = noise(np.uint16)
    for shift in range(4):
        data = np.frombuffer(b"x" * shift + thermal.tobytes(), np.uint8)[shift:]
        msg = SimpleNamespace(
            height=HEIGHT, width=WIDTH, encoding="16UC1", is_bigendian=0, step=2 * WIDTH, data=data
        )
        result = thermal_from_message(msg)
        np.testing.assert_array_equal(result, thermal)
        assert result.flags.aligned
    _, png = cv2.imencode(".png", thermal)
    png.flags.writeable = False
    msg = SimpleNamespace(format="16UC1; png compressed ", data=png.reshape(-1))
    np.testing.assert_array_equal(thermal_from_message(msg), thermal)


@pytest.mark.parametrize("padding", PADDINGS)
def test_padding_of_the_last_row_may_be_missing(padding):
    rgb, thermal = picture(), noise(np.uint16)
    msg = raw(rgb, "rgb8", padding, last_row_padded=False)
    np.testing.assert_array_equal(rgb_from_message(msg), rgb)
    msg = raw(thermal, "mono16", padding, big_endian=True, last_row_padded=False)
    np.testing.assert_array_equal(thermal_from_message(msg), thermal)


def test_excess_data_is_fine():
    msg = raw(picture(), "rgb8", 8)
    msg.data.frombytes(b"more" * 1000)
    np.testing.assert_array_equal(rgb_from_message(msg), picture())


# Raw messages that are wrong


@pytest.mark.parametrize("missing", [1, 40, HEIGHT * WIDTH])
def test_data_too_short(missing):
    msg = raw(noise(np.uint8), "mono8")
    del msg.data[len(msg.data) - missing :]
    both_raise(
        msg,
        rf"got {HEIGHT * WIDTH - missing} bytes of data, expected {HEIGHT * WIDTH} "
        rf"for {WIDTH}x{HEIGHT} mono8 with step {WIDTH}",
    )


@pytest.mark.parametrize("encoding", [*encodings.RGB_ENCODINGS, *encodings.THERMAL_ENCODINGS])
def test_no_encoding_is_read_beyond_its_data(encoding):
    convert = rgb_from_message if encoding in encodings.RGB_ENCODINGS else thermal_from_message
    channels, _ = encodings.RGB_ENCODINGS.get(encoding, (0, 0))
    row = WIDTH * (channels or np.dtype(encodings.THERMAL_ENCODINGS.get(encoding)).itemsize)
    msg = sensor_msgs.Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=row)
    msg.data.frombytes(bytes(HEIGHT * row - 1))
    with pytest.raises(ImageError, match=f"got {HEIGHT * row - 1} bytes.*expected {HEIGHT * row}"):
        convert(msg)
    msg.data.append(0)
    assert convert(msg).shape[:2] == (HEIGHT, WIDTH)


@pytest.mark.parametrize(("height", "width"), [(0, 0), (0, 5), (5, 0)])
def test_zero_size(height, width):
    msg = sensor_msgs.Image(height=height, width=width, encoding="mono8", step=width)
    both_raise(msg, f"got an image of {width}x{height} pixels, expected at least 1x1")


@pytest.mark.parametrize("step", [0, WIDTH - 1])
def test_step_too_small(step):
    msg = raw(noise(np.uint8), "mono8")
    msg.step = step
    both_raise(msg, f"got step {step}, expected at least {WIDTH} bytes")


def test_largest_claims():
    msg = sensor_msgs.Image(height=2**32 - 1, width=2**32 - 1, encoding="rgb8", step=2**32 - 1)
    both_raise(msg, "expected at least")
    msg = sensor_msgs.Image(height=2**32 - 1, width=1, encoding="mono8", step=2**32 - 1)
    both_raise(msg, "got 0 bytes of data, expected 1844")


def test_one_pixel():
    assert rgb_from_message(raw(np.full((1, 1, 3), 7, np.uint8), "rgb8")).tolist() == [[[7, 7, 7]]]
    assert thermal_from_message(raw(np.full((1, 1), 7, np.uint16), "mono16")).tolist() == [[7]]


@pytest.mark.parametrize("encoding", ["", "nonsense", "rgb16", "32FC4", "RGB8", "nv21", "8UC2"])
def test_unknown_encoding(encoding, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    decode._cv_bridge.cache_clear()
    msg = sensor_msgs.Image(height=2, width=2, encoding=encoding, step=6)
    both_raise(msg, f"got encoding '{encoding}', expected one of .*mono8.*or install cv_bridge")
    decode._cv_bridge.cache_clear()


def test_swapped_topics_are_recognised():
    for encoding in ("mono16", "16UC1", "32FC1"):
        with pytest.raises(ImageError, match=f"got encoding {encoding} .*topics swapped"):
            rgb_from_message(raw(noise(np.uint16), encoding))
    with pytest.raises(ImageError, match="16-bit grey PNG.*topics swapped"):
        rgb_from_message(encoded(noise(np.uint16), ".png", "mono16; png compressed "))


def test_channels_without_order():
    with pytest.raises(ImageError, match="8UC3 does not say the order"):
        rgb_from_message(raw(picture(), "8UC3"))


class FakeBridge:
    """Stands in for cv_bridge.CvBridge, which no Python package index has."""

    asked: list = []

    def imgmsg_to_cv2(self, msg, desired_encoding):
        self.asked.append((msg.encoding, desired_encoding))
        if msg.encoding == "rgb16":
            return np.full((msg.height, msg.width, 3), 9, np.uint8)
        if msg.encoding == "16SC1":
            return np.zeros((msg.height, msg.width), np.int16)
        raise KeyError(msg.encoding)


def test_other_encodings_go_through_cv_bridge(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", SimpleNamespace(CvBridge=FakeBridge))
    decode._cv_bridge.cache_clear()
    wide = raw(np.zeros((2, 3, 3), np.uint16), "rgb16")
    assert rgb_from_message(wide).tolist() == np.full((2, 3, 3), 9).tolist()
    with pytest.raises(ImageError, match="got encoding 16SC1 .*expected one of mono8"):
        thermal_from_message(raw(np.zeros((2, 3), np.uint16), "16SC1"))
    both_raise(raw(noise(np.uint8), "new"), "cv_bridge cannot convert it .*'new'")
    assert FakeBridge.asked == [
        ("rgb16", "rgb8"),
        ("16SC1", "passthrough"),
        ("new", "rgb8"),
        ("new", "passthrough"),
    ]
    del wide.data[-1:]
    with pytest.raises(ImageError, match="got 35 bytes of data.*expected 36"):
        rgb_from_message(wide)
    assert len(FakeBridge.asked) == 4
    decode._cv_bridge.cache_clear()


# Compressed


# Compressed messages that are wrong


# Messages out
