"""Readers of every data set's layout and the check of a copy."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from layouts import CLASSES, KINDS, all_splits, frame_names, make_layout
from PIL import Image as PillowImage

from mafs_ros.images.files.read import ImageFileError, read_labels
from mafs_ros.perception.classes import id_map, load_class_table
from training.data.datasets import open_dataset
from training.data.layouts import LAYOUTS

SIZE = (48, 64)


def test_every_layout_has_a_synthetic_copy() -> None:
    assert set(KINDS) == set(LAYOUTS)


@pytest.mark.parametrize("kind", KINDS)
def test_reads_every_split_of_a_layout(kind: str, tmp_path: Path) -> None:
    make_layout(kind, tmp_path, pairs=2)
    for split in all_splits(kind):
        dataset = open_dataset(kind, tmp_path, split)
        samples = list(dataset)
        assert len(samples) == len(dataset) >= 2
        assert [sample.name for sample in samples] == [sample.name for sample in dataset]
        assert len({sample.name for sample in samples}) == len(samples)
        for sample in samples:
            assert sample.rgb.shape == (*SIZE, 3) and sample.rgb.dtype == np.uint8
            assert sample.thermal.shape == SIZE and sample.thermal.dtype == np.uint8
            assert sample.rgb.flags.c_contiguous and sample.thermal.flags.c_contiguous
            if kind not in CLASSES:
                assert sample.labels is None and dataset.class_table is None
                continue
            assert dataset.class_table is not None and sample.labels is not None
            assert sample.labels.shape == SIZE and sample.labels.dtype == np.uint8
            ids = set(np.unique(sample.labels).tolist())
            assert ids == {*range(dataset.class_table.num_classes), 255}


@pytest.mark.parametrize(
    ("kind", "table"),
    [("mfnet", "mfnet"), ("msrs", "mfnet"), ("pst900", "pst900"), ("fmb", "fmb"),
     ("street_rgbt", "street"), ("folder", "street")],
)  # fmt: skip
def test_class_table_of_a_kind(kind: str, table: str, tmp_path: Path) -> None:
    dataset = open_dataset(kind, make_layout(kind, tmp_path), "train")
    assert dataset.class_table == load_class_table(table)


@pytest.mark.parametrize("kind", ["msrs", "mfnet"])
def test_channels_are_not_swapped(kind: str, tmp_path: Path) -> None:
    make_layout(kind, tmp_path)
    colours = np.zeros((*SIZE, 4), np.uint8)
    colours[:] = (30, 20, 10, 40)  # blue, green, red, thermal: OpenCV's order
    name = frame_names(2)[0]
    if kind == "mfnet":
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), colours)
    else:
        cv2.imwrite(str(tmp_path / "train" / "vi" / f"{name}.png"), colours[:, :, :3])
        cv2.imwrite(str(tmp_path / "train" / "ir" / f"{name}.png"), colours[:, :, 3])
    sample = open_dataset(kind, tmp_path, "train")[0]
    assert sample.name == name
    assert sample.rgb[0, 0].tolist() == [10, 20, 30]
    assert sample.thermal[0, 0] == 40


def test_mfnet_lists_without_mirrored_copies_and_by_time_of_day(tmp_path: Path) -> None:
    make_layout("mfnet", tmp_path, pairs=4)
    names = {s: [x.name for x in open_dataset("mfnet", tmp_path, s)] for s in (
        "train", "val", "test", "test_day", "test_night", "train_night")}  # fmt: skip
    assert names["train"] == frame_names(4)
    assert names["val"] == frame_names(4, 1)
    assert sorted(names["test_day"] + names["test_night"]) == sorted(names["test"])
    assert all(name.endswith("D") for name in names["test_day"])
    assert names["train_night"] == [n for n in frame_names(4) if n.endswith("N")]  # has no list


def test_mfnet_keeps_the_order_of_its_list(tmp_path: Path) -> None:
    make_layout("mfnet", tmp_path, pairs=3)
    names = frame_names(3)[::-1]
    (tmp_path / "train.txt").write_text("".join(f"{name}.png\n" for name in names) + "\n")
    assert [s.name for s in open_dataset("mfnet", tmp_path, "train")] == names


def test_other_class_tables_match_by_name(tmp_path: Path) -> None:
    make_layout("mfnet", tmp_path)
    own = open_dataset("mfnet", tmp_path, "train")[0].labels
    street = open_dataset("mfnet", tmp_path, "train", class_table="street")
    assert street.class_table is not None and street.class_table.name == "street"
    np.testing.assert_array_equal(street[0].labels, np.where(own <= 3, own, 255))
    ids = id_map(load_class_table("fmb"), load_class_table("street"))
    assert ids[[0, 1, 8, 9, 13, 255]].tolist() == [0, 255, 2, 1, 255, 255]  # bicycle is not bike


def test_teacher_labels_of_fusion_pairs(tmp_path: Path) -> None:
    make_layout("fusion_pairs", tmp_path)
    plain = open_dataset("fusion_pairs", tmp_path, "all")
    assert plain.class_table is None and plain[0].labels is None
    labelled = open_dataset("fusion_pairs", tmp_path, "all", labels="teacher", background=0.4)
    assert labelled.class_table == load_class_table("street")
    for sample in labelled:
        assert (sample.labels is None) == sample.name.startswith("tno_")
        assert sample.background == 0.4
    with pytest.raises(ValueError, match="a choice of street_rgbt"):
        open_dataset("fusion_pairs", tmp_path, "all", labels="boxes")


def test_a_homography_moves_the_thermal_image_alone(tmp_path: Path) -> None:
    make_layout("fusion_pairs", tmp_path)
    shift = (1, 0, 5, 0, 1, 3, 0, 0, 1)  # thermal pixel (x, y) lies at RGB pixel (x + 5, y + 3)
    before = open_dataset("fusion_pairs", tmp_path, "roadscene", labels="teacher")[0]
    after = open_dataset(
        "fusion_pairs", tmp_path, "roadscene", labels="teacher", homography=shift
    )[0]
    np.testing.assert_array_equal(after.thermal[3:, 5:], before.thermal[:-3, :-5])
    assert not after.thermal[:3].any() and not after.thermal[:, :5].any()
    np.testing.assert_array_equal(after.rgb, before.rgb)
    np.testing.assert_array_equal(after.labels, before.labels)
    with pytest.raises(ValueError, match="4 numbers, expected 9"):
        open_dataset("fusion_pairs", tmp_path, "all", homography=(1, 0, 0, 1))


def test_the_labellings_of_street_rgbt(tmp_path: Path) -> None:
    make_layout("street_rgbt", tmp_path)
    network = open_dataset("street_rgbt", tmp_path, "train")
    boxes = open_dataset("street_rgbt", tmp_path, "train", labels="boxes")
    both = open_dataset("street_rgbt", tmp_path, "train", labels="both", cache=True)
    teacher = open_dataset("street_rgbt", tmp_path, "train", labels="teacher")
    np.testing.assert_array_equal(teacher[0].labels, boxes[0].labels)
    assert len(network) == len(boxes) == len(both) // 2
    assert not np.array_equal(network[0].labels, boxes[0].labels)
    np.testing.assert_array_equal(both[0].labels, network[0].labels)
    np.testing.assert_array_equal(both[2].labels, boxes[0].labels)
    assert both[0].rgb is both[2].rgb, "the cache holds an image of two labellings once"
    assert len({sample.name for sample in both}) == len(both)
    with pytest.raises(FileNotFoundError, match="train and val only"):
        open_dataset("street_rgbt", tmp_path, "test", labels="boxes")
    with pytest.raises(ValueError, match="must be one of network, boxes, both"):
        open_dataset("street_rgbt", tmp_path, "train", labels="human")
    with pytest.raises(ValueError, match="a choice of street_rgbt"):
        open_dataset("msrs", make_layout("msrs", tmp_path / "m"), "train", labels="both")


def test_every_tenth_pair_is_held_back(tmp_path: Path) -> None:
    make_layout("fmb", tmp_path, pairs=12)
    whole, fit, held_back = (
        [entry.name for entry in open_dataset("fmb", tmp_path, split).entries]
        for split in ("train", "train_fit", "train_held_back")
    )
    assert held_back == [whole[0], whole[10]]
    assert fit == [name for name in whole if name not in held_back]
    with pytest.raises(ValueError, match="unknown split 'val' of fmb"):
        open_dataset("fmb", tmp_path, "val_fit")


def test_splits_of_fusion_pairs(tmp_path: Path) -> None:
    make_layout("fusion_pairs", tmp_path, pairs=2)
    counts = {split: len(open_dataset("fusion_pairs", tmp_path, split)) for split in (
        "all", "train", "test", "roadscene", "roadscene_test", "tno", "flir_aligned")}  # fmt: skip
    assert list(counts.values()) == [8, 4, 4, 4, 2, 2, 2]
    grey = open_dataset("fusion_pairs", tmp_path, "tno")[0]
    assert grey.name.startswith("tno_") and grey.rgb.shape == (*SIZE, 3)
    with pytest.raises(ValueError, match="expected one of all, train, roadscene"):
        open_dataset("fusion_pairs", tmp_path, "val")
    next((tmp_path / "tno" / "ir").iterdir()).unlink()
    with pytest.raises(ImageFileError, match="no partner"):
        open_dataset("fusion_pairs", tmp_path, "tno")


def test_folder_without_splits_or_labels(tmp_path: Path) -> None:
    make_layout("folder", tmp_path / "divided")
    shutil.copytree(tmp_path / "divided" / "train", tmp_path / "flat")
    assert len(open_dataset("folder", tmp_path / "flat", "all")) == 2
    with pytest.raises(ImageFileError, match="only split is 'all', not 'val'"):
        open_dataset("folder", tmp_path / "flat", "val")
    with pytest.raises(ImageFileError, match="is divided into splits"):
        open_dataset("folder", tmp_path / "divided", "all")
    shutil.rmtree(tmp_path / "flat" / "labels")
    dataset = open_dataset("folder", tmp_path / "flat", "all")
    assert dataset.class_table is None and dataset[0].labels is None


def test_thermal_of_16_bit_becomes_8_bit(tmp_path: Path) -> None:
    make_layout("folder", tmp_path)
    path = tmp_path / "train" / "thermal" / f"{frame_names(2)[0]}.png"
    ramp = np.linspace(29000, 31000, SIZE[0] * SIZE[1]).reshape(SIZE)
    cv2.imwrite(str(path), ramp.astype(np.uint16))
    thermal = open_dataset("folder", tmp_path, "train")[0].thermal
    assert thermal.dtype == np.uint8
    assert thermal[0, 0] == 0 and thermal[-1, -1] == 255 and abs(int(thermal[24, 0]) - 128) < 4


def test_palette_labels_are_read_as_ids(tmp_path: Path) -> None:
    ids = np.arange(6, dtype=np.uint8).reshape(2, 3)
    image = PillowImage.fromarray(ids)
    image.putpalette([value for i in range(256) for value in (255 - i, i, 77)])
    assert image.mode == "P"
    image.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "palette.png"), ids)
    cv2.imwrite(str(tmp_path / "equal.png"), np.dstack([ids] * 3))
    np.testing.assert_array_equal(read_labels(tmp_path / "equal.png"), ids)
    cv2.imwrite(str(tmp_path / "deep.png"), ids.astype(np.uint16))
    np.testing.assert_array_equal(read_labels(tmp_path / "deep.png"), ids)
    cv2.imwrite(str(tmp_path / "deep.png"), ids.astype(np.uint16) * 100)
    with pytest.raises(ImageFileError, match="ids 0 to 500, expected 0 to 255"):
        read_labels(tmp_path / "deep.png")
    cv2.imwrite(str(tmp_path / "colours.png"), np.dstack([ids, ids * 2, ids]))
    with pytest.raises(ImageFileError, match="in class colours"):
        read_labels(tmp_path / "colours.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "equal.png").read_bytes()[:50])
    with pytest.raises(ImageFileError, match="damaged or cut off"):
        read_labels(tmp_path / "broken.png")


def test_cache_reads_a_file_once_and_no_cache_reads_again(tmp_path: Path) -> None:
    make_layout("mfnet", tmp_path)
    kept, fresh = (open_dataset("mfnet", tmp_path, "train", cache=c) for c in (True, False))
    first = kept[0]
    assert fresh[0].labels is not None
    shutil.rmtree(tmp_path / "labels")
    shutil.rmtree(tmp_path / "images")
    np.testing.assert_array_equal(kept[0].labels, first.labels)
    np.testing.assert_array_equal(kept[0].rgb, first.rgb)
    with pytest.raises(FileNotFoundError):
        fresh[0]


def test_dataset_can_go_to_another_process(tmp_path: Path) -> None:
    make_layout("street_rgbt", tmp_path)
    dataset = open_dataset("street_rgbt", tmp_path, "train", cache=True)
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301 (as spawned workers do)
    np.testing.assert_array_equal(copy[1].rgb, dataset[1].rgb)


def test_simulation() -> None:
    train = open_dataset("simulation", None, "train", count=2, cache=True)
    again = open_dataset("simulation", None, "train", count=1)
    val = open_dataset("simulation", None, "val", count=2)
    assert len(train) == 2 and train.class_table == load_class_table("street")
    sample = train[0]
    assert sample.rgb.shape == (480, 640, 3) and sample.thermal.dtype == np.uint8
    assert sample.labels is not None and set(np.unique(sample.labels)) <= {0, 1, 2, 3}
    assert train[0].rgb is sample.rgb
    np.testing.assert_array_equal(sample.thermal, again[0].thermal)
    assert not set(train.entries) & set(val.entries)
    with pytest.raises(ValueError, match="1..10000"):
        open_dataset("simulation", None, "train", count=0)
    with pytest.raises(ValueError, match="expected train, val, test"):
        open_dataset("simulation", None, "all")


def test_impossible_requests_say_what_is_possible(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected one of: mfnet, msrs.*simulation"):
        open_dataset("kaist", tmp_path, "train")
    with pytest.raises(ValueError, match="needs the folder"):
        open_dataset("fmb", None, "train")
    with pytest.raises(FileNotFoundError, match="no such folder.*SegMiF"):
        open_dataset("fmb", tmp_path / "absent", "train")
    make_layout("fmb", tmp_path)
    for split in ("val", "train_day"):
        with pytest.raises(ValueError, match="expected one of train, test"):
            open_dataset("fmb", tmp_path, split)
    with pytest.raises(FileNotFoundError, match="no class table 'absent'"):
        open_dataset("fmb", tmp_path, "train", class_table="absent")


def test_missing_parts_are_named_with_their_source(tmp_path: Path) -> None:
    make_layout("fmb", tmp_path)
    (tmp_path / "train" / "Infrared" / f"{frame_names(2)[0]}.png").unlink()
    with pytest.raises(ImageFileError, match="1 of 2 images .*00001D.*ICCV 2023"):
        open_dataset("fmb", tmp_path, "train")
    shutil.rmtree(tmp_path / "test" / "Label")
    with pytest.raises(FileNotFoundError, match="test/Label.*Visible/, Infrared/ and Label/"):
        open_dataset("fmb", tmp_path, "test")


def test_wrong_files_are_named_when_read(tmp_path: Path) -> None:
    make_layout("msrs", tmp_path, pairs=3)
    names = frame_names(3)
    folder = tmp_path / "train"
    cv2.imwrite(str(folder / "ir" / f"{names[0]}.png"), np.zeros((24, 32), np.uint8))
    cv2.imwrite(str(folder / "Segmentation_labels" / f"{names[1]}.png"), np.full(SIZE, 9, "u1"))
    (folder / "vi" / f"{names[2]}.png").write_bytes(b"no image")
    dataset = open_dataset("msrs", tmp_path, "train")
    with pytest.raises(ImageFileError, match="got 32x24, but .* is 64x48.*register"):
        dataset[0]
    with pytest.raises(ImageFileError, match=rf"{names[1]}.*ids \[9\].*mfnet does not have"):
        dataset[1]
    with pytest.raises(ImageFileError, match="not an image"):
        dataset[2]


def test_three_channels_in_mfnet_are_refused(tmp_path: Path) -> None:
    make_layout("mfnet", tmp_path)
    path = tmp_path / "images" / f"{frame_names(2)[0]}.png"
    cv2.imwrite(str(path), np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(ImageFileError, match="thermal as the fourth channel"):
        open_dataset("mfnet", tmp_path, "train")[0]


def test_the_real_street_pairs(shared_data: Path) -> None:
    dataset = open_dataset("street_rgbt", shared_data / "street_rgbt", "test")
    assert len(dataset) == 42 and dataset[0].name == "01190N"
    assert set(np.unique(dataset[0].labels)) <= {0, 1, 2, 3, 255}
    assert len(open_dataset("street_rgbt", shared_data / "street_rgbt", "train", labels="both")) \
        == 456  # fmt: skip
