"""Kinds of image files that cameras and programs write: read as stored, or refused by a line."""

from __future__ import annotations

import logging
import struct
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from made_files import PNG_START, chunk, counts, flir_jpeg, pillow, png, tiff
from PIL import Image

from mafs_ros.images.files.read import ImageFileError, read_rgb, read_thermal
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.images.messages.pixels import ImageError

READS_BIG_TIFF = cv2.imdecode(np.frombuffer(tiff(counts(), big=True), np.uint8), -1) is not None


@pytest.fixture
def file(tmp_path: Path):
    def write(data: bytes, name: str = "a.png") -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def message(data: bytes) -> SimpleNamespace:
    return SimpleNamespace(format="", data=data)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"\0\0\0\x18ftypheic", "is a HEIC picture, which is not read; save it as JPEG or PNG"),
        (b"PK\x03\x04", r"is an archive \(.npz or .zip\), .* arrays are read as .npy"),
        (b"FFF\0", "is a FLIR sequence, .* export its frames"),
        (b"v/1\x01", "is an OpenEXR picture"),
        (b"\x89HDF\r\n", "is an HDF5 or MATLAB file"),
        (b"20.1,20.2", "not an image, damaged or cut off"),
    ],
)
def test_files_of_other_kinds_are_named(file, start, words) -> None:
    for read in (read_rgb, read_thermal):
        with pytest.raises(ImageFileError, match=words):
            read(file(start + bytes(100)))


def test_a_false_colour_jpeg_of_dji_says_where_its_temperatures_are(file) -> None:
    colours = cv2.applyColorMap(counts(np.uint8, 1), cv2.COLORMAP_HOT)
    data = cv2.imencode(".jpg", colours)[1].tobytes()
    with pytest.raises(ImageFileError, match="false-colour") as caught:
        read_thermal(file(data, "a.jpg"))
    assert "DJI" not in str(caught.value)
    app3 = b"\xff\xe3" + struct.pack(">H", 2 + 400) + bytes(400)
    with pytest.raises(ImageFileError, match="false-colour.*DJI's Thermal SDK"):
        read_thermal(file(data[:2] + app3 + data[2:], "a.jpg"))


# TIFF


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_tiff_is_never_turned(file, endian, big, deflate, orientation, dtype) -> None:
    array = counts(dtype, 1)
    data = tiff(array, endian=endian, big=big, deflate=deflate, orientation=orientation)
    if big and not READS_BIG_TIFF:
        with pytest.raises(ImageFileError, match="is a BigTIFF that OpenCV .* save it as TIFF"):
            read_thermal(file(data, "a.TIF"))
        return
    thermal = read_thermal(file(data, "a.TIF"))
    assert thermal.dtype == dtype
    np.testing.assert_array_equal(thermal, array)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.float64])
def test_other_numbers_become_float32(file, dtype) -> None:
    array = counts(dtype, 1 if dtype == np.int8 else 100)
    thermal = read_thermal(file(tiff(array), "a.tif"))
    assert thermal.dtype == np.float32
    np.testing.assert_array_equal(thermal, array)


def test_numbers_that_float32_does_not_hold_are_refused(file) -> None:
    with pytest.raises(ImageFileError, match="int32 with values up to 1910000000, which float32"):
        read_thermal(file(tiff(counts(np.int32, 10_000_000)), "a.tif"))
    with pytest.raises(ImageFileError, match="float64 .*does not hold exactly; save kelvin"):
        read_thermal(file(tiff(counts(np.float64) * 1e300), "a.tif"))


@pytest.mark.parametrize("dtype", [np.uint32, np.float16, np.int64])
def test_a_tiff_that_opencv_cannot_read_names_its_type(file, capfd, dtype) -> None:
    with pytest.raises(ImageFileError, match=f"TIFF of {np.dtype(dtype).name}, .*save it as"):
        read_thermal(file(tiff(counts(dtype, 1)), "a.tif"))
    assert capfd.readouterr().err == ""


def test_a_decoder_that_takes_no_notice_of_the_type_is_noticed(file, monkeypatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: counts(np.uint8))
    with pytest.raises(ImageFileError, match="TIFF of int32, which this OpenCV .* as uint8"):
        read_thermal(file(tiff(counts(np.int32)), "a.tif"))


