"""Grey images as the fusion metrics take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GreyImage = NDArray[np.generic]


def luminance(rgb: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Grey image of an RGB image: 0.299 R + 0.587 G + 0.114 B, rounded by numpy.round.

    rgb: uint8 [H,W,3]. Returns uint8 [H,W]. Raises ValueError for another shape or type.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"luminance needs rgb uint8 [H,W,3], got {rgb.dtype} {list(rgb.shape)}")
    # Products from tables: the same float64 numbers as per pixel, in a third of the time.
    red, green, blue = _LUMINANCE_TABLES
    grey = red[rgb[..., 0]] + green[rgb[..., 1]] + blue[rgb[..., 2]]
    return np.round(grey).astype(np.uint8)


_LUMINANCE_TABLES = [weight * np.arange(256.0) for weight in (0.299, 0.587, 0.114)]


def as_luminance(img: GreyImage) -> GreyImage:
    """The luminance of an RGB image [H,W,3]; an image that is grey already as it is."""
    return luminance(img) if img.ndim == 3 else img


def checked_grey(img: GreyImage, name: str = "image", min_size: int = 1) -> NDArray[np.uint8]:
    """uint8 [H,W] of a grey image, rounded by numpy.round; ValueError if it is none.

    img: uint8 [H,W], or floats in 0..255. name: what the message calls it. min_size: of a side.
    """
    if img.ndim != 2 or min(img.shape) < min_size:
        hint = "; take luminance() of a colour image" if img.ndim == 3 else ""
        at_least = f" of at least {min_size}x{min_size}" if min_size > 1 else ""
        raise ValueError(f"{name} must be grey [H,W]{at_least}, got {list(img.shape)}{hint}")
    if img.size == 0:
        raise ValueError(f"{name} is empty: {list(img.shape)}")
    if img.dtype == np.uint8:
        return img  # type: ignore[return-value]
    values = np.round(img.astype(np.float64))
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 255):  # also true for NaN
        raise ValueError(f"{name} must lie in 0..255, got {low:g}..{high:g}; clip it first")
    return values.astype(np.uint8)


def checked_greys(min_size: int, **images: GreyImage) -> list[NDArray[np.uint8]]:
    """The named images as uint8 [H,W] of one size; ValueError if they are not."""
    greys = [checked_grey(img, name, min_size) for name, img in images.items()]
    if len({grey.shape for grey in greys}) > 1:
        sizes = ", ".join(f"{name} {list(img.shape)}" for name, img in images.items())
        raise ValueError(f"images must have one size, got {sizes}")
    return greys
