"""Data sets of registered RGB + thermal pairs: one reader per published layout, one Dataset.

Layouts, splits and ids as published:
MFNet: the README of `ir_seg_dataset.zip` and github.com/haqishen/MFNet-pytorch (MF_dataset.py).
MSRS: github.com/Linfeng-Tang/MSRS (README, visualize.py; test/ir holds 361 images).
PST900: README of github.com/ShreyasSkandanS/pst900_thermal_rgb.
FMB: github.com/JinyuanLiu-CV/SegMiF (paper, issues 10 and 28).
M3FD: `M3FD_Fusion.zip` of github.com/JinyuanLiu-CV/TarDAL, which comes without a split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.perception.classes import ClassTable, load_class_table
from training.data.layouts import choose_labelling, find_layout, list_files
from training.data.samples import LabelReader, Load, Sample, read_files
from training.data.simulated import read_scene, simulated_seeds


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
