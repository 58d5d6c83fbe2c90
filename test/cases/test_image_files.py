"""Image files, folders, labels and parameter files that were read wrongly once: what is right."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from mafs_ros.bags.reader import Bag
from mafs_ros.cli import main
from mafs_ros.evaluation.sampled_pairs import read_pairs
from mafs_ros.images.files.folders import pair_folders
from mafs_ros.images.files.read import ImageFileError, read_labels, read_rgb, read_thermal
from mafs_ros.images.files.stamps import read_stamps
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.images.messages.pixels import ImageError
from mafs_ros.parameters.file import read_settings
from training.data import __main__ as check
from training.data.datasets import open_dataset

COUNTS = (29122, 30915)  # in the thermal image that most cases were made of


@pytest.mark.parametrize("name", ["exif3.jpg", "exif6.jpg"])
def test_exif_orientation_turns_no_file(cases: Path, name: str) -> None:
    path = cases / "exif_orientation" / name
    rgb = read_rgb(path)
    with Image.open(path) as stored:  # Pillow leaves the pixels where they are
        assert np.abs(rgb.astype(int) - np.asarray(stored)).max() <= 2
    message = SimpleNamespace(format="jpeg", data=path.read_bytes())
    np.testing.assert_array_equal(rgb, rgb_from_message(message))


def test_tiff_orientation_turns_no_file(cases: Path) -> None:
    turned = read_thermal(cases / "exif_orientation" / "thermal_orientation3.tif")
    np.testing.assert_array_equal(turned, read_thermal(cases / "exif_orientation" / "thermal.png"))


def test_fuse_and_bag_make_turn_nothing(cases: Path, tmp_path: Path) -> None:
    case = cases / "exif_orientation"
    pair = [str(case / "exif6.jpg"), str(case / "thermal_orientation3.tif")]
    assert main(["fuse", *pair, "--out", str(tmp_path / "out"), "--backend", "torch"]) == 0
    assert read_rgb(tmp_path / "out/fused/exif6.png").shape == (120, 160, 3)
    for folder, source in zip(("rgb", "thermal"), map(Path, pair), strict=True):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"1{source.suffix}").write_bytes(source.read_bytes())
    given = ["--rgb", str(tmp_path / "rgb"), "--thermal", str(tmp_path / "thermal")]
    assert main(["bag", "make", *given, "--fps", "10", str(tmp_path / "bag")]) == 0
    with Bag(tmp_path / "bag") as bag:
        images = {one.topic: one.deserialize() for one in bag.messages(bag.image_topics)}
    np.testing.assert_array_equal(
        thermal_from_message(images["/thermal/image"]), read_thermal(case / "thermal.png")
    )
    np.testing.assert_array_equal(
        rgb_from_message(images["/rgb/image"]), read_rgb(case / "exif6.jpg")
    )


@pytest.mark.parametrize(
    ("folder", "ids", "code"),
    [
        ("L04_grey4bit", [0, 1, 2, 3], 0),
        ("L05_grey2bit", [0, 1, 2, 3], 0),
        ("L06_grey1bit", [0, 1], 1),  # of three classes two never occur
    ],
)
def test_labels_of_few_bits(
    cases: Path, capsys: pytest.CaptureFixture[str], folder: str, ids: list[int], code: int
) -> None:
    root = cases / "label_png_depth" / folder
    assert np.unique(read_labels(root / "labels/0.png")).tolist() == ids
    assert check.main([str(root)]) == code
    assert "255 (ignored)             0.000%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("folder", "problem"),
    [
        ("L07_binary_0_255", "255 (ignored) takes 7.8% of the pixels; masks of 0 and 255"),
        ("L22_all_zero", "the labels hold the background alone"),
    ],
)
def test_labels_without_an_object(
    cases: Path, capsys: pytest.CaptureFixture[str], folder: str, problem: str
) -> None:
    assert check.main([str(cases / "label_binary_0_255" / folder)]) == 1
    out = capsys.readouterr().out
    assert "PROBLEM: " in out and problem in out and "No problem" not in out


def test_replay_with_labels_without_an_object(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = cases / "label_binary_0_255"
    options = ["--labels", str(case / "labels"), "--every", "5", "--backend", "torch"]
    assert main(["replay", str(case / "bag"), *options, "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "no label holds an object (car, person, bike)" in error
    assert "save them with ids 0 and 1" in error


@pytest.mark.parametrize(
    ("name", "dtype", "low", "high"),
    [
        ("int16.tif", np.float32, 181, 360),
        ("int32.tif", np.float32, *COUNTS),
        ("float64.tif", np.float32, np.float32(18.07), 36),
        ("a.npy", np.uint16, *COUNTS),
        ("multipage.tif", np.uint16, *COUNTS),
    ],
)
def test_thermal_files(
    cases: Path, caplog: pytest.LogCaptureFixture, name: str, dtype: type, low: float, high: float
) -> None:
    thermal = read_thermal(cases / "thermal_file_types" / name)
    assert (thermal.dtype, thermal.min(), thermal.max()) == (dtype, low, high)
    pages = [record.getMessage() for record in caplog.records]
    assert len(pages) == (name == "multipage.tif")
    assert all("holds 5 pages, the first is taken" in text for text in pages)


@pytest.mark.parametrize("name", ["rjpeg_ironbow.jpg", "rjpeg_whitehot.jpg"])
def test_radiometric_jpeg(cases: Path, name: str) -> None:
    thermal = read_thermal(cases / "rjpeg_and_crosshair" / name)
    assert (thermal.dtype, thermal.min(), thermal.max()) == (np.uint16, *COUNTS)


def test_a_crosshair_in_a_white_hot_picture(cases: Path) -> None:
    path = cases / "rjpeg_and_crosshair" / "crosshair.jpg"
    thermal = read_thermal(path)
    message = SimpleNamespace(format="jpeg", data=path.read_bytes())
    np.testing.assert_array_equal(thermal, thermal_from_message(message))


@pytest.mark.parametrize("name", ["slow4520.bin", "slow6198.bin", "slow11155.bin"])
def test_slow_png(cases: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nothing is allocated for it: it never comes to the decoder."""
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("must not be decoded"))
    data = (cases / "slow_png" / name).read_bytes()
    message = SimpleNamespace(format="png", data=data)
    start = time.perf_counter()
    for convert in (rgb_from_message, thermal_from_message):
        with pytest.raises(ImageError, match=f"got {len(data)} bytes of a PNG.*whole one|swapped"):
            convert(message)
    with pytest.raises(ImageFileError, match="damaged or cut off"):
        read_thermal(cases / "slow_png" / name)
    assert time.perf_counter() - start < 0.05


