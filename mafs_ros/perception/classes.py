"""Class tables: what the ids of a label map mean and the colours they are shown in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.base.resources import share_path
from mafs_ros.base.yaml_file import read_yaml

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class LabelClass:
    """One class: its id in label maps, its name and its colour (r, g, b), each 0..255."""

    id: int
    name: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class ClassTable:
    """The classes of a data set or network: ids 0 (background), 1, 2, ... in order.

    ignore_id: the id of pixels without a label; it is no class. Raises ValueError if ids, names
    or colours do not fit together.
    """

    name: str
    classes: tuple[LabelClass, ...]
    ignore_id: int = 255

    def __post_init__(self) -> None:
        ids = [c.id for c in self.classes]
        if len(ids) < 2 or ids != list(range(len(ids))):
            raise ValueError(
                f"class table {self.name}: ids must be 0, 1, 2, ... in order, at least two; "
                f"got {ids}"
            )
        if len(set(self.names)) < len(ids) or not all(self.names):
            raise ValueError(
                f"class table {self.name}: names must differ and not be empty; got "
                f"{', '.join(self.names)}"
            )
        if not len(ids) <= self.ignore_id <= 255:
            raise ValueError(
                f"class table {self.name}: ignore_id must lie in {len(ids)}..255, "
                f"got {self.ignore_id}"
            )
        for c in self.classes:
            if len(c.colour) != 3 or not all(value in range(256) for value in c.colour):
                raise ValueError(
                    f"class table {self.name}: colour of {c.name} must be three numbers in "
                    f"0..255, got {list(c.colour)}"
                )

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.classes)

    @cached_property
    def palette(self) -> Image:
        """uint8 [256,3] (read-only): rgb colour of every id, black for ids without a class."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: self.num_classes] = [c.colour for c in self.classes]
        palette.setflags(write=False)
        return palette

    @cached_property
    def object_ids(self) -> Image:
        """uint8 [256] (read-only): every id of the table itself, 0 for all other ids."""
        ids = np.arange(256, dtype=np.uint8)
        ids[self.num_classes :] = 0
        ids.setflags(write=False)
        return ids

    def to_dict(self) -> dict[str, Any]:
        """Plain dict of numbers, strings and lists, as in the YAML files and model metadata."""
        classes = [{"id": c.id, "name": c.name, "colour": list(c.colour)} for c in self.classes]
        return {"name": self.name, "ignore_id": self.ignore_id, "classes": classes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ClassTable:
        """The inverse of `to_dict`. Raises ValueError that says what is missing or wrong."""
        try:
            classes = tuple(
                LabelClass(c["id"], str(c["name"]), tuple(c["colour"])) for c in data["classes"]
            )
            return cls(str(data["name"]), classes, int(data.get("ignore_id", 255)))
        except KeyError as error:
            raise ValueError(
                f"class table lacks {error}; needed: name, classes (each id, name, colour)"
            ) from None
        except (TypeError, AttributeError) as error:
            raise ValueError(f"class table is malformed: {error}") from None


def load_class_table(name_or_path: str | Path) -> ClassTable:
    """Class table by name ('street', 'mfnet', 'pst900', 'fmb') or from a YAML file of one's own.

    Raises FileNotFoundError that lists the tables shipped, ValueError for a malformed file.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        folder = share_path("config", "labels")
        path = folder / f"{name_or_path}.yaml"
        if not path.is_file():
            shipped = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
            raise FileNotFoundError(
                f"no class table {name_or_path!r}; give the path of a .yaml file or one of: "
                f"{shipped}"
            )
    data = read_yaml(path)
    try:
        if not isinstance(data, Mapping):
            raise ValueError("class table must be a mapping with name and classes")
        return ClassTable.from_dict(data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def check_labels(labels: NDArray[np.generic], table: ClassTable) -> None:
    """Raise ValueError unless labels is uint8 [H,W] with ids of the table or its ignore_id."""
    check_label_map(labels)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
    unknown = [int(i) for i in present if i >= table.num_classes and i != table.ignore_id]
    if unknown:
        raise ValueError(
            f"labels hold the ids {unknown[:8]}, which class table {table.name} does not have; "
            f"expected 0..{table.num_classes - 1} or {table.ignore_id}"
        )


def id_map(source: ClassTable, target: ClassTable) -> Image:
    """uint8 [256]: the id in `target` of each id of `source`; its ignore_id for what it lacks."""
    ids = np.full(256, target.ignore_id, np.uint8)
    for entry in source.classes:
        if entry.name in target.names:
            ids[entry.id] = target.names.index(entry.name)
    return ids


def check_label_map(labels: NDArray[np.generic]) -> None:
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(f"labels must be uint8 [H,W], got {labels.dtype} {list(labels.shape)}")
