"""Every encoding in and out, and every way in which a message can be wrong."""

import dataclasses
import struct
import sys
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mafs_ros import images
from mafs_ros.cdr import read_image
from mafs_ros.images import ImageError, rgb_from_message, serialised_image, thermal_from_message

sensor_msgs = pytest.importorskip("sensor_msgs.msg", reason="needs the ROS message packages")
Header = pytest.importorskip("std_msgs.msg").Header

HEIGHT, WIDTH = 24, 36
PADDINGS = [0, 1, 7, 64]


def raw(array, encoding, padding=0, big_endian=False, last_row_padded=True):
    """A sensor_msgs/Image of `array`, its rows `padding` bytes longer than needed."""
    height, width = array.shape[:2]
    stored = array.astype(array.dtype.newbyteorder(">" if big_endian else "<"))
    row_bytes = stored[0].nbytes
    rows = np.full((height, row_bytes + padding), 0xA5, np.uint8)
    rows[:, :row_bytes] = np.frombuffer(stored.tobytes(), np.uint8).reshape(height, row_bytes)
    data = rows.tobytes()
    msg = sensor_msgs.Image(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=row_bytes + padding,
    )
    msg.data.frombytes(data if last_row_padded else data[: len(data) - padding])
    return msg


def compressed(data, description):
    msg = sensor_msgs.CompressedImage(format=description)
    msg.data.frombytes(bytes(data))
    return msg


def encoded(array, suffix, description, *options):
    done, data = cv2.imencode(suffix, array, options)
    assert done
    return compressed(data, description)


