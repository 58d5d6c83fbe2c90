"""What a run leaves to look at: CSV tables, TensorBoard files, picture grids."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from mafs_ros.base.write import write_bytes
from mafs_ros.images.files.write import write_png

Image = NDArray[np.uint8]
TILE_WIDTH = 320


class Logs:
    """Losses and scores by step, in `losses.csv`, `scores.csv`, `tensorboard/` and `pictures/`.

    first_step: rows of later steps, which a run wrote after its last checkpoint, are removed.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self.folder = folder
        for name in ("losses", "scores"):
            forget_rows_after(folder / f"{name}.csv", first_step)
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step + 1)

    def add(self, table: str, step: int, values: Mapping[str, float]) -> None:
        """Append a row to a table. Values that are not known (NaN) stay empty."""
        known = {name: value for name, value in values.items() if value == value}
        append_row(self.folder / f"{table}.csv", {"step": step, **dict.fromkeys(values), **known})
        for name, value in known.items():
            self.writer.add_scalar(f"{table}/{name}", value, step)
        self.writer.flush()

    def add_picture(self, step: int, rows: Sequence[Sequence[Image]]) -> None:
        """Write a grid of pictures."""
        if not rows:
            return
        picture = grid(rows)
        (self.folder / "pictures").mkdir(exist_ok=True)
        write_png(self.folder / "pictures" / f"step_{step:07d}.png", picture)
        self.writer.add_image("pictures", picture, step, dataformats="HWC")

    def close(self) -> None:
        self.writer.close()


def grid(rows: Sequence[Sequence[Image]]) -> Image:
    """One picture uint8 [H,W,3] of rows of grey [h,w] or rgb [h,w,3] images, side by side.

    Images wider than TILE_WIDTH are made smaller; shorter rows are filled up with black.
    """
    strips = [np.hstack([_tile(image) for image in row]) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    padded = [np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0))) for s in strips]
    return np.vstack(padded)


def _tile(image: Image) -> Image:
    colour = np.dstack([image] * 3) if image.ndim == 2 else image
    height, width = colour.shape[:2]
    if width <= TILE_WIDTH:
        return np.ascontiguousarray(colour)
    size = (TILE_WIDTH, max(1, round(height * TILE_WIDTH / width)))
    return np.asarray(cv2.resize(colour, size, interpolation=cv2.INTER_AREA), np.uint8)


def append_row(path: Path, row: Mapping[str, float | None]) -> None:
    """Append a row to a CSV file, with a heading where the file is new."""
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(row)
        writer.writerow(
            "" if value is None else value if isinstance(value, int) else f"{value:.6g}"
            for value in row.values()
        )


def forget_rows_after(path: Path, step: int) -> None:
    """Remove the rows of a CSV file whose first column is above `step`."""
    if not path.exists():
        return
    heading, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True) or [""]

    def wanted(line: str) -> bool:
        number = line.partition(",")[0]
        return line.endswith("\n") and number.isdigit() and int(number) <= step

    kept = itertools.takewhile(wanted, lines)  # steps only rise; a torn last line goes too
    write_bytes(path, "".join([heading, *kept]).encode())
