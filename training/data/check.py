"""Check of a copy of a data set: counts, pairs, sizes, label ids, what is missing and where it is.

`python -m training.data ROOT [--kind KIND] [--table TABLE]` calls it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mafs_ros.images.files.data_folders import find_drives
from mafs_ros.perception.classes import ClassTable
from mafs_ros.perception.label_check import absent_classes, no_object
from training.data.datasets import Dataset, open_dataset
from training.data.layouts import LAYOUTS, find_layout
from training.data.samples import IGNORE

SHOWN = 5  # problems of one split that are printed


@dataclass
class SplitReport:
    """What was found in a split: sizes (height, width), pixels and images of each label id."""

    split: str
    dataset: Dataset | None = None
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    images: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    problems: list[str] = field(default_factory=list)


def check_data(root: Path, kind: str | None = None, table: str | None = None) -> int:
    """Read every file of a copy and print what was found; returns the number of problems.

    kind: a key of LAYOUTS, None to guess it. table: class table of a folder's label ids.
    Raises ValueError for an unknown kind or one that cannot be guessed, FileNotFoundError.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: there is no such folder")
    kind = kind or guess_kind(root)
    layout = find_layout(kind)
    print(f"{root} as {kind}: {layout.looks_like}")
    reports = [
        check_split(kind, root, split, labels, table)
        for split, labels in _splits_to_check(kind, root)
    ]
    problems = 0
    for report in reports:
        print_report(report)
        problems += len(report.problems)
    for problem in shared_images(reports) + never_labelled(reports):
        print(f"PROBLEM: {problem}")
        problems += 1
    if problems:
        print(f"\n{problems} problem{'s' if problems > 1 else ''}. {layout.source}.")
    else:
        print("\nNo problem found.")
    return problems


def guess_kind(root: Path) -> str:
    """The kind whose folders lie in root. Raises ValueError that says what each looks like."""

    def has(*folders: str) -> bool:
        return any(all((root / part / name).exists() for name in folders) for part in parts)

    parts = ("train", "val", "test")
    rgb_thermal = has("rgb", "thermal")
    found = {
        "street_rgbt": has("vi", "ir", "label"),
        "msrs": has("vi", "ir"),
        "fmb": has("Visible", "Infrared"),
        "pst900": rgb_thermal and (has("thermal_raw") or "pst" in root.resolve().name.lower()),
        "folder": rgb_thermal or ((root / "rgb").is_dir() and (root / "thermal").is_dir()),
        "mfnet": (root / "images").is_dir() and (root / "labels").is_dir(),
        "m3fd": (root / "Vis").is_dir() and (root / "Ir").is_dir(),
        "fusion_pairs": (root / "manifest.csv").is_file(),
    }
    for kind, fits in found.items():
        if fits:
            return kind
    if find_drives(root):  # under other names than rgb and thermal
        return "folder"
    known = "\n".join(f"  {kind}: {layout.looks_like}" for kind, layout in LAYOUTS.items())
    raise ValueError(f"{root}: holds no data set known here; expected one of\n{known}")


def check_split(
    kind: str, root: Path, split: str, labels: str, class_table: str | None
) -> SplitReport:
    """Read every pair of a split; what goes wrong becomes a problem of the report.

    Without a class table the ids are shown as they are in the files.
    """
    layout = LAYOUTS[kind]
    if class_table is None and labels == "network":
        class_table = layout.file_table
    report = SplitReport(split if labels == "network" else f"{split}, labels={labels}")
    try:
        dataset = open_dataset(kind, root, split, labels=labels, class_table=class_table)
    except (ValueError, OSError) as error:
        report.problems.append(str(error))
        return report
    report.dataset = dataset
    expected = layout.counts.get(split, 0)
    if len(dataset) < expected:
        report.problems.append(f"{len(dataset)} pairs, but the published split has {expected}")
    for index in tqdm(range(len(dataset)), desc=report.split, unit="pair", leave=False):
        try:
            sample = dataset[index]
        except (ValueError, OSError) as error:
            report.problems.append(str(error))
            continue
        report.sizes[sample.thermal.shape[0], sample.thermal.shape[1]] += 1
        if sample.labels is not None:
            pixels = np.bincount(sample.labels.ravel(), minlength=256)
            report.pixels += pixels
            report.images += pixels > 0
    if dataset.class_table and (problem := no_object(report.pixels, dataset.class_table)):
        report.problems.append(problem)
    if layout.size and set(report.sizes) - {layout.size}:
        others = sum(count for size, count in report.sizes.items() if size != layout.size)
        report.problems.append(f"{others} pairs are not {layout.size[1]}x{layout.size[0]}")
    return report


