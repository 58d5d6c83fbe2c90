"""The pixels of a message in the form that the network takes."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# A thermal image in three channels counts as grey while at most 1 % of its pixels (a crosshair, a
# scale) have channels further apart than JPEG leaves them.
GREY_SPREAD = 16
GREY_EXCEPTIONS = 0.01
_LARGEST_EXACT = 1 << 24  # of the whole numbers that float32 holds


class ImageError(ValueError):
    """A message holds no usable image; the text says what was got, expected, and what to do."""


def native(pixels: np.ndarray) -> np.ndarray:
    """Contiguous, aligned, in the byte order of this machine; copied only where it is not yet."""
    return np.require(pixels, pixels.dtype.newbyteorder("="), ["C", "A"])


def measured(pixels: NDArray[Any]) -> NDArray[Any]:
    """A thermal image [H, W] in a type that is understood: uint8, uint16, float32.

    Other numbers become float32. Raises ValueError where that would change them, and for what is
    no number.
    """
    if pixels.dtype in (np.uint8, np.uint16, np.float32):
        return pixels
    if pixels.dtype.kind not in "iuf":
        raise ValueError(
            f"got a thermal image of type {pixels.dtype}, expected uint8, uint16 or float32"
        )
    with np.errstate(over="ignore"):
        floats = pixels.astype(np.float32)
    too_large = np.isinf(floats) & np.isfinite(pixels)
    if pixels.dtype.kind != "f":
        too_large = np.abs(floats) > _LARGEST_EXACT
    if too_large.any():
        raise ValueError(
            f"got a thermal image of type {pixels.dtype} with values up to {pixels.max()}, which "
            "float32 does not hold exactly; save kelvin, degrees or 16-bit counts"
        )
    return floats


def coloured(image: NDArray[Any]) -> float:
    """The share of the pixels of uint8 [H, W, 3], 0..1, that are too far from grey."""
    one, two, three = cv2.split(image)
    spread = cv2.subtract(cv2.max(cv2.max(one, two), three), cv2.min(cv2.min(one, two), three))
    return np.count_nonzero(np.asarray(spread) > GREY_SPREAD) / np.asarray(spread).size


def grey_of(image: NDArray[Any]) -> NDArray[np.uint8]:
    """The one channel of a grey image in three: uint8 [H, W], in whatever order they are."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def grey(image: NDArray[Any]) -> NDArray[np.uint8]:
    """The one channel of a grey image in three: uint8 [H, W]. Raises ImageError for colours."""
    share = coloured(image)
    if share > GREY_EXCEPTIONS:
        raise ImageError(
            f"got a thermal image in false colours ({share:.0%} of its pixels are "
            "not grey), expected grey: set the camera to mono16, 16UC1 or mono8, or "
            "to its white-hot palette"
        )
    return grey_of(image)