@pytest.mark.parametrize(
    ("dtype", "given"), [("int8", "uint8"), ("int16", "uint16"), ("int32", "float32")]
)
def test_a_decoder_that_names_another_type_of_the_same_bits(
    file, monkeypatch, dtype, given
) -> None:
    """As OpenCV 4.5, which ROS 2 Humble has."""
    array = -counts(dtype, 1)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: array.view(given))
    np.testing.assert_array_equal(read_thermal(file(tiff(array), "a.tif")), array)


def test_a_tiff_of_12_bits_is_not_shifted(file) -> None:
    with pytest.raises(ImageFileError, match="TIFF of uint12, which is not read as it is stored"):
        read_thermal(file(tiff(counts(), bits=12, raw=bytes(12 * 24)), "a.tif"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("extra", [0, 2])
def test_a_second_sample_is_not_dropped(file, dtype, extra) -> None:
    two = np.dstack([counts(dtype, 1)] * 2)
    with pytest.raises(ImageFileError, match="2 samples a pixel, expected 1 .*save the channel"):
        read_thermal(file(tiff(two, extra=extra), "a.tif"))


def test_colours_of_a_tiff_are_not_multiplied_by_alpha(file) -> None:
    grey = counts(np.uint8, 1)
    colours = np.dstack([grey, grey // 2, grey // 3, np.zeros_like(grey)])
    rgb = read_rgb(file(tiff(colours, extra=2), "a.tif"))
    np.testing.assert_array_equal(rgb, colours[:, :, :3])


def test_pages_are_noted_once_a_folder(file, caplog) -> None:
    paths = [file(tiff(counts(), pages=3), name) for name in ("a.tif", "b.tif")]
    with caplog.at_level(logging.WARNING):
        for path in paths:
            np.testing.assert_array_equal(read_thermal(path), counts())
        read_thermal(file(tiff(counts(), pages=2, subfile=1), "thumbnail.tif"))
    (record,) = caplog.records
    assert "a.tif: holds 3 pages, the first is taken" in record.getMessage()


def test_a_damaged_directory_is_a_damaged_image(file) -> None:
    whole = tiff(counts(), pages=2)
    endless = bytearray(whole)
    endless[-4:] = struct.pack("<I", 8 + 12 * 16 * 2)  # the last page names the first as next
    np.testing.assert_array_equal(read_thermal(file(bytes(endless), "a.tif")), counts())
    random = np.random.default_rng(3)
    for _ in range(200):
        damaged = bytearray(whole)
        for place in random.integers(2, len(whole), 4):
            damaged[place] = random.integers(256)
        try:
            read_thermal(file(bytes(damaged), "a.tif"))
        except ImageFileError as error:
            assert str(error).count("\n") == 0


# PNG


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_with_alpha_is_grey(file, dtype) -> None:
    array = counts(dtype, 1)
    data = png(np.dstack([array, array // 2]), 4)
    np.testing.assert_array_equal(read_thermal(file(data)), array)
    np.testing.assert_array_equal(thermal_from_message(message(data)), array)


def test_16_bit_grey_in_colours_is_grey_and_real_colours_are_refused(file) -> None:
    data = png(np.dstack([counts()] * 3), 2)
    np.testing.assert_array_equal(read_thermal(file(data)), counts())
    np.testing.assert_array_equal(thermal_from_message(message(data)), counts())
    data = png(np.dstack([counts(), counts(), counts() + 1]), 2)
    with pytest.raises(ImageFileError, match="uint16 with three different channels"):
        read_thermal(file(data))
    with pytest.raises(ImageError, match="3 different channels of 16 bits"):
        thermal_from_message(message(data))


@pytest.mark.parametrize("alpha", [False, True])
def test_16_bit_colours_are_the_same_in_files_and_messages(file, alpha) -> None:
    random = np.random.default_rng(0)
    array = random.integers(0, 65536, (12, 16, 4 if alpha else 3), np.uint16)
    data = png(array, 6 if alpha else 2)
    expected = (array[:, :, :3] >> 8).astype(np.uint8)
    np.testing.assert_array_equal(read_rgb(file(data)), expected)
    np.testing.assert_array_equal(rgb_from_message(message(data)), expected)
    with pytest.raises(ImageFileError, match="uint16, expected 8 bit per channel; .*swapped"):
        read_rgb(file(png(counts(), 0)))


def test_a_white_hot_palette_gives_its_greys_and_a_false_colour_one_is_refused(file) -> None:
    index = counts(np.uint8, 1) % 3
    grey = pillow(index, "PNG", palette=[0, 0, 0, 100, 100, 100, 200, 200, 200])
    np.testing.assert_array_equal(read_thermal(file(grey)), index * 100)
    np.testing.assert_array_equal(thermal_from_message(message(grey)), index * 100)
    iron = pillow(index, "PNG", palette=[0, 0, 0, 255, 0, 0, 0, 255, 0])
    with pytest.raises(ImageFileError, match=r"in colours \(67% .*false-colour"):
        read_thermal(file(iron))
    with pytest.raises(ImageError, match="false colours"):
        thermal_from_message(message(iron))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_no_file_is_turned_by_exif(file, kind) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    data = pillow(np.dstack([counts(np.uint8, 1)] * 3), kind, exif=exif)
    assert read_rgb(file(data)).shape == (12, 16, 3)
    assert read_thermal(file(data)).shape == (12, 16)


def false_pngs() -> dict[str, bytes]:
    whole = png(counts(), 0)
    head, rest = whole[:33], whole[33:]
    huge = struct.pack(">IIBBBBB", 5000, 6000, 16, 0, 0, 0, 0)
    return {
        "text chunk": head + chunk(b"tEXt", b"x", length=2**31 - 1) + rest,
        "end": whole[:-12] + chunk(b"IEND", b"", length=2**32 - 1),
        "behind the data": head + chunk(b"IDAT", b"x" * 100, length=101) + chunk(b"IEND", b""),
        "no end": whole[:-12],
        "size": PNG_START + chunk(b"IHDR", huge) + rest,
    }


@pytest.mark.parametrize("name", list(false_pngs()))
def test_a_png_that_lies_is_refused_unread(file, monkeypatch, name) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("must not be decoded"))
    data = false_pngs()[name]
    start = time.thread_time()
    for convert in (rgb_from_message, thermal_from_message):
        with pytest.raises(ImageError, match="a whole one|are the RGB"):
            convert(message(data))
    with pytest.raises(ImageFileError, match="damaged or cut off"):
        read_thermal(file(data))
    assert time.thread_time() - start < 0.05


def test_chunks_of_every_kind_are_fine(file) -> None:
    data = png(counts(), 0, before=chunk(b"tEXt", b"a\0b") + chunk(b"pHYs", bytes(9)))
    np.testing.assert_array_equal(thermal_from_message(message(data + bytes(50))), counts())
    black = png(np.zeros((2000, 2000), np.uint16), 0)  # as small as zlib makes it
    assert thermal_from_message(message(black)).shape == (2000, 2000)


# FLIR


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("stored", ["raw", "png"])
def test_counts_of_a_radiometric_jpeg(file, parts, stored) -> None:
    picture = np.zeros((24, 32, 3), np.uint8)
    picture[:, :16, 0] = 200  # false colours
    raw = counts().tobytes() if stored == "raw" else png(counts().byteswap(), 0)
    path = file(flir_jpeg(picture, raw, (16, 12), parts), "a.jpg")
    np.testing.assert_array_equal(read_thermal(path), counts())
    assert read_rgb(path).shape == (24, 32, 3)


def test_counts_that_cannot_be_read_say_what_to_do(file) -> None:
    picture = np.zeros((24, 32, 3), np.uint8)
    with pytest.raises(
        ImageFileError, match="FLIR radiometric JPEG .*copy it from the camera again"
    ):
        read_thermal(file(flir_jpeg(picture, bytes(10), (16, 12)), "a.jpg"))


# NumPy


@pytest.mark.parametrize("array", [counts(), counts(np.float64, 1), counts(">i2"), counts()[None]])
def test_npy(tmp_path, array) -> None:
    np.save(tmp_path / "a.npy", array)
    thermal = read_thermal(tmp_path / "a.npy")
    np.testing.assert_array_equal(thermal, array.reshape(12, 16))


def test_npy_that_is_no_thermal_image(tmp_path) -> None:
    for array, text in (
        (np.zeros((3, 4, 5)), r"array \[3, 4, 5\], expected one image"),
        (np.zeros((3, 4), complex), "thermal image of type complex128"),
        (np.array([[None]]), "not a whole .npy array of numbers"),
    ):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(ImageFileError, match=text):
            read_thermal(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:50])
    with pytest.raises(ImageFileError, match="not a whole .npy array"):
        read_thermal(tmp_path / "a.npy")
