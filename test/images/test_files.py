"""Image files and folders: what is read is what was written, and errors name the cause."""

import os
import re
import resource
import signal

import cv2
import numpy as np
import pytest

from mafs_ros.base.write import prepare_output_folder
from mafs_ros.images.files import folders, stamps
from mafs_ros.images.files.read import ImageFileError, read_rgb, read_thermal
from mafs_ros.images.files.write import write_png


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def smooth(rng, channels=3, dtype=np.uint8):
    noise = rng.random((48, 64, channels)).astype(np.float32)
    image = cv2.GaussianBlur(noise, (0, 0), 2)
    image = (image - image.min()) / np.ptp(image) * np.iinfo(dtype).max
    return image.astype(dtype).reshape((48, 64, channels) if channels > 1 else (48, 64))


def write_file(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def encoded(image, suffix=".png"):
    return cv2.imencode(suffix, image)[1].tobytes()


def test_rgb_png_round_trip_keeps_channel_order(tmp_path, rng):
    image = smooth(rng)
    write_png(tmp_path / "a.png", image)
    assert np.array_equal(read_rgb(tmp_path / "a.png"), image)
    red = np.zeros((4, 4, 3), np.uint8)
    red[:, :, 0] = 255
    write_png(tmp_path / "red.png", red)
    assert cv2.imread(str(tmp_path / "red.png"))[0, 0].tolist() == [0, 0, 255]  # OpenCV is BGR


def test_grey_visible_image_becomes_three_equal_channels(tmp_path, rng):
    grey = smooth(rng, 1)
    write_png(tmp_path / "a.png", grey)
    rgb = read_rgb(tmp_path / "a.png")
    assert rgb.shape == (48, 64, 3)
    assert all(np.array_equal(rgb[:, :, c], grey) for c in range(3))


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm"])
def test_thermal_keeps_16_bit(tmp_path, rng, suffix):
    counts = rng.integers(0, 65536, (48, 64), dtype=np.uint16)
    path = write_file(tmp_path / f"a{suffix}", encoded(counts, suffix))
    assert read_thermal(path).dtype == np.uint16
    assert np.array_equal(read_thermal(path), counts)


def test_thermal_float_tiff(tmp_path, rng):
    kelvin = (270 + 40 * rng.random((48, 64))).astype(np.float32)
    path = write_file(tmp_path / "a.tiff", encoded(kelvin, ".tiff"))
    assert np.array_equal(read_thermal(path), kelvin)


def test_thermal_saved_as_colour_jpeg_is_grey_again(tmp_path, rng):
    grey = smooth(rng, 1)
    path = write_file(tmp_path / "a.jpg", encoded(cv2.merge([grey] * 3), ".jpg"))
    thermal = read_thermal(path)
    assert thermal.shape == (48, 64)
    assert np.abs(thermal.astype(int) - grey).max() < 10


def test_false_colour_thermal_is_refused(tmp_path, rng):
    path = write_file(tmp_path / "a.png", encoded(smooth(rng)))
    with pytest.raises(ImageFileError, match="false-colour"):
        read_thermal(path)


def test_16_bit_grey_as_rgb_is_refused(tmp_path, rng):
    path = write_file(tmp_path / "a.png", encoded(smooth(rng, 1, np.uint16)))
    with pytest.raises(ImageFileError, match="got an RGB image of type uint16"):
        read_rgb(path)


@pytest.mark.parametrize("read", [read_rgb, read_thermal])
def test_bad_files_name_the_cause(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="nothing.png: there is no such file"):
        read(tmp_path / "nothing.png")
    with pytest.raises(ImageFileError, match="is a folder, expected an image file"):
        read(tmp_path)
    with pytest.raises(ImageFileError, match="the file is empty"):
        read(write_file(tmp_path / "empty.png", b""))
    with pytest.raises(ImageFileError, match=r"not an image, damaged or cut off \(5 bytes"):
        read(write_file(tmp_path / "text.png", b"hello"))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".bmp", ".pgm"])
@pytest.mark.parametrize("kept", [0.2, 0.9])
def test_a_cut_off_file_is_never_half_an_image(tmp_path, rng, suffix, kept):
    data = encoded(smooth(rng, 1), suffix)
    path = write_file(tmp_path / f"a{suffix}", data[: int(len(data) * kept)])
    with pytest.raises(ImageFileError, match="cut off"):
        read_thermal(path)


def folder_of(folder, names):
    for name in names:
        write_file(folder / name, encoded(np.zeros((2, 2), np.uint8)))
    return folder


def test_folders_pair_by_name_in_natural_order(tmp_path):
    rgb = folder_of(tmp_path / "rgb", ["f10.png", "f2.png", "f1.png"])
    thermal = folder_of(tmp_path / "thermal", ["f1.tiff", "f2.PNG", "f10.bmp"])
    write_file(rgb / "readme.txt", b"no image")
    write_file(rgb / ".f3.png", b"hidden")
    pairs = folders.pair_folders(rgb, thermal)
    assert [name for name, _, _ in pairs] == ["f1", "f2", "f10"]
    assert pairs[1][1:] == (rgb / "f2.png", thermal / "f2.PNG")


