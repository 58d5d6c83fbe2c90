"""How the files of public data sets lie in their folders."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mafs_ros.images.files.data_folders import (
    OTHER_NAMES,
    data_pairs,
    find_folders,
    labels_of,
)
from mafs_ros.images.files.folders import list_images, pair_folders
from mafs_ros.images.files.read import ImageFileError
from training.data.samples import Files

LABELLINGS = ("network", "boxes", "both", "teacher")
LABEL_FOLDERS = {"boxes": "label_boxes", "teacher": "label_teacher"}
TIMES = {"_day": "D", "_night": "N"}  # MFNet ends the names of its frames so, and MSRS keeps them
PARTS = {"_fit": False, "_held_back": True}  # of any split
HOLD_BACK = 10  # every tenth pair


@dataclass(frozen=True)
class Layout:
    """What is published of a data set.

    read: lists the files of (root, split). counts: pairs of each split that has a fixed number.
    size: (height, width) of every image, None where they differ. file_table: class table of the
    ids in its label files, None where the user names it. table: the one to train with.
    """

    read: Callable[[Path, str], list[Files]]
    splits: tuple[str, ...]
    looks_like: str
    source: str
    counts: dict[str, int] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    file_table: str | None = None
    table: str | None = None


def find_layout(kind: str) -> Layout:
    """The layout of a kind. Raises ValueError that lists the kinds."""
    if kind not in LAYOUTS:
        known = ", ".join([*LAYOUTS, "simulation"])
        raise ValueError(f"unknown data set {kind!r}; expected one of: {known}")
    return LAYOUTS[kind]


def list_files(kind: str, root: Path, split: str) -> list[Files]:
    """The files of a split in natural order. Raises as `open_dataset` does."""
    for part, held_back in PARTS.items():
        if split.endswith(part):
            files = list_files(kind, root, split.removesuffix(part))
            return [entry for i, entry in enumerate(files) if (i % HOLD_BACK == 0) == held_back]
    layout = find_layout(kind)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: there is no such folder. {layout.source}")
    try:
        files = layout.read(root, split)
    except (FileNotFoundError, ImageFileError) as error:
        hint = f"{kind} looks like this: {layout.looks_like}. {layout.source}"
        raise type(error)(f"{str(error).rstrip('.')}. {hint}") from None
    if not files:
        raise ImageFileError(f"{root}: split {split} of {kind} has no pairs. {layout.source}")
    return files


def list_mfnet(root: Path, split: str) -> list[Files]:
    """ir_seg_dataset: names in SPLIT.txt, images/NAME.png of four channels, labels/NAME.png.

    Its train.txt also names mirrored copies, NAME_flip, which its make_flip.py writes. They are
    left out: flipping is an augmentation here.
    """
    base = _published("mfnet", split)
    own_list = root / f"{split}.txt"
    names = _read_names(own_list if own_list.is_file() else root / f"{base}.txt")
    names = [name for name in names if not name.endswith("_flip")]
    images, labels = list_images(root / "images"), list_images(root / "labels")
    for folder, present in (("images", images), ("labels", labels)):
        if missing := [name for name in names if name not in present]:
            raise ImageFileError(
                f"{root / folder}: {len(missing)} of the {len(names)} images in the list of "
                f"{split} are missing: {', '.join(missing[:5])}"
            )
    files = [Files(name, images[name], images[name], labels[name]) for name in names]
    return _of_that_time(files, split)


def list_msrs(root: Path, split: str) -> list[Files]:
    """SPLIT/vi, SPLIT/ir and SPLIT/Segmentation_labels."""
    parent = root / _published("msrs", split)
    return _of_that_time(_three_folders(parent, "vi", "ir", "Segmentation_labels"), split)


def list_pst900(root: Path, split: str) -> list[Files]:
    """SPLIT/rgb, SPLIT/thermal (8 bit, with the holes of its projection) and SPLIT/labels."""
    return _three_folders(root / _published("pst900", split), "rgb", "thermal", "labels")


def list_fmb(root: Path, split: str) -> list[Files]:
    """SPLIT/Visible, SPLIT/Infrared and SPLIT/Label (the folder `color` is for looking at)."""
    return _three_folders(root / _published("fmb", split), "Visible", "Infrared", "Label")


def list_m3fd(root: Path, split: str) -> list[Files]:
    """Vis and Ir of M3FD_Fusion, without labels; all of it is `test`, the use in the papers."""
    _published("m3fd", split)
    return _three_folders(root, "Vis", "Ir", None)


def list_street_rgbt(root: Path, split: str) -> list[Files]:
    """SPLIT/vi, SPLIT/ir and SPLIT/label."""
    parent = root / _published("street_rgbt", split)
    return _of_that_time(_three_folders(parent, "vi", "ir", "label"), split)


def list_fusion_pairs(root: Path, split: str) -> list[Files]:
    """GROUP/vi and GROUP/ir of manifest.csv (group, subset, name), without labels.

    split: 'train' or 'test' (the end of the subset's name), a group ('roadscene'), both
    ('roadscene_train') or 'all'.
    """
    manifest = root / "manifest.csv"
    rows = list(csv.DictReader(_read_text(manifest).splitlines()))
    if not rows or not {"group", "subset", "name"} <= rows[0].keys():
        raise ImageFileError(f"{manifest}: expected the columns group, subset and name")
    chosen: dict[str, set[str]] = {}
    choices: dict[str, None] = {}
    for row in rows:
        group, part = row["group"], row["subset"].rpartition("_")[2]
        splits = ("all", part, group, f"{group}_{part}")
        choices.update(dict.fromkeys(splits))
        if split in splits:
            chosen.setdefault(group, set()).add(row["name"])
    if not chosen:
        raise ValueError(
            f"unknown split {split!r} of fusion_pairs; expected one of {', '.join(choices)}"
        )
    files = []
    for group, names in chosen.items():
        pairs = pair_folders(root / group / "vi", root / group / "ir")
        if missing := sorted(names - {name for name, _, _ in pairs}):
            raise ImageFileError(
                f"{root / group}: {len(missing)} pairs of {manifest.name} are missing: "
                f"{', '.join(missing[:5])}"
            )
        files += [Files(f"{group}_{pair[0]}", *pair[1:]) for pair in pairs if pair[0] in names]
    return files


def list_folder(root: Path, split: str) -> list[Files]:
    """SPLIT/rgb, SPLIT/thermal and, where present, SPLIT/labels; 'all' is without SPLIT/.

    Other names of these folders: `mafs_ros/images/files/data_folders.py`.
    """
    _published("folder", split)
    if split == "all":
        parent = root
        if find_folders(root) is None and find_folders(root / "train") is not None:
            raise ImageFileError(f"{root}: is divided into splits; expected one of their names")
    else:
        parent = root / split
        if not parent.is_dir() and find_folders(root) is not None:
            raise ImageFileError(f"{root}: is not divided; its only split is 'all', not {split!r}")
        if not parent.is_dir():
            raise FileNotFoundError(f"{parent}: there is no such folder")
    return [Files(*pair, labels) for pair, labels in data_pairs(parent, labelled=True)]


def choose_labelling(kind: str, files: list[Files], labels: str) -> list[Files]:
    """The pairs with the labelling(s) asked for; see `open_dataset`."""
    if labels not in LABELLINGS:
        raise ValueError(f"labels must be one of {', '.join(LABELLINGS)}; got {labels!r}")
    if labels == "network":
        return files
    if kind == "fusion_pairs" and labels == "teacher":
        return [replace(entry, labels=teacher_labels(entry)) for entry in files]
    if kind != "street_rgbt":
        raise ValueError(f"labels={labels!r} is a choice of street_rgbt; {kind} has one labelling")
    if labels == "both":
        boxes = choose_labelling(kind, files, "boxes")
        return files + [replace(entry, name=f"{entry.name}_boxes") for entry in boxes]
    return [replace(entry, labels=other_labels(entry, LABEL_FOLDERS[labels])) for entry in files]


def other_labels(entry: Files, folder: str) -> Path:
    """The labels of a pair of street_rgbt in another folder. Raises FileNotFoundError."""
    assert entry.labels is not None
    path = entry.labels.parents[1] / folder / entry.labels.name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: there is no such file; {folder}/ comes with train and val only, "
            "use labels='network' for test"
        )
    return path


def teacher_labels(entry: Files) -> Path | None:
    """The labels of a pair of fusion_pairs, None for groups without any."""
    path = entry.thermal.parents[1] / LABEL_FOLDERS["teacher"] / f"{entry.thermal.stem}.png"
    return path if path.is_file() else None


def _three_folders(parent: Path, rgb: str, thermal: str, labels: str | None) -> list[Files]:
    if not parent.is_dir():
        raise FileNotFoundError(f"{parent}: there is no such folder")
    pairs = pair_folders(parent / rgb, parent / thermal)
    if labels is None:
        return [Files(*pair) for pair in pairs]
    files = labels_of(pairs, parent / labels)
    return [Files(*pair, files[pair[0]]) for pair in pairs]


def _published(kind: str, split: str) -> str:
    """The published split that `split` is, or is the day or night part of."""
    splits = LAYOUTS[kind].splits
    base = split
    if kind in ("mfnet", "msrs", "street_rgbt"):
        base = split.removesuffix("_day").removesuffix("_night")
    if base not in splits:
        raise ValueError(f"unknown split {split!r} of {kind}; expected one of {', '.join(splits)}")
    return base


def _of_that_time(files: list[Files], split: str) -> list[Files]:
    letter = next((letter for time, letter in TIMES.items() if split.endswith(time)), "")
    return [entry for entry in files if entry.name.endswith(letter)]


def _read_names(path: Path) -> list[str]:
    """Image names, one a line, with or without .png; raises for none or a repeated one."""
    names = [line.strip().removesuffix(".png") for line in _read_text(path).splitlines()]
    names = [name for name in names if name]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ImageFileError(f"{path}: names repeated in the list: {', '.join(twice[:5])}")
    if not names:
        raise ImageFileError(f"{path}: the list is empty, expected a name on each line")
    return names


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise ImageFileError(f"{path}: is not a text file") from None


LAYOUTS: dict[str, Layout] = {
    "mfnet": Layout(
        list_mfnet,
        ("train", "val", "test"),
        "images/NAME.png (red, green, blue, thermal), labels/NAME.png, train.txt, val.txt, "
        "test.txt",
        "MFNet (Ha et al., IROS 2017) is ir_seg_dataset.zip on the project page of the University "
        "of Tokyo, www.mi.t.u-tokyo.ac.jp/static/projects/mil_multispectral",
        counts={"train": 784, "val": 392, "test": 393},
        size=(480, 640),
        file_table="mfnet",
        table="mfnet",
    ),
    "msrs": Layout(
        list_msrs,
        ("train", "test"),
        "vi/, ir/ and Segmentation_labels/ in train/ and in test/",
        "MSRS (Tang et al., PIAFusion, Information Fusion 2022) is at "
        "github.com/Linfeng-Tang/MSRS",
        counts={"train": 1083, "test": 361},
        size=(480, 640),
        file_table="mfnet",
        table="mfnet",
    ),
    "pst900": Layout(
        list_pst900,
        ("train", "test"),
        "rgb/, thermal/ and labels/ in train/ and in test/",
        "PST900 (Shivakumar et al., ICRA 2020) is linked from "
        "github.com/ShreyasSkandanS/pst900_thermal_rgb",
        counts={"train": 597, "test": 288},  # 606 and 288 in its README, 597 in use
        size=(720, 1280),
        file_table="pst900",
        table="pst900",
    ),
    "fmb": Layout(
        list_fmb,
        ("train", "test"),
        "Visible/, Infrared/ and Label/ in train/ and in test/",
        "FMB (Liu et al., SegMiF, ICCV 2023) is linked from github.com/JinyuanLiu-CV/SegMiF",
        counts={"train": 1220, "test": 280},
        size=(600, 800),
        file_table="fmb",
        table="fmb",
    ),
    "m3fd": Layout(
        list_m3fd,
        ("test",),
        "Vis/ and Ir/ (of M3FD_Fusion, not of M3FD_Detection)",
        "M3FD (Liu et al., TarDAL, CVPR 2022) is linked from github.com/JinyuanLiu-CV/TarDAL: "
        "M3FD_Fusion.zip",
        counts={"test": 300},
    ),
    "street_rgbt": Layout(
        list_street_rgbt,
        ("train", "val", "test"),
        "vi/, ir/ and label/ in train/, val/ and test/, label_boxes/ and label_teacher/ in the "
        "first two",
        "street_rgbt is this project's pack of 310 MSRS test frames with pseudo-labels; it is "
        "kept beside the repository (shared/data), not in it, because no licence of its images "
        "is stated",
        counts={"train": 228, "val": 40, "test": 42},
        size=(480, 640),
        file_table="mfnet",
        table="street",
    ),
    "fusion_pairs": Layout(
        list_fusion_pairs,
        ("train", "test"),
        "manifest.csv, vi/ and ir/ in roadscene/, tno/ and flir_aligned/, label_teacher/ in the "
        "first and the last",
        "fusion_pairs is this project's pack of pairs from RoadScene (github.com/hanna-xu/"
        "RoadScene), TNO and FLIR-aligned; it is kept beside the repository (shared/data)",
        counts={"train": 190, "test": 84},
        file_table="street",
        table="street",
    ),
    "folder": Layout(
        list_folder,
        ("all", "train", "val", "test"),
        "rgb/, thermal/ and, with labels, labels/ (or another of "
        f"{OTHER_NAMES}), files of one name; or these in train/, val/ and test/",
        "It is your own data: pairs registered to each other, labels as one channel of ids",
    ),
}