def picture(seed=0):
    """A smooth RGB image: survives JPEG and demosaicing within a few grey levels."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (3, 4, 3)).astype(np.uint8)
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def noise(dtype, seed=0):
    random = np.random.default_rng(seed)
    if dtype == np.float32:
        return random.uniform(200, 400, (HEIGHT, WIDTH)).astype(np.float32)
    return random.integers(0, np.iinfo(dtype).max + 1, (HEIGHT, WIDTH)).astype(dtype)


def bayer(rgb, pattern):
    """What a sensor under this colour filter sees: pattern 'rggb' is read row by row."""
    mosaic = np.zeros(rgb.shape[:2], np.uint8)
    for i, colour in enumerate(pattern):
        y, x = divmod(i, 2)
        mosaic[y::2, x::2] = rgb[y::2, x::2, "rgb".index(colour)]
    return mosaic


def yuv422(rgb, order):
    """ITU-R BT.601 studio range, as cameras send it; order: of the bytes of two pixels."""
    red, green, blue = (rgb[..., i].astype(float) / 255 for i in range(3))
    planes = {
        "y": 16 + 65.481 * red + 128.553 * green + 24.966 * blue,
        "u": 128 - 37.797 * red - 74.203 * green + 112.0 * blue,
        "v": 128 + 112.0 * red - 93.786 * green - 18.214 * blue,
    }
    packed = np.zeros((*rgb.shape[:2], 2), np.uint8)
    for i, name in enumerate(order):
        plane = planes[name].round().clip(0, 255)
        if name == "y":
            packed[:, i // 2 :: 2, i % 2] = plane[:, i // 2 :: 2]
        else:
            packed[:, i // 2 :: 2, i % 2] = (plane[:, 0::2] + plane[:, 1::2]) / 2
    return packed


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
@pytest.mark.parametrize(("encoding", "dtype"), images.THERMAL_ENCODINGS.items())
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
    for encoding, dtype in images.THERMAL_ENCODINGS.items():
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


def both_raise(msg, match):
    for convert in (rgb_from_message, thermal_from_message):
        with pytest.raises(ImageError, match=match):
            convert(msg)


@pytest.mark.parametrize("missing", [1, 40, HEIGHT * WIDTH])
def test_data_too_short(missing):
    msg = raw(noise(np.uint8), "mono8")
    del msg.data[len(msg.data) - missing :]
    both_raise(
        msg,
        rf"got {HEIGHT * WIDTH - missing} bytes of data, expected {HEIGHT * WIDTH} "
        rf"for {WIDTH}x{HEIGHT} mono8 with step {WIDTH}",
    )


@pytest.mark.parametrize("encoding", [*images.RGB_ENCODINGS, *images.THERMAL_ENCODINGS])
def test_no_encoding_is_read_beyond_its_data(encoding):
    convert = rgb_from_message if encoding in images.RGB_ENCODINGS else thermal_from_message
    channels, _ = images.RGB_ENCODINGS.get(encoding, (0, 0))
    row = WIDTH * (channels or np.dtype(images.THERMAL_ENCODINGS.get(encoding)).itemsize)
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
    images._cv_bridge.cache_clear()
    msg = sensor_msgs.Image(height=2, width=2, encoding=encoding, step=6)
    both_raise(msg, f"got encoding '{encoding}', expected one of .*mono8.*or install cv_bridge")
    images._cv_bridge.cache_clear()


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
    images._cv_bridge.cache_clear()
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
    images._cv_bridge.cache_clear()


# Compressed


@pytest.mark.parametrize(
    "description",
    [
        "jpeg",
        "jpg",
        "",
        "rgb8; jpeg compressed bgr8",
        "bgr8; jpeg compressed bgr8",
        "bayer_rggb8; jpeg compressed bgr8",
        "rgb8;jpeg compressed ",
    ],
)
def test_jpeg(description):
    rgb = picture()
    msg = encoded(rgb[..., ::-1], ".jpg", description, cv2.IMWRITE_JPEG_QUALITY, 95)
    assert np.abs(rgb_from_message(msg).astype(int) - rgb).mean() < 4


@pytest.mark.parametrize("description", ["png", "rgb8; png compressed bgr8", "bgr8; png"])
def test_png(description):
    msg = encoded(picture()[..., ::-1], ".png", description)
    np.testing.assert_array_equal(rgb_from_message(msg), picture())


def test_channels_swapped_before_encoding():
    msg = encoded(picture(), ".png", "bgr8; png compressed rgb8")
    np.testing.assert_array_equal(rgb_from_message(msg), picture())


def test_png_of_16_bit_colour_becomes_8_bit():
    wide = picture()[..., ::-1].astype(np.uint16) * 257
    result = rgb_from_message(encoded(wide, ".png", "rgb16; png compressed bgr16"))
    np.testing.assert_array_equal(result, picture())


def test_grey_compressed_rgb_camera():
    grey = picture()[..., 0]
    result = rgb_from_message(encoded(grey, ".png", "mono8; png compressed "))
    np.testing.assert_array_equal(result, np.dstack([grey] * 3))
    result = rgb_from_message(encoded(grey, ".jpg", "mono8; jpeg compressed mono8"))
    assert np.abs(result[..., 0].astype(int) - grey).mean() < 4


def test_exif_orientation_turns_nothing():
    turn_by_90 = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + turn_by_90 + bytes(4)
    data = encoded(picture()[..., 0], ".jpg", "").data.tobytes()
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[0] == WIDTH
    assert rgb_from_message(compressed(data, "jpeg")).shape == (HEIGHT, WIDTH, 3)
    assert thermal_from_message(compressed(data, "jpeg")).shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("description", ["png", "{}; png compressed ", "{};png"])
def test_thermal_png_keeps_its_bits(dtype, description):
    array = noise(dtype)
    msg = encoded(array, ".png", description.format("mono8" if dtype == np.uint8 else "16UC1"))
    result = thermal_from_message(msg)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize("colour", [False, True])
def test_thermal_jpeg_of_8_bit(colour):
    grey = picture()[..., 0]
    msg = encoded(np.dstack([grey] * 3) if colour else grey, ".jpg", "mono8; jpeg compressed ")
    result = thermal_from_message(msg)
    assert result.shape == grey.shape
    assert np.abs(result.astype(int) - grey).mean() < 4


@pytest.mark.parametrize("source", ["mono16", "16UC1", "16SC1", "32FC1"])
def test_jpeg_of_16_bit_thermal_is_refused(source):
    msg = encoded(noise(np.uint8), ".jpg", f"{source}; jpeg compressed mono8")
    bits = 32 if "32" in source else 16
    with pytest.raises(
        ImageError,
        match=f"JPEG that keeps 8 of the {bits} bits of a {source} "
        "thermal image, expected a 16-bit PNG: set .*to png",
    ):
        thermal_from_message(msg)


def test_png_that_lost_its_bits_is_refused():
    """cv_bridge writes 8 bits under a 16-bit name (vision_opencv#383)."""
    with pytest.raises(ImageError, match="PNG that keeps 8 of the 16 bits"):
        thermal_from_message(encoded(noise(np.uint8), ".png", "mono16; png compressed "))


def test_thermal_png_of_16_bit_colour():
    with pytest.raises(ImageError, match="3 channels of 16 bits, expected a grey"):
        thermal_from_message(encoded(noise(np.uint16)[..., None].repeat(3, 2), ".png", "png"))


# Compressed messages that are wrong


def test_compressed_depth_is_refused():
    msg = encoded(noise(np.uint16), ".png", "16UC1; compressedDepth png")
    both_raise(msg, "got format '16UC1; compressedDepth png', expected JPEG or PNG: subscribe")


@pytest.mark.parametrize("data", [b"", b"\xff", b"GIF89a", b"II*\0" + bytes(50)])
def test_neither_jpeg_nor_png(data):
    both_raise(
        compressed(data, "tiff"),
        f"got {len(data)} bytes of format 'tiff' that are neither JPEG nor PNG",
    )


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_cut_short_anywhere(suffix, monkeypatch):
    whole = encoded(picture(), suffix, "").data.tobytes()
    assert rgb_from_message(compressed(whole, "")).shape == (HEIGHT, WIDTH, 3)
    for length in [*range(8, len(whole), 7), len(whole) - 1]:
        both_raise(compressed(whole[:length], ""), "got .*expected a whole one")
    # OpenCV before 4.11 decodes what there is and makes the rest grey: it must not be asked.
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("must not be decoded"))
    for length in range(8, len(whole) - 8, 7):
        both_raise(compressed(whole[:length], ""), "got .*expected a whole one")


