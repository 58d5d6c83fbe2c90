"""Whether labels are of any use: what their ids say over all images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.perception.classes import ClassTable


def absent_classes(pixels: NDArray[Any], table: ClassTable) -> list[str]:
    """The objects that never occur; pixels: how many there are of each id, [256]."""
    return [entry.name for entry in table.classes[1:] if not pixels[entry.id]]


def no_object(pixels: NDArray[Any], table: ClassTable) -> str:
    """'' where some object occurs (or nothing was counted), else what is wrong and what to do.

    pixels: how many there are of each id of the table, [256].
    """
    absent = absent_classes(pixels, table)
    total = int(np.sum(pixels))
    if not total or len(absent) < table.num_classes - 1:
        return ""
    ignored = pixels[table.ignore_id] / total
    if ignored:
        return (
            f"no label holds an object ({', '.join(absent)}), and {table.ignore_id} (ignored) "
            f"takes {ignored:.1%} of the pixels; masks of 0 and {table.ignore_id} need the id of "
            f"the class in its place: save them with ids 0 and 1 (1 is {table.names[1]} in the "
            f"class table {table.name})"
        )
    return (
        f"the labels hold the background alone, no {' or '.join(absent)}; are these the images "
        f"of class ids, and is {table.name} their class table?"
    )