def shared_images(reports: list[SplitReport]) -> list[str]:
    """Splits that hold the same image file: what is trained with must not be tested with."""
    files: dict[str, set[Path]] = {}
    for report in reports:
        if report.dataset is not None:
            split = report.split.partition(",")[0]
            files.setdefault(split, set()).update(pair.rgb for pair in report.dataset.entries)
    names = list(files)
    return [
        f"{len(files[one] & files[other])} images are both in {one} and in {other}"
        for i, one in enumerate(names)
        for other in names[i + 1 :]
        if files[one] & files[other]
    ]


def never_labelled(reports: list[SplitReport]) -> list[str]:
    """Classes that occur in no split, of each class table with which others do."""
    pixels: dict[ClassTable, NDArray[np.int64]] = {}
    for report in reports:
        table = report.dataset.class_table if report.dataset else None
        if table is not None:
            pixels[table] = pixels.get(table, 0) + report.pixels
    return [
        f"{', '.join(absent)} of the class table {table.name}: never occur in the labels, and "
        "cannot be learned or scored; choose a table without them, or add images that show them"
        for table, counts in pixels.items()
        if 0 < len(absent := absent_classes(counts, table)) < table.num_classes - 1
        and counts.any()
    ]


def print_report(report: SplitReport) -> None:
    """Print the counts, sizes and classes of a split and the first of its problems."""
    pairs = 0 if report.dataset is None else len(report.dataset)
    sizes = ", ".join(f"{w}x{h} ({n})" for (h, w), n in report.sizes.most_common(SHOWN))
    more = f" and {len(report.sizes) - SHOWN} more sizes" if len(report.sizes) > SHOWN else ""
    print(f"\n{report.split}: {pairs} pairs, {sizes or 'none readable'}{more}")
    table = report.dataset.class_table if report.dataset else None
    if table is not None and report.pixels.any():
        rows = [(entry.id, entry.name) for entry in table.classes] + [(IGNORE, "(ignored)")]
        print(f"  {'id':>3} {'class':<18} {'pixels':>9} {'images':>7}")
        for i, name in rows:
            share = report.pixels[i] / report.pixels.sum()
            absent = "  absent" if i != IGNORE and not report.pixels[i] else ""
            print(f"  {i:>3} {name:<18} {share:>9.3%} {report.images[i]:>7}{absent}")
    elif table is None and pairs:
        print("  no labels: for fusion only")
    for problem in report.problems[:SHOWN]:
        print(f"PROBLEM: {problem}")
    if len(report.problems) > SHOWN:
        print(f"PROBLEM: and {len(report.problems) - SHOWN} more like these")


def _splits_to_check(kind: str, root: Path) -> list[tuple[str, str]]:
    """(split, labelling) of everything that this kind of copy should hold."""
    splits = LAYOUTS[kind].splits
    if kind == "folder":
        divided = [split for split in splits if (root / split).is_dir()]
        splits = tuple(divided) or ("all",)
    checks = [(split, "network") for split in splits]
    if kind == "street_rgbt":
        checks += [(split, "boxes") for split in ("train", "val")]
    return checks