def test_bytes_after_the_image_are_fine():
    """USB cameras send JPEG in buffers of fixed length."""
    for suffix in (".png", ".jpg"):
        data = encoded(picture(), suffix, "").data.tobytes()
        padded = rgb_from_message(compressed(data + bytes(500), ""))
        np.testing.assert_array_equal(padded, rgb_from_message(compressed(data, "")))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_damaged_bytes_never_do_worse_than_image_error(suffix, monkeypatch):
    monkeypatch.setattr(images, "MAX_COMPRESSED_PIXELS", 1 << 16)  # damaged sizes take long
    random = np.random.default_rng(5)
    whole = np.frombuffer(encoded(picture(), suffix, "").data, np.uint8)
    refused = 0
    for _ in range(300):
        damaged = whole.copy()
        damaged[random.integers(0, len(whole), 3)] = random.integers(0, 256, 3)
        for convert in (rgb_from_message, thermal_from_message):
            try:
                assert convert(compressed(damaged, "")).dtype in (np.uint8, np.uint16)
            except ImageError:
                refused += 1
    assert refused > 100


def bomb_png(width, height):
    """A small PNG that claims a size, of rows that are all zero."""

    def chunk(name, body):
        checksum = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + checksum

    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return b"\x89PNG\r\n\x1a\n" + size + rows + chunk(b"IEND", b"")


def resized_jpeg(width, height):
    data = bytearray(encoded(picture(), ".jpg", "").data)
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    "data", [bomb_png(60_000, 60_000), bomb_png(2**31 - 1, 1_000), resized_jpeg(65_000, 65_000)]
)
def test_bomb_is_not_decoded(data, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("must not be decoded"))
    both_raise(compressed(data, ""), "expected at most 33554432 pixels: it is not decoded")


@pytest.mark.parametrize("data", [bomb_png(0, 5), bomb_png(5, 0), resized_jpeg(5, 0)])
def test_compressed_zero_size(data):
    both_raise(compressed(data, ""), "expected at least 1x1")


# Messages out


def header():
    result = Header(frame_id="rgb_optical")
    result.stamp.sec, result.stamp.nanosec = 1_700_000_000, 123_456_789
    return result


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", *images.THERMAL_ENCODINGS])
@pytest.mark.parametrize("view", ["whole", "crop", "turned", "read_only", "big_endian"])
def test_serialised_image_round_trip(encoding, view):
    colour = encoding in ("rgb8", "bgr8")
    array = picture() if colour else noise(images.THERMAL_ENCODINGS[encoding])
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
