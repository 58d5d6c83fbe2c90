"""Image files and folders: read them, pair them by name, write PNGs without leaving halves."""

from __future__ import annotations

import csv
import os
import re
import tempfile
from decimal import Decimal, InvalidOperation
from pathlib import Path

import cv2
import numpy as np

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".ppm", ".webp")

# A grey image saved as colour JPEG comes back with channels that differ by rounding alone.
GREY_TOLERANCE = 3

PNG_PALETTE = 3  # colour type in the header of a PNG


class ImageFileError(ValueError):
    """A file or folder of images does not hold what is needed; the message says what to do."""


def read_rgb(path: Path | str) -> np.ndarray:
    """The colour image in a file, as uint8 [H, W, 3] in RGB order; a grey one has equal channels.

    Raises FileNotFoundError, OSError (not readable) or ImageFileError (not an image of 8 bit).
    """
    image = _read_image(path)
    if image.dtype != np.uint8:
        raise ImageFileError(
            f"{path}: got an RGB image of type {image.dtype}, expected 8 bit per channel; "
            "are the RGB and thermal inputs swapped?"
        )
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_thermal(path: Path | str) -> np.ndarray:
    """The thermal image in a file as it is: uint8, uint16 or float32 [H, W].

    Raises FileNotFoundError, OSError (not readable) or ImageFileError: not an image, another
    type, or colours (a false-colour picture holds no temperatures).
    """
    image = _read_image(path)
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise ImageFileError(
            f"{path}: got a thermal image of type {image.dtype}, expected uint8, uint16 or float32"
        )
    if image.ndim == 2:
        return image
    spread = np.ptp(image.astype(np.int32), axis=2).max()
    if image.dtype != np.uint8 or spread > GREY_TOLERANCE:
        raise ImageFileError(
            f"{path}: got a thermal image with three different colour channels, expected a grey "
            "one; false-colour pictures hold no temperatures, and RGB and thermal may be swapped"
        )
    return np.ascontiguousarray(image[:, :, 1])


def read_labels(path: Path | str) -> np.ndarray:
    """The class ids in a label image, uint8 [H, W]; of a palette PNG its indices, not its colours.

    Raises FileNotFoundError, OSError (not readable) or ImageFileError: not an image, class
    colours instead of ids, ids above 255.
    """
    data = _read_bytes(Path(path))
    if data[1:4] == b"PNG" and data[25:26] == bytes([PNG_PALETTE]):
        return _palette_indices(path)
    ids = _decoded(data, cv2.IMREAD_UNCHANGED)
    if ids is None:
        raise ImageFileError(f"{path}: not a label image, damaged or cut off")
    if ids.ndim == 3:
        if np.any(ids[:, :, :3] != ids[:, :, :1]):
            raise ImageFileError(
                f"{path}: got a picture in class colours, expected one channel "
                "of class ids; most data sets hold both, in two folders"
            )
        ids = ids[:, :, 0]
    if ids.min() < 0 or ids.max() > 255:
        raise ImageFileError(f"{path}: got ids {ids.min()} to {ids.max()}, expected 0 to 255")
    return ids.astype(np.uint8)


