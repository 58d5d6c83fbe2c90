"""Image files and folders: read them, pair them by name, write PNGs without leaving halves."""

from __future__ import annotations

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
    data = read_bytes(Path(path))
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
    data = read_bytes(Path(path))
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


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ImageFileError(f"{path}: is a folder, expected an image file") from None
    except OSError as error:
        raise OSError(f"{path}: cannot be read: {error.strerror}") from error
