"""Tiny synthetic copies of every data set's layout, for the tests of readers and recipes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from training.data.layouts import LAYOUTS

CLASSES = {"mfnet": 9, "msrs": 9, "pst900": 5, "fmb": 15, "street_rgbt": 9, "folder": 4}
FOLDERS = {
    "msrs": (("train", "test"), ("vi", "ir", "Segmentation_labels")),
    "pst900": (("train", "test"), ("rgb", "thermal", "labels")),
    "fmb": (("train", "test"), ("Visible", "Infrared", "Label")),
    "street_rgbt": (("train", "val", "test"), ("vi", "ir", "label")),
    "folder": (("train", "val", "test"), ("rgb", "thermal", "labels")),
}
KINDS = ("mfnet", *FOLDERS, "m3fd", "fusion_pairs")


def make_layout(
    kind: str, root: Path, *, pairs: int = 2, size: tuple[int, int] = (48, 64)
) -> Path:
    """Write a copy with `pairs` pairs of (height, width) in each split; returns root.

    Every pair is another smooth picture; its labels hold every class of the data set and some
    ignored pixels. Frames are called 00001D, 00002N, ... and go on through the splits.
    """
    {"mfnet": _mfnet, "m3fd": _m3fd, "fusion_pairs": _fusion_pairs}.get(kind, _split_folders)(
        kind, root, pairs, size
    )
    return root


def frame_names(pairs: int, split_number: int = 0) -> list[str]:
    """The names of a split: every second frame is one of the night."""
    first = split_number * pairs + 1
    return [f"{i:05d}{'N' if i % 2 == 0 else 'D'}" for i in range(first, first + pairs)]


def _split_folders(kind: str, root: Path, pairs: int, size: tuple[int, int]) -> None:
    splits, (rgb, thermal, labels) = FOLDERS[kind]
    for number, split in enumerate(splits):
        for name in frame_names(pairs, number):
            parent, suffix = root / split, ".jpg" if kind == "street_rgbt" else ".png"
            pictures = _pictures(name, size, CLASSES[kind])
            _write(parent / rgb / f"{name}{suffix}", pictures[0])
            _write(parent / thermal / f"{name}.png", pictures[1])
            _write(parent / labels / f"{name}.png", pictures[2])
            if kind == "street_rgbt" and split != "test":
                for other in ("label_boxes", "label_teacher"):
                    _write(parent / other / f"{name}.png", pictures[2] % 4)
        if kind == "pst900":
            shutil.copytree(root / split / thermal, root / split / "thermal_raw")


def _mfnet(kind: str, root: Path, pairs: int, size: tuple[int, int]) -> None:
    for number, split in enumerate(("train", "val", "test")):
        names = frame_names(pairs, number)
        for name in names:
            rgb, thermal, labels = _pictures(name, size, CLASSES[kind])
            _write(root / "images" / f"{name}.png", np.dstack((rgb, thermal)))
            _write(root / "labels" / f"{name}.png", labels)
        if split == "train":
            names = names + [f"{name}_flip" for name in names]  # as published, without the files
        _list(root / f"{split}.txt", names)
    for time in ("day", "night"):
        _list(root / f"test_{time}.txt", [n for n in names if n[-1] == time[0].upper()])


def _m3fd(kind: str, root: Path, pairs: int, size: tuple[int, int]) -> None:
    for name in frame_names(pairs):
        rgb, thermal, _ = _pictures(name, size, 2)
        _write(root / "Vis" / f"{name}.png", rgb)
        _write(root / "Ir" / f"{name}.png", np.dstack([thermal] * 3))  # three equal channels


def _fusion_pairs(kind: str, root: Path, pairs: int, size: tuple[int, int]) -> None:
    rows = ["group,subset,name,width,height,note"]
    for group, subset in (
        ("roadscene", "fusion_train"),
        ("roadscene", "fusion_test"),
        ("tno", "fusion_test"),
        ("flir_aligned", "boxes_train"),
    ):
        for name in frame_names(pairs, len(rows)):
            rgb, thermal, labels = _pictures(name, size, 4)
            _write(root / group / "vi" / f"{name}.png", thermal if group == "tno" else rgb)
            if group != "tno":
                _write(root / group / "label_teacher" / f"{name}.png", labels)
            _write(root / group / "ir" / f"{name}.png", thermal)
            rows.append(f'{group},{subset},{name},{size[1]},{size[0]},"aligned, grey"')
    _list(root / "manifest.csv", rows)


def _pictures(
    name: str, size: tuple[int, int], classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(list(name.encode()))
    rgb = cv2.resize(rng.integers(0, 256, (3, 4, 3), np.uint8), size[::-1])
    thermal = cv2.resize(rng.integers(0, 256, (3, 4), np.uint8), size[::-1])
    ids = np.append(np.arange(classes), 255).astype(np.uint8)
    columns = np.arange(size[1]) * len(ids) // size[1]
    return rgb, thermal, np.tile(ids[columns], (size[0], 1))


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if image.ndim == 3:
        swap = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
        image = cv2.cvtColor(image, swap)
    assert cv2.imwrite(str(path), image)


def _list(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def all_splits(kind: str) -> list[str]:
    return [split for split in LAYOUTS[kind].splits if split != "all"]