def test_unpaired_images_are_counted_and_named(tmp_path):
    rgb = folder_of(tmp_path / "rgb", [f"{i}.png" for i in range(10)])
    thermal = folder_of(tmp_path / "thermal", ["8.png", "9.png", "other.png"])
    with pytest.raises(ImageFileError) as error:
        folders.pair_folders(rgb, thermal)
    assert "8 of 10 images" in str(error.value)
    assert "0, 1, 2, 3, 4 and 3 more" in str(error.value)
    assert "1 of 3 images" in str(error.value)
    assert ": other" in str(error.value)


def test_bad_folders_name_the_cause(tmp_path):
    good = folder_of(tmp_path / "good", ["a.png"])
    with pytest.raises(FileNotFoundError, match="none: there is no such folder"):
        folders.pair_folders(good, tmp_path / "none")
    with pytest.raises(ImageFileError, match="is a file, expected a folder"):
        folders.pair_folders(good / "a.png", good)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageFileError, match="no image in this folder"):
        folders.pair_folders(good, tmp_path / "empty")
    twice = folder_of(tmp_path / "twice", ["a.png", "a.bmp"])
    with pytest.raises(ImageFileError, match="two images are named a"):
        folders.pair_folders(twice, good)


def test_stamps_are_read_exactly(tmp_path):
    path = write_file(
        tmp_path / "s.csv",
        b"name,rgb,thermal\nb,1700000000.123456789,1700000000.2\na,1,2.000000001\n",
    )
    assert stamps.read_stamps(path, ["a", "b"]) == [
        (1000000000, 2000000001),
        (1700000000123456789, 1700000000200000000),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Name, RGB, Thermal\n a , 1.5, 2 \n",
        "name;rgb;thermal\na.PNG;1.5;2\n\n",
        "thermal\tname\trgb\n2\ta.tiff\t1.5\n",
        "\ufeffname,rgb,thermal,note\r\n001_rgb,9,9,x\r\na,1.5,2,\r\n",
    ],
)
def test_stamps_as_other_programs_write_them(tmp_path, text):
    path = write_file(tmp_path / "s.csv", text.encode())
    assert stamps.read_stamps(path, ["a"]) == [(1_500_000_000, 2_000_000_000)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,rgb,thermal\na,1,1\na.png,2,2\n", "line 3: a has stamps already"),
        ("name;rgb;thermal\na;1,5;2\n", "got the stamp '1,5'"),
        ("frame,rgb\na,1\n", "lacks the column name, thermal"),
        ("name,rgb,thermal\na,1,x\n", "line 2: got the stamp 'x'"),
        ("name,rgb,thermal\na,1\n", "line 2: got the stamp None"),
        ("name,rgb,thermal\na,1,-1\n", "got the stamp '-1'"),
        ("name,rgb,thermal\na,1,nan\n", "got the stamp 'nan'"),
        ("name,rgb,thermal\na,1,1e12\n", "got the stamp '1e12'"),
        ("name,rgb,thermal\nb,1,1\n", "no stamps for 1 of 1 images: a"),
    ],
)
def test_bad_stamps_name_the_line(tmp_path, text, message):
    path = write_file(tmp_path / "s.csv", text.encode())
    with pytest.raises(ImageFileError, match=re.escape(message)):
        stamps.read_stamps(path, ["a"])


def test_output_folder_is_made_and_checked(tmp_path):
    made = prepare_output_folder(tmp_path / "a" / "b")
    assert made.is_dir()
    assert list(made.iterdir()) == []
    write_file(tmp_path / "file", b"")
    with pytest.raises(NotADirectoryError, match="is a file, expected an output folder"):
        prepare_output_folder(tmp_path / "file")
    with pytest.raises(OSError, match="cannot write into this folder: Not a directory"):
        prepare_output_folder(tmp_path / "file" / "below")


def test_unwritable_output_folder(tmp_path):
    # /proc refuses new files even to root, whom folder permissions do not stop.
    with pytest.raises(OSError, match="/proc: cannot write into this folder"):
        prepare_output_folder("/proc")
    with pytest.raises(OSError, match="/proc/a.png: cannot be written"):
        write_png("/proc/a.png", np.zeros((2, 2), np.uint8))


def test_a_full_disk_leaves_the_old_file_and_no_half(tmp_path, rng):
    """A limit on the file size fails the write in the middle, as a full disk does."""
    small, large = np.zeros((8, 8), np.uint8), rng.integers(0, 255, (512, 512), dtype=np.uint8)
    path = tmp_path / "a.png"
    write_png(path, small)
    old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, old_limit[1]))
        with pytest.raises(OSError, match=re.escape(f"{path}: cannot be written: File too large")):
            write_png(path, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert os.listdir(tmp_path) == ["a.png"]
    assert np.array_equal(read_thermal(path), small)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_write_png_refuses_other_types(tmp_path, image):
    with pytest.raises(ValueError, match="as PNG, expected uint8 or uint16"):
        write_png(tmp_path / "a.png", image)
    assert os.listdir(tmp_path) == []
