"""What other cameras and other nights do to a pair: gain control, noise, blur, glare, borders.

Every function takes uint8 images and a generator, draws what it does and returns new images, or
the same ones where it does nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
TILES = (2, 8)  # of the local gain control: a thermal camera's regions are coarse
CLIP = (1.0, 5.0)
LARGEST_BORDER = 0.15  # of the side of the image
LIGHTS = 4  # in one image with glare, at most
GLARE_SHRINK = 4


def gain_control(thermal: Image, rng: np.random.Generator) -> Image:
    """Local contrast (CLAHE) or histogram equalisation, mixed with the image as it was."""
    if rng.random() < 0.5:
        tiles = int(rng.integers(*TILES, endpoint=True))
        changed = cv2.createCLAHE(float(rng.uniform(*CLIP)), (tiles, tiles)).apply(thermal)
    else:
        changed = cv2.equalizeHist(thermal)
    share = float(rng.uniform(0.3, 1.0))
    return np.asarray(cv2.addWeighted(changed, share, thermal, 1 - share, 0), np.uint8)


def blurred(image: Image, largest: float, rng: np.random.Generator) -> Image:
    """Gaussian blur with a deviation of 0.3 to `largest` pixels."""
    sigma = float(rng.uniform(0.3, max(0.3, largest)))
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def noisy(image: Image, largest: float, rng: np.random.Generator) -> Image:
    """Gaussian noise with a deviation of up to `largest` grey levels, the same for all pixels."""
    sigma = rng.uniform(0, largest)
    noise = np.rint(sigma * rng.standard_normal(image.shape, np.float32)).astype(np.int16)
    return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)


def with_glare(rgb: Image, rng: np.random.Generator) -> Image:
    """One to `LIGHTS` lamps that shine into the lens: white in the middle, a halo around."""
    height, width = rgb.shape[:2]
    small = (-(-width // GLARE_SHRINK), -(-height // GLARE_SHRINK))
    x, y = np.meshgrid(np.arange(small[0]), np.arange(small[1]))
    light = np.zeros((*x.shape, 3), np.float32)
    for _ in range(rng.integers(1, LIGHTS + 1)):
        distance = np.hypot(x - rng.uniform(0, small[0]), y - rng.uniform(0, small[1]))
        radius = rng.uniform(0.01, 0.06) * max(small)
        colour = rng.uniform(0.75, 1.0, 3)
        shape = 4.0 / (1.0 + (distance / radius) ** 2) ** rng.uniform(1.2, 2.5)
        light += (255 * shape[..., None] * colour).astype(np.float32)
    added = cv2.resize(light, (width, height))
    return np.asarray(cv2.add(rgb, added, dtype=cv2.CV_8U), np.uint8)


def bordered(image: Image, rng: np.random.Generator) -> Image:
    """Black strips along one or two sides, as rectification and registration leave them."""
    image = image.copy()
    for _ in range(rng.integers(1, 3)):
        side = int(rng.integers(4))
        reach = int(rng.uniform(0, LARGEST_BORDER) * image.shape[side % 2]) + 1
        strip = slice(None, reach) if side < 2 else slice(-reach, None)
        image[strip if side % 2 == 0 else (slice(None), strip)] = 0
    return image
