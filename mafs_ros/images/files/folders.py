"""Lists the images of folders and pairs them by name."""

from __future__ import annotations

import re
from pathlib import Path

from mafs_ros.images.files.read import IMAGE_SUFFIXES, ImageFileError


def natural_order(name: str) -> list[tuple[int, str]]:
    """Sort key that puts `frame2` before `frame10`."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def list_images(folder: Path | str) -> dict[str, Path]:
    """The image files in a folder, name without suffix -> path, in natural order.

    Raises FileNotFoundError (no such folder), ImageFileError (not a folder, no images, or two
    images of one name).
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    if not folder.is_dir():
        raise ImageFileError(f"{folder}: is a file, expected a folder of images")
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise OSError(f"{folder}: cannot be read: {error.strerror}") from error
    images: dict[str, Path] = {}
    for path in sorted(entries, key=lambda path: natural_order(path.name)):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in images:
            raise ImageFileError(
                f"{folder}: two images are named {path.stem} ({images[path.stem].name} and "
                f"{path.name}), expected one"
            )
        images[path.stem] = path
    if not images:
        raise ImageFileError(
            f"{folder}: no image in this folder; "
            f"expected files ending in {', '.join(IMAGE_SUFFIXES)}"
        )
    return images


def pair_folders(rgb_dir: Path | str, thermal_dir: Path | str) -> list[tuple[str, Path, Path]]:
    """Pair the images of two folders by their names without suffix, in natural order.

    Returns (name, RGB path, thermal path); the images of a pair may differ in size. Raises
    ImageFileError where an image has no partner: it counts and names those left over.
    """
    rgb, thermal = list_images(rgb_dir), list_images(thermal_dir)
    lonely = [
        f"{len(missing)} of {len(own)} images in {folder} have no partner of the same name in "
        f"{other_folder}: {some(missing)}"
        for own, other, folder, other_folder in (
            (rgb, thermal, rgb_dir, thermal_dir),
            (thermal, rgb, thermal_dir, rgb_dir),
        )
        if (missing := [name for name in own if name not in other])
    ]
    if lonely:
        raise ImageFileError("; ".join(lonely) + ". Rename or move these files")
    return [(name, path, thermal[name]) for name, path in rgb.items()]


def some(names: list[str], shown: int = 5) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
