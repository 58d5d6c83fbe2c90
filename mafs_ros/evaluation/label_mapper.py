"""Label ids of one class table as those of another, classes matched by name."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.perception.classes import ClassTable, check_labels, id_map

Image = NDArray[np.uint8]


class LabelMapper:
    """Label maps of one class table as ids of another.

    Classes that the target does not have become its ignored id. Raises ValueError where no class
    but the background is in both.
    """

    def __init__(self, source: ClassTable, target: ClassTable) -> None:
        if not set(source.names) & set(target.names[1:]):
            raise ValueError(
                f"the label classes ({', '.join(source.names)}) and those of the network "
                f"({', '.join(target.names)}) have no object in common; name the table of the "
                "labels with --label-classes"
            )
        self.source = source
        self._ids = id_map(source, target)

    def __call__(self, labels: NDArray[Any], size: tuple[int, int]) -> Image:
        """Labels uint8 [H,W]; raises ValueError for another size or ids without a class."""
        if labels.shape != size:
            raise ValueError(
                f"the labels are {labels.shape[1]}x{labels.shape[0]}, expected "
                f"{size[1]}x{size[0]} as the RGB image"
            )
        try:
            check_labels(labels, self.source)
        except ValueError as error:
            raise ValueError(f"{error}; is --label-classes the table of these labels?") from None
        return np.asarray(cv2.LUT(labels, self._ids), np.uint8)
