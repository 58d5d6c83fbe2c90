"""The folders of a data set: which of them hold RGB images, thermal images, labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mafs_ros.images.files.folders import (
    Pair,
    files_of,
    four_channels,
    list_images,
    pair_folders,
    some,
)
from mafs_ros.images.files.names import has_word, natural_order
from mafs_ros.images.files.pixels import ImageFileError

# Names of the folders below a data folder, in capitals or not; the first found wins.
RGB_FOLDERS = ("rgb", "vi", "visible", "vis", "color", "colour")
THERMAL_FOLDERS = ("thermal", "ir", "infrared", "lwir", "tir", "thermal16", "thermal8")
LABEL_FOLDERS = ("labels", "label", "segmentation_labels")
BOTH_FOLDER = "images"  # of MFNet: red, green, blue and thermal in one file
OTHER_NAMES = ", ".join(RGB_FOLDERS[1:] + THERMAL_FOLDERS[1:] + LABEL_FOLDERS[1:])
LOOKS_LIKE = (
    f"a folder of RGB images ({', '.join(RGB_FOLDERS)}) and one of thermal images "
    f"({', '.join(THERMAL_FOLDERS)}) with images named alike, in it or in its subfolders; one "
    "folder of names that end in _rgb and _th; or one called images of four channels, the last "
    "of them thermal"
)
DEEPEST = 3  # subfolders of subfolders of subfolders


@dataclass(frozen=True)
class Folders:
    """Where the images of a drive lie: in `root` or folders right below it.

    rgb and thermal may be one folder. labels: None where there are none.
    """

    root: Path
    rgb: Path
    thermal: Path
    labels: Path | None


def find_folders(data: Path) -> Folders | None:
    """The image folders right below `data`; None where they are not there."""
    rgb, thermal = _subfolder(data, RGB_FOLDERS), _subfolder(data, THERMAL_FOLDERS)
    if rgb and thermal:
        return Folders(data, rgb, thermal, _subfolder(data, LABEL_FOLDERS))
    for both in (_subfolder(data, (BOTH_FOLDER,)), data):
        if both is not None and _is_of_both(both):
            labels = _subfolder(data, LABEL_FOLDERS) if both != data else None
            return Folders(data, both, both, labels)
    return None


def find_drives(data: Path, deep: int = DEEPEST) -> list[Folders]:
    """The image folders in `data`, else in the subfolders that have some (KAIST: set00/V000)."""
    own = find_folders(data)
    if own is not None:
        return [own]
    if deep == 0 or not data.is_dir():
        return []
    below = sorted(
        (path for path in data.iterdir() if path.is_dir() and not path.name.startswith(".")),
        key=lambda path: natural_order(path.name),
    )
    return [drive for path in below for drive in find_drives(path, deep - 1)]


def data_pairs(data: Path, labelled: bool) -> list[tuple[Pair, Path | None]]:
    """The pairs of a data folder; `labelled`: each with its labels, None without such a folder.

    Pairs of several drives are named after their subfolders too. Raises OSError, or
    ImageFileError: no such folders, images without a partner or without labels.
    """
    drives = find_drives(data)
    if not drives:
        raise ImageFileError(f"{data}: holds no pairs; expected {LOOKS_LIKE}")
    found: list[tuple[Pair, Path | None]] = []
    for drive in drives:
        pairs = pair_folders(drive.rgb, drive.thermal)
        labels = labels_of(pairs, drive.labels) if drive.labels and labelled else {}
        prefix = "".join(f"{part}_" for part in drive.root.relative_to(data).parts)
        found += [
            ((prefix + name, rgb, thermal), labels.get(name)) for name, rgb, thermal in pairs
        ]
    return found


def labels_of(pairs: list[Pair], folder: Path) -> dict[str, Path]:
    """The label file of each pair; raises ImageFileError for pairs and labels that are alone."""
    files = files_of([name for name, _, _ in pairs], folder)
    if missing := [name for name, _, _ in pairs if name not in files]:
        raise ImageFileError(
            f"{len(missing)} of {len(pairs)} pairs have no labels of the same name in {folder}: "
            f"{some(missing)}. Rename or move these files"
        )
    used = set(files.values())
    if lonely := [name for name, path in list_images(folder).items() if path not in used]:
        raise ImageFileError(
            f"{len(lonely)} labels in {folder} have no pair of the same name: {some(lonely)}. "
            "Rename or move these files"
        )
    return files


def _is_of_both(folder: Path) -> bool:
    """Whether the files right in a folder are of both cameras: by their names, or in each."""
    if not folder.is_dir():
        return False
    files = [path for path in folder.iterdir() if path.is_file()]
    cameras = [any(has_word(path.stem, camera) for path in files) for camera in ("rgb", "thermal")]
    if not all(cameras):
        pictures = (path for path in files if path.suffix.lower() == ".png")
        return not any(cameras) and four_channels(pictures)
    try:
        pair_folders(folder, folder)
    except (OSError, ImageFileError):
        return False
    return True


def _subfolder(parent: Path, names: tuple[str, ...]) -> Path | None:
    """The first of the names that a folder in `parent` has, in whatever case."""
    if not parent.is_dir():
        return None
    present = {path.name.casefold(): path for path in sorted(parent.iterdir()) if path.is_dir()}
    exact = next((parent / name for name in names if (parent / name).is_dir()), None)
    return exact or next((present[name] for name in names if name in present), None)
