"""A bag out of folders of images."""

from __future__ import annotations

import sys
from pathlib import Path

RGB_TOPIC, THERMAL_TOPIC, LABELS_TOPIC = "/rgb/image", "/thermal/image", "/labels/image"
DEPTH_TOPIC = "/depth/image"  # of simulated drives
FIRST_STAMP_S = 1_700_000_000  # always the same, so that the same images give the same bag


def write_shots(writer, shots: list[tuple[int, str, Path]]) -> None:
    """Append (stamp in ns, camera, image file) one after the other."""
    from tqdm import tqdm

    from mafs_ros.images.files.read import (
        read_fourth_channel,
        read_labels,
        read_rgb,
        read_thermal,
    )

    readers = {
        "rgb": (RGB_TOPIC, read_rgb, "rgb_camera"),
        "thermal": (THERMAL_TOPIC, read_thermal, "thermal_camera"),
        "fourth channel": (THERMAL_TOPIC, read_fourth_channel, "thermal_camera"),
        "labels": (LABELS_TOPIC, read_labels, "rgb_camera"),
    }
    for stamp, camera, path in tqdm(shots, unit="image", disable=None):
        topic, read, frame_id = readers[camera]
        writer.write_image(topic, read(path), stamp, frame_id)


def find_labels(folder: Path | None, names: list[str]) -> dict[str, Path]:
    """Name -> label file; raises ImageFileError for labels without an image."""
    from mafs_ros.images.files.folders import files_of, list_images, some
    from mafs_ros.images.files.read import ImageFileError

    if folder is None:
        return {}
    labels, there_are = files_of(names, folder), list_images(folder)
    used = set(labels.values())
    if lonely := [name for name, path in there_are.items() if path not in used]:
        raise ImageFileError(
            f"{folder}: {len(lonely)} of {len(there_are)} labels have no image of "
            f"the same name: {some(lonely)}"
        )
    if len(labels) < len(names):
        print(
            f"mafs bag: {len(names) - len(labels)} of {len(names)} images have no labels",
            file=sys.stderr,
        )
    return labels


def even_stamps(fps: float, count: int) -> list[tuple[int, int]]:
    """(RGB, thermal) stamps in ns at a steady rate, both cameras at once."""
    stamps = [FIRST_STAMP_S * 10**9 + round(index * 1e9 / fps) for index in range(count)]
    return [(stamp, stamp) for stamp in stamps]
