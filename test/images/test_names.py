"""Which files of two folders pair, and what folders of data sets look like."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mafs_ros.images.files.data_folders import data_pairs, find_folders
from mafs_ros.images.files.folders import files_of, list_images, pair_folders
from mafs_ros.images.files.read import ImageFileError, read_pair

PICTURE = cv2.imencode(".png", np.zeros((2, 2), np.uint8))[1].tobytes()


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PICTURE)
    return folder


@pytest.mark.parametrize(
    ("rgb", "thermal", "name"),
    [
        ("7.png", "7.tif", "7"),
        ("0001_rgb.png", "0001_th.png", "0001"),
        ("a-RGB.jpg", "a-ir.JPG", "a"),
        ("vis_12.png", "ir_12.png", "12"),
        ("street_visible.PnG", "street_lwir.png", "street"),
        ("DJI_0007_W.JPG", "DJI_0007_T.JPG", "DJI_0007"),
        ("1.png", "00001.png", "1"),
        ("00001v.jpg", "00001i.jpg", "00001"),
        ("img_00001_color.bmp", "img_00001_thermal.bmp", "img_00001"),
        ("00000001_co.png", "00000001_ir.png", "00000001"),
        ("IMG_5.png", "img_05.png", "IMG_5"),
        ("frame_3_color.png", "frame_003.png", "frame_3"),
        ("1700000000.100000.png", "1700000000.100000.tiff", "1700000000.100000"),
    ],
)
def test_names_that_say_the_same_pair(tmp_path, rgb, thermal, name) -> None:
    fill(tmp_path / "rgb", rgb, "other.png")
    fill(tmp_path / "thermal", thermal, "other.png")
    pairs = pair_folders(tmp_path / "rgb", tmp_path / "thermal")
    assert (name, tmp_path / "rgb" / rgb, tmp_path / "thermal" / thermal) in pairs
    assert len(pairs) == 2


@pytest.mark.parametrize(
    ("rgb", "thermal"),
    [
        (["1.png", "01_rgb.png"], ["001.png"]),  # either could be meant
        (["1.png"], ["001.png", "01.png"]),
        (["a.png"], ["b.png"]),
        (["1.5.png"], ["1.50.png"]),  # numbers after a point have zeros behind
        (["left.png"], ["right.png"]),
        (["00001D.png"], ["00001N.png"]),  # by day and by night
    ],
)
def test_names_that_are_not_clear_are_left_over(tmp_path, rgb, thermal) -> None:
    fill(tmp_path / "rgb", *rgb)
    fill(tmp_path / "thermal", *thermal)
    with pytest.raises(ImageFileError, match="have no partner of the same name"):
        pair_folders(tmp_path / "rgb", tmp_path / "thermal")


def test_one_folder_with_both_cameras(tmp_path) -> None:
    fill(tmp_path, "2_rgb.png", "10_rgb.png", "2_th.png", "10_th.png", "2_label.png")
    pairs = pair_folders(tmp_path, tmp_path)
    assert pairs == [(n, tmp_path / f"{n}_rgb.png", tmp_path / f"{n}_th.png") for n in ("2", "10")]
    assert files_of(["2", "10"], tmp_path) == {}  # three files could be meant
    found = data_pairs(tmp_path, labelled=True)
    assert [name for (name, _, _), _ in found] == ["2", "10"]
    fill(tmp_path / "plain", "1.png")
    with pytest.raises(ImageFileError, match="given for both cameras; expected two folders"):
        pair_folders(tmp_path / "plain", tmp_path / "plain")


def test_one_folder_of_four_channels(tmp_path) -> None:
    """MFNet: red, green, blue and thermal in one file."""
    four = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)
    for name in ("00001D", "00002N"):
        for folder in ("images", "labels"):
            fill(tmp_path / folder, f"{name}.png")
        cv2.imwrite(str(tmp_path / f"images/{name}.png"), four)
    images = tmp_path / "images"
    expected = [
        (name, images / f"{name}.png", images / f"{name}.png") for name in ("00001D", "00002N")
    ]
    assert pair_folders(images, images) == expected
    assert [pair for pair, _ in data_pairs(images, labelled=True)] == expected
    found = data_pairs(tmp_path, labelled=True)
    assert found == [(pair, tmp_path / "labels" / pair[1].name) for pair in expected]
    rgb, thermal = read_pair(*found[0][0][1:])
    assert np.array_equal(rgb, four[:, :, 2::-1]) and np.array_equal(thermal, four[:, :, 3])
    four[:, :, 3] = 255
    cv2.imwrite(str(images / "00001D.png"), four)
    with pytest.raises(ImageFileError, match="255 everywhere, which is transparency"):
        read_pair(*expected[0][1:])


def test_transparency_does_not_hide_the_words_of_names(tmp_path) -> None:
    fill(tmp_path, "1_rgb.png", "1_th.png")
    cv2.imwrite(str(tmp_path / "1_rgb.png"), np.full((2, 2, 4), 255, np.uint8))
    expected = [("1", tmp_path / "1_rgb.png", tmp_path / "1_th.png")]
    assert [pair for pair, _ in data_pairs(tmp_path, labelled=True)] == expected


def test_labels_with_a_word_of_their_own(tmp_path) -> None:
    fill(tmp_path / "masks", "0001_mask.png", "2_gt.png")
    assert files_of(["1", "0002", "3"], tmp_path / "masks") == {
        "1": tmp_path / "masks/0001_mask.png",
        "0002": tmp_path / "masks/2_gt.png",
    }


def test_what_programs_leave_in_folders_is_no_image(tmp_path) -> None:
    fill(tmp_path, "b.PNG", ".hidden.png", "._b.png", "Thumbs.db", "desktop.ini", "readme.txt")
    fill(tmp_path, "__MACOSX/b.png", "@eaDir/b.png", "deeper/c.png")
    assert list_images(tmp_path) == {"b": tmp_path / "b.PNG"}


def test_images_of_subfolders_where_a_folder_has_none(tmp_path) -> None:
    for camera in ("rgb", "thermal"):
        fill(tmp_path / ".kept" / camera, "day/1.png", "day/2.png", "night/1.png")
        fill(tmp_path / ".kept" / camera, "__MACOSX/day/1.png", ".cache/1.png")
    root = tmp_path / ".kept"  # hidden above the folder does not count
    pairs = pair_folders(root / "rgb", root / "thermal")
    assert [name for name, _, _ in pairs] == ["day_1", "day_2", "night_1"]


def test_arrays_count_where_there_is_no_picture(tmp_path) -> None:
    fill(tmp_path / "both", "a.png", "a.npy")
    assert list_images(tmp_path / "both") == {"a": tmp_path / "both/a.png"}
    fill(tmp_path / "arrays", "a.npy")
    assert list_images(tmp_path / "arrays") == {"a": tmp_path / "arrays/a.npy"}


@pytest.mark.parametrize(
    ("rgb", "thermal", "labels"),
    [
        ("rgb", "thermal", "labels"),
        ("vi", "ir", "Segmentation_labels"),
        ("Visible", "Infrared", "Label"),
        ("visible", "lwir", None),
        ("Vis", "Ir", None),
        ("RGB", "TIR", "Labels"),
        ("color", "thermal16", None),
    ],
)
def test_folders_of_data_sets(tmp_path, rgb, thermal, labels) -> None:
    for folder in filter(None, (rgb, thermal, labels)):
        fill(tmp_path / folder, "1.png")
    folders = find_folders(tmp_path)
    assert folders is not None
    assert (folders.rgb.name, folders.thermal.name) == (rgb, thermal)
    ((pair, label_file),) = data_pairs(tmp_path, labelled=True)
    assert pair == ("1", tmp_path / rgb / "1.png", tmp_path / thermal / "1.png")
    assert label_file == (tmp_path / labels / "1.png" if labels else None)


def test_drives_in_subfolders(tmp_path) -> None:
    """KAIST: set00/V000/visible and set00/V000/lwir."""
    for drive in ("set00/V000", "set00/V001", "set02/V000"):
        for camera in ("visible", "lwir"):
            fill(tmp_path / drive / camera, "I00000.jpg")
    names = [name for (name, _, _), _ in data_pairs(tmp_path, labelled=True)]
    assert names == ["set00_V000_I00000", "set00_V001_I00000", "set02_V000_I00000"]


def test_something_else_is_named(tmp_path) -> None:
    fill(tmp_path / "left", "1.png")
    with pytest.raises(ImageFileError, match=r"holds no pairs; .*\(rgb, vi, visible.*\).*lwir"):
        data_pairs(tmp_path, labelled=False)


def test_labels_must_be_those_of_the_pairs(tmp_path) -> None:
    for folder in ("rgb", "thermal", "labels"):
        fill(tmp_path / folder, "1.png", "2.png")
    fill(tmp_path / "labels", "3.png")
    with pytest.raises(ImageFileError, match="1 labels in .* have no pair of the same name: 3"):
        data_pairs(tmp_path, labelled=True)
    (tmp_path / "labels/3.png").unlink()
    (tmp_path / "labels/2.png").unlink()
    with pytest.raises(ImageFileError, match="1 of 2 pairs have no labels .*: 2"):
        data_pairs(tmp_path, labelled=True)
