"""python -m training.data: what it says of whole, broken and unknown copies of data sets."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from layouts import CLASSES, KINDS, all_splits, frame_names, make_layout

from mafs_ros.perception.classes import load_class_table
from training.data import __main__, layouts
from training.data.check import guess_kind
from training.data.layouts import LAYOUTS

SIZE = (48, 64)


@pytest.fixture
def tiny_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each data set had been published with two pairs of 64x48 a split."""
    for kind, layout in list(LAYOUTS.items()):
        tiny = dataclasses.replace(
            layout,
            counts=dict.fromkeys(layout.counts, 2),
            size=layout.size and SIZE,
        )
        monkeypatch.setitem(layouts.LAYOUTS, kind, tiny)


@pytest.mark.parametrize("kind", KINDS)
def test_check_guesses_the_kind_and_finds_nothing_wrong(
    kind: str, tmp_path: Path, tiny_counts: None, capsys: pytest.CaptureFixture[str]
) -> None:
    make_layout(kind, tmp_path)
    assert guess_kind(tmp_path) == kind
    assert __main__.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    pairs = 4 if kind == "fusion_pairs" else 2
    assert "No problem found" in out and f": {pairs} pairs, 64x48 ({pairs})\n" in out
    assert f"as {kind}:" in out
    assert all(f"\n{split}: " in out for split in all_splits(kind))
    if kind in CLASSES:
        assert f"{CLASSES[kind] - 1:>3} {load_class_table_of(kind).names[-1]}" in out


def load_class_table_of(kind: str):
    return load_class_table(LAYOUTS[kind].file_table or "street")


def test_check_reports_everything_that_is_wrong(
    tmp_path: Path, tiny_counts: None, capsys: pytest.CaptureFixture[str]
) -> None:
    make_layout("mfnet", tmp_path)
    first, second = frame_names(2)
    cv2.imwrite(str(tmp_path / "labels" / f"{first}.png"), np.full(SIZE, 77, np.uint8))
    cv2.imwrite(str(tmp_path / "images" / f"{second}.png"), np.zeros((8, 8, 4), np.uint8))
    cv2.imwrite(str(tmp_path / "labels" / f"{second}.png"), np.zeros((8, 8), np.uint8))
    (tmp_path / "val.txt").write_text(f"{first}\n")  # one of two, and one of train
    (tmp_path / "test.txt").unlink()
    assert __main__.main([str(tmp_path), "--kind", "mfnet"]) == 1
    out = capsys.readouterr().out
    for text in (
        f"{first}.png: labels hold the ids [77]",
        "1 pairs are not 64x48",
        "1 pairs, but the published split has 2",
        "test.txt: there is no such file",
        "1 images are both in train and in val",
        "the labels hold the background alone",  # of train, of whose two one cannot be read
        "University of Tokyo",
    ):
        assert text in out, out
    assert out.count("PROBLEM") == 7  # the bad label is read in train and again in val


def test_check_of_an_incomplete_copy_tells_where_the_rest_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_layout("pst900", tmp_path)
    assert __main__.main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "2 pairs, but the published split has 597" in out
    assert "2 pairs are not 1280x720" in out
    assert "github.com/ShreyasSkandanS/pst900_thermal_rgb" in out


def test_check_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main([str(tmp_path / "absent")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert __main__.main([str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert all(f"  {kind}: " in error for kind in LAYOUTS)


def test_check_of_a_folder_with_another_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_layout("folder", tmp_path)
    shutil.copytree(tmp_path / "train", tmp_path / "flat")
    assert __main__.main([str(tmp_path / "flat"), "--table", "pst900"]) == 1
    out = capsys.readouterr().out
    assert "hand_drill" in out
    assert "PROBLEM: survivor of the class table pst900: never occur in the labels" in out


def own_data(root: Path, splits: dict[str, tuple[int, ...]]) -> Path:
    """Two pairs a split whose labels hold stripes of these ids."""
    for split, ids in splits.items():
        for folder in ("Visible", "lwir", "labels"):
            (root / split / folder).mkdir(parents=True)
        stripes = np.tile(np.repeat(ids, 60 // len(ids)), (48, 1)).astype(np.uint8)
        for name in ("1", "2"):
            picture = np.full((*stripes.shape, 3), int(name), np.uint8)
            cv2.imwrite(str(root / split / "Visible" / f"{name}_rgb.png"), picture)
            cv2.imwrite(str(root / split / "lwir" / f"{name}_th.png"), picture)
            cv2.imwrite(str(root / split / "labels" / f"{name}.png"), stripes)
    return root


@pytest.mark.parametrize(
    ("splits", "problem"),
    [
        ({"": (0, 255)}, "no label holds an object (car, person, bike), and 255 (ignored) takes"),
        ({"": (255, 255)}, "255 (ignored) takes 100.0% of the pixels; masks of 0 and 255 need"),
        ({"": (0, 0)}, "the labels hold the background alone, no car or person or bike"),
        ({"train": (0, 1, 2, 3), "val": (0, 255)}, "save them with ids 0 and 1 (1 is car in"),
        ({"train": (0, 1), "val": (0, 2)}, "bike of the class table street: never occur"),
        ({"train": (0, 1), "val": (0, 1, 2, 3)}, ""),
    ],
)
def test_labels_of_no_use_are_a_problem(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    splits: dict[str, tuple[int, ...]],
    problem: str,
) -> None:
    root = own_data(tmp_path, splits)
    assert guess_kind(root) == "folder"
    assert __main__.main([str(root)]) == (1 if problem else 0)
    out = capsys.readouterr().out
    assert ("No problem found" in out) == (not problem)
    assert out.count("PROBLEM: ") == bool(problem) and problem in out
