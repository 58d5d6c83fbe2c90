"""Lists the images of folders and pairs them by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mafs_ros.images.codecs.header import read_header
from mafs_ros.images.files.names import has_word, match_names, natural_order, without_words
from mafs_ros.images.files.pixels import ARRAY_SUFFIX, IMAGE_SUFFIXES, ImageFileError

Pair = tuple[str, Path, Path]  # name, RGB file, thermal file
# Folders that programs put among the images: previews of macOS archives and of a NAS.
NO_IMAGES = ("__MACOSX", "@eaDir")
_HEADER = 64  # bytes of a PNG that say how many channels it has


def list_images(folder: Path | str) -> dict[str, Path]:
    """The image files in a folder, name without suffix -> path, in natural order.

    A folder without any image of its own gives those of its subfolders, named SUBFOLDER_NAME; one
    without any picture its .npy arrays. Hidden files are left out. Raises FileNotFoundError (no
    such folder), ImageFileError (not a folder, no images, or two images of one name).
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    if not folder.is_dir():
        raise ImageFileError(f"{folder}: is a file, expected a folder of images")
    try:
        paths = _of_kind(folder, folder.iterdir()) or _of_kind(folder, folder.rglob("*"))
    except OSError as error:
        raise OSError(f"{folder}: cannot be read: {error.strerror}") from error
    images: dict[str, Path] = {}
    names = {path: "_".join(path.relative_to(folder).with_suffix("").parts) for path in paths}
    for path in sorted(paths, key=lambda path: natural_order(str(path.relative_to(folder)))):
        name = names[path]
        if name in images:
            raise ImageFileError(
                f"{folder}: two images are named {name} ({images[name].name} and "
                f"{path.name}), expected one"
            )
        images[name] = path
    if not images:
        raise ImageFileError(
            f"{folder}: no image in this folder; "
            f"expected files ending in {', '.join((*IMAGE_SUFFIXES, ARRAY_SUFFIX))}"
        )
    return images


def _of_kind(folder: Path, entries: Iterable[Path]) -> list[Path]:
    """The pictures among the entries below a folder, else the arrays."""
    paths = [
        path
        for path in entries
        if path.suffix.lower() in (*IMAGE_SUFFIXES, ARRAY_SUFFIX)
        and not path.is_dir()
        and not any(_is_foreign(part) for part in path.relative_to(folder).parts)
    ]
    return [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES] or paths


def _is_foreign(name: str) -> bool:
    return name.startswith(".") or name in NO_IMAGES


def pair_folders(rgb_dir: Path | str, thermal_dir: Path | str) -> list[Pair]:
    """Pair the images of two folders by their names without suffix, in natural order.

    Names may differ by the word for the camera (0001_rgb and 0001_th, which pair as 0001) and in
    the zeros before numbers; both folders may be one whose names have such words, or whose images
    have four channels, the last of them thermal. Returns (name, RGB path, thermal path) for
    `read_pair`; the images of a pair may differ in size. Raises ImageFileError where
    an image has no partner: it counts and names those left over.
    """
    rgb, thermal = list_images(rgb_dir), list_images(thermal_dir)
    if Path(rgb_dir).resolve() == Path(thermal_dir).resolve():
        if not any(has_word(name, "thermal") for name in rgb) and four_channels(rgb.values()):
            return [(name, path, path) for name, path in rgb.items()]
        rgb, thermal = _of_one_folder(rgb, rgb_dir)
    partners = match_names(rgb, thermal)
    lonely = [
        f"{len(missing)} of {len(own)} images in {folder} have no partner of the same name in "
        f"{other_folder}: {some(missing)}"
        for own, found, folder, other_folder in (
            (rgb, set(partners), rgb_dir, thermal_dir),
            (thermal, set(partners.values()), thermal_dir, rgb_dir),
        )
        if (missing := [name for name in own if name not in found])
    ]
    if lonely:
        raise ImageFileError("; ".join(lonely) + ". Rename or move these files")
    return [
        (name if name == partners[name] else without_words(name), path, thermal[partners[name]])
        for name, path in rgb.items()
    ]


def four_channels(pictures: Iterable[Path]) -> bool:
    """Whether the first picture says of itself that it has four channels."""
    path = next(iter(pictures), None)
    if path is None:
        return False
    try:
        with open(path, "rb") as file:
            start = file.read(_HEADER)
    except OSError:
        return False
    header = read_header(start)
    return header is not None and header.codec == "PNG" and header.channels == 4


def _of_one_folder(
    images: dict[str, Path], folder: Path | str
) -> tuple[dict[str, Path], dict[str, Path]]:
    """The RGB and the thermal images of a folder that holds both."""
    rgb, thermal = (
        {name: path for name, path in images.items() if has_word(name, camera)}
        for camera in ("rgb", "thermal")
    )
    if not rgb or not thermal:
        raise ImageFileError(
            f"{folder}: is given for both cameras; expected two folders, names that end in "
            "_rgb and _th, or images of four channels"
        )
    return rgb, thermal


def files_of(names: Iterable[str], folder: Path | str) -> dict[str, Path]:
    """Name of a pair -> the file of that name in another folder (labels), matched likewise.

    Names without a file are left out. Raises as `list_images` does.
    """
    files = list_images(folder)
    return {name: files[found] for name, found in match_names(names, files).items()}


def some(names: list[str], shown: int = 5) -> str:
    """The first of the names, and how many more there are."""
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
