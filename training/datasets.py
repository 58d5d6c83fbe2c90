"""Data sets of registered RGB + thermal pairs: one reader per published layout, one Dataset.

Layouts, splits and ids as published:
MFNet: the README of `ir_seg_dataset.zip` and github.com/haqishen/MFNet-pytorch (MF_dataset.py).
MSRS: github.com/Linfeng-Tang/MSRS (README, visualize.py; test/ir holds 361 images).
PST900: README of github.com/ShreyasSkandanS/pst900_thermal_rgb.
FMB: github.com/JinyuanLiu-CV/SegMiF (paper, issues 10 and 28).
M3FD: `M3FD_Fusion.zip` of github.com/JinyuanLiu-CV/TarDAL, which comes without a split.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.files import (
    ImageFileError,
    list_images,
    pair_folders,
    read_labels,
    read_rgb,
    read_thermal,
)
from mafs_ros.labels import ClassTable, check_labels, id_map, load_class_table
from mafs_ros.thermal import ThermalScaler

IGNORE = 255
LABELLINGS = ("network", "boxes", "both", "teacher")
LABEL_FOLDERS = {"boxes": "label_boxes", "teacher": "label_teacher"}
TIMES = {"_day": "D", "_night": "N"}  # MFNet ends the names of its frames so, and MSRS keeps them
PARTS = {"_fit": False, "_held_back": True}  # of any split
HOLD_BACK = 10  # every tenth pair
FIRST_SEEDS = {"train": 10_000, "val": 20_000, "test": 30_000}  # of the simulated streets

Image = NDArray[np.uint8]
Load = Callable[[Callable[[Any], Any], Any], Any]  # calls a function, or remembers its result


@dataclass(frozen=True)
class Sample:
    """One pair: rgb uint8 [H,W,3], thermal uint8 [H,W], labels uint8 [H,W] (255 ignored).

    background: how far to trust the background of the labels, 0..1; see `open_dataset`.
    """

    name: str
    rgb: Image
    thermal: Image
    labels: Image | None = None
    background: float = 1.0


@dataclass(frozen=True)
class Files:
    """Where a pair lies. One file for rgb and thermal holds both, in four channels (MFNet)."""

    name: str
    rgb: Path
    thermal: Path
    labels: Path | None = None


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


class Dataset:
    """Pairs of one split in a fixed order, whole and not augmented.

    class_table: of the labels, None where the pairs have none. With `cache` every array is kept
    once read (1.5 MB for a labelled pair of 640x480); forked workers share what was read before,
    and nobody may write into it.
    """

    def __init__(
        self,
        entries: Sequence[Any],
        read: Callable[[Any, Load], Sample],
        class_table: ClassTable | None,
        cache: bool = False,
    ) -> None:
        self.entries = entries
        self.class_table = class_table
        self._read = read
        self._cache: dict[Any, Any] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Sample:
        """The sample at an index. Raises ImageFileError or OSError that names the bad file."""
        return self._read(self.entries[index], self._load)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def _load(self, function: Callable[[Any], Any], argument: Any) -> Any:
        if self._cache is None:
            return function(argument)
        key = (function, argument)
        if key not in self._cache:
            self._cache[key] = function(argument)
        return self._cache[key]


def open_dataset(
    kind: str,
    root: Path | str | None,
    split: str,
    *,
    labels: str = "network",
    class_table: str | Path | None = None,
    cache: bool = False,
    count: int = 200,
    homography: Sequence[float] | None = None,
    background: float = 1.0,
) -> Dataset:
    """Open a split of a data set; only lists its files, images are read when asked for.

    kind: a key of LAYOUTS, or 'simulation', which needs no root and renders `count` street
    scenes of 480x640. split: one of the layout's; MFNet, MSRS and street_rgbt also take
    'test_day', 'train_night' and so on. Any split of files is divided by SPLIT_held_back, every
    tenth pair, and SPLIT_fit, the rest, for sets without a validation split. Frames of a sequence
    may lie in both: good for choosing among weights, not for figures to report.
    labels: of street_rgbt 'network' (label/), 'boxes' (label_boxes/, train and val), 'both': every
    pair twice, once with each, or 'teacher' (label_teacher/, train and val). fusion_pairs has
    'teacher' in some of its groups; without it, its pairs have no labels.
    class_table: another table than the data set's own. Classes are matched by name; those that
    the table lacks become 255. For the kind 'folder' it names the ids in the files ('street').
    homography: nine numbers, row by row, that take thermal to RGB pixels where the pairs of a data
    set are off; what the thermal image does not reach is black.
    background: share of the training samples in which the background counts away from objects,
    less than 1 where the labels miss objects; in the others it becomes 255.
    Raises ValueError for an impossible setting; FileNotFoundError, OSError or ImageFileError
    that says what is missing and where to get it.
    """
    if kind == "simulation":
        if class_table not in (None, "street"):
            raise ValueError(f"the simulation has the class table street, not {class_table}")
        return Dataset(
            simulated_seeds(split, count), read_scene, load_class_table("street"), cache
        )
    layout = find_layout(kind)
    if root is None:
        raise ValueError(f"{kind} needs the folder of the data set. {layout.source}")
    files = list_files(kind, Path(root), split)
    files = choose_labelling(kind, files, labels)
    matrix = as_matrix(homography)
    if not 0 <= background <= 1:
        raise ValueError(f"background must lie in 0..1, got {background}")
    read = partial(read_files, homography=matrix, background=background)
    if all(entry.labels is None for entry in files):
        return Dataset(files, partial(read, read_ids=None), None, cache)
    target = load_class_table(class_table or layout.table or "street")
    source = load_class_table(layout.file_table) if layout.file_table else target
    return Dataset(files, partial(read, read_ids=LabelReader(source, target)), target, cache)


def as_matrix(homography: Sequence[float] | None) -> NDArray[np.float64] | None:
    """Nine numbers as [3, 3]. Raises ValueError for another number of them."""
    if homography is None:
        return None
    if len(homography) != 9:
        raise ValueError(f"homography has {len(homography)} numbers, expected 9, row by row")
    return np.array(homography, np.float64).reshape(3, 3)


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


# One reader per layout: (root, split) -> files.


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
    """SPLIT/rgb, SPLIT/thermal and, where present, SPLIT/labels; 'all' is without SPLIT/."""
    _published("folder", split)
    if split == "all":
        parent = root
        if not (root / "rgb").is_dir() and (root / "train" / "rgb").is_dir():
            raise ImageFileError(f"{root}: is divided into splits; expected one of their names")
    else:
        parent = root / split
        if not parent.is_dir() and (root / "rgb").is_dir():
            raise ImageFileError(f"{root}: is not divided; its only split is 'all', not {split!r}")
    labels = "labels" if (parent / "labels").is_dir() else None
    return _three_folders(parent, "rgb", "thermal", labels)


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


def simulated_seeds(split: str, count: int) -> list[int]:
    """Seeds of the street scenes of a split; those of two splits never meet."""
    if split not in FIRST_SEEDS:
        raise ValueError(
            f"unknown split {split!r} of the simulation; expected {', '.join(FIRST_SEEDS)}"
        )
    if not 0 < count <= 10_000:
        raise ValueError(f"count of simulated scenes must lie in 1..10000, got {count}")
    return list(range(FIRST_SEEDS[split], FIRST_SEEDS[split] + count))


# From files and seeds to samples.


def read_files(
    files: Files,
    load: Load,
    read_ids: LabelReader | None,
    homography: NDArray[np.float64] | None,
    background: float,
) -> Sample:
    """Read a pair. Raises ImageFileError unless its images are of one size."""
    if files.rgb == files.thermal:
        both: Image = load(read_four_channels, files.rgb)
        rgb, thermal = np.ascontiguousarray(both[:, :, :3]), np.ascontiguousarray(both[:, :, 3])
    else:
        rgb, thermal = load(read_rgb, files.rgb), load(read_thermal_8bit, files.thermal)
    labels = load(read_ids, files.labels) if read_ids and files.labels else None
    for path, image in ((files.thermal, thermal), (files.labels, labels)):
        if image is not None and image.shape != rgb.shape[:2]:
            raise ImageFileError(
                f"{path}: got {image.shape[1]}x{image.shape[0]}, but {files.rgb} is "
                f"{rgb.shape[1]}x{rgb.shape[0]}; expected one size: register the pair first"
            )
    if homography is not None:
        size = thermal.shape[::-1]
        thermal = np.asarray(cv2.warpPerspective(thermal, homography, size), np.uint8)
    return Sample(files.name, rgb, thermal, labels, background)


def read_scene(seed: int, load: Load) -> Sample:
    """Render the simulated street of a seed; thermal is scaled to 8 bit by percentiles."""
    return load(render_scene, seed)


def render_scene(seed: int) -> Sample:
    """A frame of 480x640 of one street.

    The lower percentile that becomes black is drawn from 1 to 35, because cameras and people
    differ in how much of a cold sky they let go black.
    """
    from mafs_ros.simulation import StreetSimulation  # slow to import, and few need it

    rng = np.random.default_rng(seed)
    frame = StreetSimulation(seed=seed).frame(float(rng.uniform(0, 17)))
    scaler = ThermalScaler("percentile", percentiles=(float(rng.uniform(1, 35)), 99.5))
    return Sample(f"simulated_{seed}", frame.rgb, scaler(frame.thermal, 0.0), frame.labels)


def read_four_channels(path: Path) -> Image:
    """Red, green, blue and thermal of one PNG, uint8 [H,W,4]."""
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ImageFileError(f"{path}: not an image, damaged or cut off")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 4:
        raise ImageFileError(
            f"{path}: got {image.dtype} {list(image.shape)}, expected uint8 [H, W, 4] with "
            "thermal as the fourth channel; was the file saved anew by a program that drops it?"
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA), np.uint8)


def read_thermal_8bit(path: Path) -> Image:
    """Thermal uint8 [H,W]; 16-bit and float images are scaled by their own percentiles."""
    thermal = read_thermal(path)
    if thermal.dtype == np.uint8:
        return thermal
    try:
        return ThermalScaler("percentile")(thermal, 0.0)
    except ValueError as error:
        raise ImageFileError(f"{path}: {error}") from None


@dataclass(frozen=True)
class LabelReader:
    """Reads label files with the ids of `source` as ids of `target`, matched by class name."""

    source: ClassTable
    target: ClassTable

    def __call__(self, path: Path) -> Image:
        """Labels uint8 [H,W]. Raises ImageFileError for ids that the source does not have."""
        labels = read_labels(path)
        try:
            check_labels(labels, self.source)
        except ValueError as error:
            raise ImageFileError(f"{path}: {error}") from None
        return np.asarray(cv2.LUT(labels, id_map(self.source, self.target)), np.uint8)


# Helpers of the readers.


def _three_folders(parent: Path, rgb: str, thermal: str, labels: str | None) -> list[Files]:
    if not parent.is_dir():
        raise FileNotFoundError(f"{parent}: there is no such folder")
    pairs = pair_folders(parent / rgb, parent / thermal)
    if labels is None:
        return [Files(*pair) for pair in pairs]
    of_rgb = {name: path for name, _, path in pair_folders(parent / rgb, parent / labels)}
    return [Files(*pair, of_rgb[pair[0]]) for pair in pairs]


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
        "rgb/, thermal/ and, with labels, labels/, files of one name; or these in train/, val/ "
        "and test/",
        "It is your own data: pairs registered to each other, labels as one channel of ids",
    ),
}
