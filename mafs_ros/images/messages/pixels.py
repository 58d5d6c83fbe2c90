"""The pixels of a message in the form that the network takes."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# A thermal image in three channels counts as grey while at most 1 % of its pixels (a crosshair, a
# scale) have channels further apart than JPEG leaves them.
GREY_SPREAD = 16
GREY_EXCEPTIONS = 0.01


class ImageError(ValueError):
    """A message holds no usable image; the text says what was got, expected, and what to do."""


def native(pixels: np.ndarray) -> np.ndarray:
    """Contiguous, aligned, in the byte order of this machine; copied only where it is not yet."""
    return np.require(pixels, pixels.dtype.newbyteorder("="), ["C", "A"])


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
