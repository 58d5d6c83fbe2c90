"""The pixels of a message in the form that the network takes."""

import cv2
import numpy as np

# A thermal image in three channels counts as grey while at most 1 % of its pixels (a crosshair, a
# scale) have channels further apart than JPEG leaves them.
GREY_SPREAD = 16
GREY_EXCEPTIONS = 0.01


class ImageError(ValueError):
    """A message holds no usable image; the text says what was got, expected, and what to do."""


def native(pixels: np.ndarray) -> np.ndarray:
    """Contiguous, aligned, in the byte order of this machine; copied only where it is not yet."""
    return np.require(pixels, pixels.dtype.newbyteorder("="), ["C", "A"])


def _grey(rgb: np.ndarray) -> np.ndarray:
    """The one channel of a grey image in three: uint8 [H, W]. Raises ImageError for colours."""
    red, green, blue = cv2.split(rgb)
    spread = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    coloured = np.count_nonzero(spread > GREY_SPREAD) / spread.size
    if coloured > GREY_EXCEPTIONS:
        raise ImageError(
            f"got a thermal image in false colours ({coloured:.0%} of its pixels are "
            "not grey), expected grey: set the camera to mono16, 16UC1 or mono8, or "
            "to its white-hot palette"
        )
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
