"""One sample: reading its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.images.files.read import (
    ImageFileError,
    read_four_channels,
    read_labels,
    read_rgb,
    read_thermal,
)
from mafs_ros.perception.classes import ClassTable, check_labels, id_map
from mafs_ros.perception.thermal import ThermalScaler

IGNORE = 255
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
