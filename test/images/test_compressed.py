"""PNG and JPEG in messages: what they give, and every way in which they can be wrong."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from image_messages import HEIGHT, WIDTH, both_raise, compressed_message, encoded, noise, picture

from mafs_ros.images.messages import compressed
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.images.messages.pixels import ImageError


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
    assert rgb_from_message(compressed_message(data, "jpeg")).shape == (HEIGHT, WIDTH, 3)
    assert thermal_from_message(compressed_message(data, "jpeg")).shape == (HEIGHT, WIDTH)


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
    array = noise(np.uint16)
    grey = thermal_from_message(encoded(array[..., None].repeat(3, 2), ".png", "png"))
    np.testing.assert_array_equal(grey, array)
    with pytest.raises(ImageError, match="3 different channels of 16 bits, expected a grey"):
        thermal_from_message(encoded(np.dstack([array, array, array // 2]), ".png", "png"))


def test_compressed_depth_is_refused():
    msg = encoded(noise(np.uint16), ".png", "16UC1; compressedDepth png")
    both_raise(msg, "got format '16UC1; compressedDepth png', expected JPEG or PNG: subscribe")


@pytest.mark.parametrize("data", [b"", b"\xff", b"GIF89a"])
def test_neither_jpeg_nor_png(data):
    both_raise(
        compressed_message(data, "tiff"),
        f"got {len(data)} bytes of format 'tiff' that are neither JPEG nor PNG",
    )


def test_a_tiff_without_a_directory_is_cut_short():
    both_raise(compressed_message(b"II*\0" + bytes(50), "tiff"), "got 54 bytes of a TIFF")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_cut_short_anywhere(suffix, monkeypatch):
    whole = encoded(picture(), suffix, "").data.tobytes()
    assert rgb_from_message(compressed_message(whole, "")).shape == (HEIGHT, WIDTH, 3)
    for length in [*range(8, len(whole), 7), len(whole) - 1]:
        both_raise(compressed_message(whole[:length], ""), "got .*expected a whole one")
    # OpenCV before 4.11 decodes what there is and makes the rest grey: it must not be asked.
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("must not be decoded"))
    for length in range(8, len(whole) - 8, 7):
        both_raise(compressed_message(whole[:length], ""), "got .*expected a whole one")


def test_bytes_after_the_image_are_fine():
    """USB cameras send JPEG in buffers of fixed length."""
    for suffix in (".png", ".jpg"):
        data = encoded(picture(), suffix, "").data.tobytes()
        padded = rgb_from_message(compressed_message(data + bytes(500), ""))
        np.testing.assert_array_equal(padded, rgb_from_message(compressed_message(data, "")))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_damaged_bytes_never_do_worse_than_image_error(suffix, monkeypatch):
    monkeypatch.setattr(compressed, "MAX_COMPRESSED_PIXELS", 1 << 16)  # damaged sizes take long
    random = np.random.default_rng(5)
    whole = np.frombuffer(encoded(picture(), suffix, "").data, np.uint8)
    refused = 0
    for _ in range(300):
        damaged = whole.copy()
        damaged[random.integers(0, len(whole), 3)] = random.integers(0, 256, 3)
        for convert in (rgb_from_message, thermal_from_message):
            try:
                assert convert(compressed_message(damaged, "")).dtype in (np.uint8, np.uint16)
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
    both_raise(compressed_message(data, ""), "expected at most 33554432 pixels: it is not decoded")


@pytest.mark.parametrize("data", [bomb_png(0, 5), bomb_png(5, 0), resized_jpeg(5, 0)])
def test_compressed_zero_size(data):
    both_raise(compressed_message(data, ""), "expected at least 1x1")
