"""Messages with images of every encoding, for the tests of their conversion."""

import cv2
import numpy as np
import pytest

from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.images.messages.pixels import ImageError

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


def compressed_message(data, description):
    msg = sensor_msgs.CompressedImage(format=description)
    msg.data.frombytes(bytes(data))
    return msg


def encoded(array, suffix, description, *options):
    done, data = cv2.imencode(suffix, array, options)
    assert done
    return compressed_message(data, description)


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


def both_raise(msg, match):
    for convert in (rgb_from_message, thermal_from_message):
        with pytest.raises(ImageError, match=match):
            convert(msg)