@pytest.mark.parametrize(("folder", "pairs"), [("fmb_test", 2), ("kaist", 1)])
def test_quantize_and_training_read_the_same_folders(cases: Path, folder: str, pairs: int) -> None:
    root = cases / "quantize_layouts" / folder
    assert len(read_pairs(root, 9)) == pairs
    dataset = open_dataset("folder", root, "all", class_table="fmb")
    assert [sample.rgb.shape for sample in dataset] == [(120, 160, 3)] * pairs
    assert (dataset[0].labels is not None) == (folder == "fmb_test")


def test_quantize_lists_the_folders_that_it_knows(tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    with pytest.raises(ImageFileError, match=r"rgb, vi, visible, vis.*thermal, ir, .*lwir"):
        read_pairs(tmp_path, 1)


@pytest.mark.parametrize("name", ["spaces", "with_suffix"])
def test_stamps_files(cases: Path, name: str) -> None:
    case = cases / "stamps_csv"
    names = [pair[0] for pair in pair_folders(case / "rgb", case / "thermal")]
    assert read_stamps(case / f"{name}.csv", names) == [
        (1_700_000_000_000_000_000 + late, 1_700_000_000_004_000_000 + late)
        for late in (0, 100_000_000, 200_000_000)
    ]


def test_a_stamps_file_in_capitals_that_lacks_images(cases: Path) -> None:
    case = cases / "stamps_csv"
    first, *others = (pair[0] for pair in pair_folders(case / "rgb", case / "thermal"))
    assert read_stamps(case / "upper.csv", [first]) == [
        (1_700_000_000_000_000_000, 1_700_000_000_004_000_000)
    ]
    with pytest.raises(ImageFileError, match="no stamps for 2 of 3 images: 1700000000.100000"):
        read_stamps(case / "upper.csv", [first, *others])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ns_abs", {"slop_s": 0.2}),
        ("ns_nested", {"slop_s": 0.2}),
        ("wild_nested", {"slop_s": 0.2}),
        ("wild_star", {"slop_s": 0.2}),
        ("sci", {"slop_s": 0.05, "thermal_low": 29000.0, "thermal_high": 31000.0}),
        ("simtime", {"slop_s": 0.05}),
    ],
)
def test_parameter_files(cases: Path, name: str, expected: dict[str, float]) -> None:
    settings = read_settings(cases / "params_files" / f"{name}.yaml", ())
    assert {key: settings[key] for key in expected} == expected


def test_a_parameter_in_scientific_notation() -> None:
    assert read_settings(None, ["slop_s:=1e-2"])["slop_s"] == 0.01
