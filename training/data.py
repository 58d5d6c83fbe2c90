"""Training pairs of street_rgbt in memory, cropped and augmented (training.fusion_branch).

    python -m training.data ROOT [--kind KIND] [--table TABLE]

checks a copy of a data set (training/check_data.py).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mafs_ros.files import ImageFileError, read_rgb, read_thermal

IGNORE = 255
STREET_CLASSES = 4  # background, car, person, bike: MFNet's ids 0 to 3

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """One registered pair: rgb [H, W, 3], thermal [H, W], one or two labellings [H, W]."""

    rgb: Image
    thermal: Image
    labels: tuple[Image, ...]


def read_pairs(folder: Path) -> list[Pair]:
    """Read `vi/`, `ir/`, `label/` and, where present, `label_boxes/` of a street_rgbt split.

    Ids above 3 become 255 (ignored). Raises ImageFileError for what is missing or unreadable.
    """
    pairs = []
    for rgb_path in sorted((folder / "vi").iterdir()):
        name = f"{rgb_path.stem}.png"
        labellings = [folder / "label" / name]
        if (folder / "label_boxes" / name).exists():
            labellings.append(folder / "label_boxes" / name)
        labels = tuple(_street_ids(read_thermal(path)) for path in labellings)
        thermal = read_thermal(folder / "ir" / name)
        pairs.append(Pair(read_rgb(rgb_path), thermal.astype(np.uint8), labels))
    if not pairs:
        raise ImageFileError(f"no images in {folder / 'vi'}")
    return pairs


class CropSampler:
    """Draw batches of augmented square crops from pairs held in memory.

    Augmentation: scale 0.6 to 1.6, horizontal flip, brightness and gamma of the visible image,
    gain and offset of the thermal one. With two labellings one is drawn at random, so that
    where they disagree the target is soft over time.
    """

    def __init__(self, pairs: list[Pair], crop: int, seed: int) -> None:
        self.pairs, self.crop = pairs, crop
        self.rng = np.random.default_rng(seed)

    def batch(self, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return rgb [size, 3, crop, crop], thermal [size, 1, ...] in 0..1, labels int64."""
        crops = [self._crop(self.pairs[i]) for i in self.rng.integers(len(self.pairs), size=size)]
        rgb, thermal, labels = (np.stack(arrays) for arrays in zip(*crops, strict=True))
        return (
            torch.from_numpy(rgb).permute(0, 3, 1, 2).contiguous(),
            torch.from_numpy(thermal)[:, None],
            torch.from_numpy(labels.astype(np.int64)),
        )

    def _crop(self, pair: Pair) -> tuple[NDArray, NDArray, Image]:
        rng, labels = self.rng, pair.labels[self.rng.integers(len(pair.labels))]
        height, width = labels.shape
        window = min(int(self.crop / rng.uniform(0.6, 1.6)), height, width)
        top, left = rng.integers(height - window + 1), rng.integers(width - window + 1)
        area = np.s_[top : top + window, left : left + window]
        size = (self.crop, self.crop)
        smooth = cv2.INTER_AREA if window > self.crop else cv2.INTER_LINEAR
        rgb = cv2.resize(pair.rgb[area], size, interpolation=smooth).astype(np.float32) / 255
        thermal = cv2.resize(pair.thermal[area], size, interpolation=smooth)
        thermal = thermal.astype(np.float32) / 255
        labels = np.asarray(
            cv2.resize(labels[area], size, interpolation=cv2.INTER_NEAREST), np.uint8
        )
        if rng.random() < 0.5:
            rgb, thermal, labels = rgb[:, ::-1], thermal[:, ::-1], labels[:, ::-1]
        rgb = np.clip(rgb, 0, 1) ** rng.uniform(0.7, 1.4) * rng.uniform(0.6, 1.25)
        thermal = thermal * rng.uniform(0.75, 1.25) + rng.uniform(-0.1, 0.1)
        return (
            np.clip(rgb, 0, 1).astype(np.float32),
            np.clip(thermal, 0, 1).astype(np.float32),
            labels,
        )


def _street_ids(labels: NDArray) -> Image:
    ids = labels.astype(np.uint8)
    ids[ids >= STREET_CLASSES] = IGNORE
    return ids


def main(argv: list[str] | None = None) -> int:
    """Check a copy of a data set; returns 0 when nothing is wrong, else 1."""
    from training.check_data import check_data
    from training.datasets import LAYOUTS

    parser = argparse.ArgumentParser(
        prog="python -m training.data",
        description="Check a copy of a data set: counts, pairs, sizes, label ids, what is missing "
        "and where to get it.",
    )
    parser.add_argument("root", type=Path, help="folder of the data set")
    parser.add_argument("--kind", choices=list(LAYOUTS), help="guessed from the folders if absent")
    parser.add_argument(
        "--table", help="class table of a folder's labels, name or YAML (default: street)"
    )
    args = parser.parse_args(argv)
    try:
        return 1 if check_data(args.root, args.kind, args.table) else 0
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