def _palette_indices(path: Path | str) -> np.ndarray:
    """By Pillow, because OpenCV gives the colours of a palette alone."""
    try:
        from PIL import Image
    except ImportError:
        raise ImageFileError(
            f"{path}: is a PNG with a palette, which needs Pillow (python3-pil) "
            "to be read; or save it as 8-bit grey"
        ) from None
    try:
        with Image.open(path) as image:
            return np.array(image, np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageFileError(f"{path}: not a label image, damaged or cut off ({error})") from None


def _read_image(path: Path | str) -> np.ndarray:
    """Decode a file with its own depth, [H, W] or [H, W, 3] in BGR order."""
    data = _read_bytes(Path(path))
    if not data:
        raise ImageFileError(f"{path}: the file is empty, expected an image")
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    image = _decoded(data, flags)
    if image is None:
        raise ImageFileError(
            f"{path}: not an image, damaged or cut off ({len(data)} bytes); "
            f"expected one of {', '.join(IMAGE_SUFFIXES)}"
        )
    return image


def _decoded(data: bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ImageFileError(f"{path}: is a folder, expected an image file") from None
    except OSError as error:
        raise OSError(f"{path}: cannot be read: {error.strerror}") from error


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
        f"{other_folder}: {_some(missing)}"
        for own, other, folder, other_folder in (
            (rgb, thermal, rgb_dir, thermal_dir),
            (thermal, rgb, thermal_dir, rgb_dir),
        )
        if (missing := [name for name in own if name not in other])
    ]
    if lonely:
        raise ImageFileError("; ".join(lonely) + ". Rename or move these files")
    return [(name, path, thermal[name]) for name, path in rgb.items()]


def _some(names: list[str], shown: int = 5) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")


def read_stamps(path: Path | str, names: list[str]) -> list[tuple[int, int]]:
    """(RGB stamp, thermal stamp) in nanoseconds of each name, from a CSV file in seconds.

    The first line holds the column names `name,rgb,thermal`; the stamps are decimal seconds and
    read exactly. Raises FileNotFoundError, OSError, or ImageFileError naming line and value.
    """
    text = _read_bytes(Path(path)).decode("utf-8-sig", errors="replace")
    rows = csv.DictReader(text.splitlines())
    columns = rows.fieldnames or []
    if missing := [column for column in ("name", "rgb", "thermal") if column not in columns]:
        raise ImageFileError(
            f"{path}: the first line lacks the column {', '.join(missing)}: "
            f"got {','.join(columns)}, expected name,rgb,thermal"
        )
    stamps = {
        row["name"]: (
            _nanoseconds(row["rgb"], f"{path}, line {rows.line_num}"),
            _nanoseconds(row["thermal"], f"{path}, line {rows.line_num}"),
        )
        for row in rows
    }
    if missing := [name for name in names if name not in stamps]:
        raise ImageFileError(
            f"{path}: no stamps for {len(missing)} of {len(names)} images: {_some(missing)}"
        )
    return [stamps[name] for name in names]


def _nanoseconds(text: str | None, where: str) -> int:
    try:
        stamp = int(Decimal(text or "") * 10**9)
    except (InvalidOperation, ValueError, OverflowError):
        stamp = -1
    if not 0 <= stamp < 2**31 * 10**9:  # the seconds of a ROS stamp are 32 bit
        raise ImageFileError(f"{where}: got the stamp {text!r}, expected seconds from 0 to 2^31")
    return stamp


def prepare_output_folder(folder: Path | str) -> Path:
    """Make a folder and check that files can be written in it, before any work is done.

    Raises OSError with the reason where it is a file, cannot be made or cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError:
        raise NotADirectoryError(f"{folder}: is a file, expected an output folder") from None
    except OSError as error:
        raise OSError(f"{folder}: cannot write into this folder: {error.strerror}") from error
    return folder


def write_png(path: Path | str, image: np.ndarray) -> None:
    """Write uint8 or uint16 [H, W] or uint8 RGB [H, W, 3] as PNG: wholly or not at all.

    The bytes go to a temporary file beside `path`, which then takes its name. Raises ValueError
    for another type or shape, OSError with the reason where the file cannot be written.
    """
    grey = image.ndim == 2 and image.dtype in (np.uint8, np.uint16)
    colour = image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
    if not (grey or colour) or image.size == 0:
        raise ValueError(
            f"{path}: cannot write {image.dtype} {list(image.shape)} as PNG, "
            "expected uint8 or uint16 [H, W] or uint8 [H, W, 3]"
        )
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if colour else image)[1]
    write_bytes(path, encoded.tobytes())


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write a file wholly or not at all; raises OSError with path and reason."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(f"{path}: cannot be written: {error.strerror}") from error
