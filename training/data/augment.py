"""Augmentation of RGB + thermal pairs and their labels, on uint8 arrays.

The paper: crop of 256x256, a flip drawn from {vertical, horizontal, none}, a rotation drawn from
the four quarter turns. What else is here helps small data sets and is off unless asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.samples import IGNORE, Sample
from training.data.sensor_effects import blurred, bordered, gain_control, noisy, with_glare

FLIPS = ("none", "horizontal", "vertical")
NEIGHBOURHOOD = 8  # pixels around an object where its outline shows what is background
UNCHANGED = (1.0, 1.0)
Range = tuple[float, float]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Augmentation:
    """What is drawn at random for each sample; the default is the paper's. Ranges are uniform.

    crop: side of the square that is cut out, None for the whole image.
    focus: share of the crops that are laid around a labelled pixel other than background, whose
    class is drawn first, so that rare classes are seen as often as frequent ones.
    flips: one of these is drawn; ('none',) never flips. rotate: draw one of four quarter turns.
    scale: range of magnification before the crop (1.6: objects 1.6 times larger).
    brightness: range of the factor on the visible image; gamma: of its exponent; colour: each
    channel gets a factor in 1-colour..1+colour.
    thermal_gain, thermal_offset: thermal becomes thermal * gain + offset, the offset drawn from
    -thermal_offset..thermal_offset, 1 being the full range of grey.
    shift: the thermal image moves by up to so many pixels each way, as if registered badly; the
    labels stay with the visible image.
    The rest is of `training.data.sensor_effects`. gain_control, glare, border: share of the
    samples that get it: of the thermal image, of the visible one, of either. blur: largest
    deviation in pixels, noise: largest one in grey levels; each image gets either in half of the
    samples.
    dropout: share of the samples in which one of the images is black, as when a camera is dead.
    Raises ValueError for values that cannot be.
    """

    crop: int | None = 256
    focus: float = 0.0
    flips: tuple[str, ...] = FLIPS
    rotate: bool = True
    scale: Range = UNCHANGED
    brightness: Range = UNCHANGED
    gamma: Range = UNCHANGED
    colour: float = 0.0
    thermal_gain: Range = UNCHANGED
    thermal_offset: float = 0.0
    shift: int = 0
    gain_control: float = 0.0
    glare: float = 0.0
    border: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for entry in fields(self):  # YAML has lists
            if isinstance(getattr(self, entry.name), list):
                object.__setattr__(self, entry.name, tuple(getattr(self, entry.name)))
        if self.crop is not None and self.crop < 1:
            raise ValueError(f"crop must be 1 pixel or more, or None; got {self.crop}")
        if not 0 <= self.focus <= 1:
            raise ValueError(f"focus must be in 0..1, got {self.focus}")
        if not self.flips or not set(self.flips) <= set(FLIPS):
            raise ValueError(f"flips must be some of {', '.join(FLIPS)}; got {self.flips}")
        for name in ("scale", "brightness", "gamma", "thermal_gain"):
            value = getattr(self, name)
            if len(value) != 2 or not 0 < value[0] <= value[1]:
                raise ValueError(f"{name} must be a range 0 < low <= high, got {value}")
        if not (0 <= self.colour < 1 and 0 <= self.thermal_offset <= 1 and self.shift >= 0):
            raise ValueError(
                "expected colour in 0..1 (without 1), thermal_offset in 0..1, shift of 0 or more; "
                f"got {self.colour}, {self.thermal_offset}, {self.shift}"
            )
        for name in ("gain_control", "glare", "border", "dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share in 0..1, got {getattr(self, name)}")
        if self.blur < 0 or self.noise < 0:
            raise ValueError(f"blur and noise must be 0 or more, got {self.blur} and {self.noise}")


NONE = Augmentation(crop=None, flips=("none",), rotate=False)


def augment(sample: Sample, how: Augmentation, rng: np.random.Generator) -> Sample:
    """Draw one variant of a sample: the same for the same state of the generator.

    Where the image is smaller than the crop its mirror image continues it, with labels 255.
    Without a crop, a quarter turn swaps height and width, and a scale changes the size. Returns
    contiguous arrays; the input is left as it is.
    """
    sample = _cut(sample, how, rng)
    flip = how.flips[rng.integers(len(how.flips))]
    turns = int(rng.integers(4)) if how.rotate else 0
    rgb, thermal = _tone_rgb(sample.rgb, how, rng), _tone_thermal(sample.thermal, how, rng)
    rgb, thermal = _through_other_cameras(rgb, thermal, how, rng)
    labels = sample.labels
    if labels is not None and sample.background < 1 and rng.random() >= sample.background:
        labels = _without_far_background(labels)
    return Sample(
        sample.name,
        _turn(rgb, flip, turns),
        _turn(thermal, flip, turns),
        None if labels is None else _turn(labels, flip, turns),
        sample.background,
    )


def _through_other_cameras(
    rgb: Image, thermal: Image, how: Augmentation, rng: np.random.Generator
) -> tuple[Image, Image]:
    """The pair as other cameras would see it; `Augmentation` says how often and how much."""
    if rng.random() < how.gain_control:
        thermal = gain_control(thermal, rng)
    if rng.random() < how.glare:
        rgb = with_glare(rgb, rng)
    images = []
    for image in (rgb, thermal):
        if how.blur and rng.random() < 0.5:
            image = blurred(image, how.blur, rng)
        if how.noise and rng.random() < 0.5:
            image = noisy(image, how.noise, rng)
        if rng.random() < how.border / 2:
            image = bordered(image, rng)
        images.append(image)
    if rng.random() < how.dropout:
        dead = int(rng.integers(2))
        images[dead] = np.zeros_like(images[dead])
    return images[0], images[1]


def _without_far_background(labels: Image) -> Image:
    """Labels with 255 for background that is no neighbour of an object."""
    objects = ((labels != 0) & (labels != IGNORE)).astype(np.uint8)
    near = cv2.dilate(objects, np.ones((2 * NEIGHBOURHOOD + 1,) * 2, np.uint8))
    return np.where((labels == 0) & (near == 0), IGNORE, labels).astype(np.uint8)


def _cut(sample: Sample, how: Augmentation, rng: np.random.Generator) -> Sample:
    """Cut out a window and resize it: scale, crop and misregistration in one step."""
    height, width = sample.thermal.shape
    factor = rng.uniform(*how.scale)
    if how.crop is None:
        window, top, left = (height, width), 0, 0
        size = (max(1, round(height * factor)), max(1, round(width * factor)))
    else:
        side = max(1, round(how.crop / factor))
        window, size = (side, side), (how.crop, how.crop)
        top, left = _place(side, height, rng), _place(side, width, rng)
        if how.focus and rng.random() < how.focus:
            top, left = _focus(sample.labels, side, rng) or (top, left)
    reach = min(how.shift, *(length - 1 for length in (*window, height, width)))
    down, right = rng.integers(-reach, reach + 1, size=2) if how.shift else (0, 0)
    smooth = cv2.INTER_AREA if size[0] < window[0] else cv2.INTER_LINEAR
    labels = sample.labels
    if labels is not None:
        labels = _resize(_window(labels, top, left, window, IGNORE), size, cv2.INTER_NEAREST_EXACT)
    return Sample(
        sample.name,
        _resize(_window(sample.rgb, top, left, window), size, smooth),
        _resize(_window(sample.thermal, top - down, left - right, window), size, smooth),
        labels,
        sample.background,
    )


def _place(side: int, length: int, rng: np.random.Generator) -> int:
    """First pixel of a window: anywhere inside the image, or of the image inside the window."""
    room = length - side
    return int(rng.integers(min(0, room), max(0, room) + 1))


def _focus(labels: Image | None, side: int, rng: np.random.Generator) -> tuple[int, int] | None:
    """First pixel of a window inside the image that holds a pixel of a foreground class.

    The class is drawn among those of the image, then its pixel, then the window around it. None
    where there is no such pixel or the window is larger than the image.
    """
    if labels is None or side > min(labels.shape):
        return None
    classes = [c for c in np.unique(labels) if c not in (0, IGNORE)]
    if not classes:
        return None
    places = np.flatnonzero(labels == classes[rng.integers(len(classes))])
    pixel = np.unravel_index(places[rng.integers(len(places))], labels.shape)
    first = [
        int(np.clip(p - rng.integers(side), 0, length - side))
        for p, length in zip(pixel, labels.shape, strict=True)
    ]
    return first[0], first[1]


def _window(
    image: Image, top: int, left: int, window: tuple[int, int], fill: int | None = None
) -> Image:
    """Part of an image that may reach beyond its borders: mirrored there, or filled."""
    height, width = image.shape[:2]
    bottom, right = top + window[0], left + window[1]
    inside = image[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    border = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if not any(border):
        return inside
    if fill is not None:
        padded = cv2.copyMakeBorder(inside, *border, cv2.BORDER_CONSTANT, value=(fill,))
    else:
        padded = cv2.copyMakeBorder(inside, *border, cv2.BORDER_REFLECT_101)
    return np.asarray(padded, np.uint8)


def _resize(image: Image, size: tuple[int, int], interpolation: int) -> Image:
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=interpolation), np.uint8)


def _turn(image: Image, flip: str, quarter_turns: int) -> Image:
    if flip != "none":
        image = np.flip(image, 1 if flip == "horizontal" else 0)
    return np.ascontiguousarray(np.rot90(image, quarter_turns))


def _tone_rgb(rgb: Image, how: Augmentation, rng: np.random.Generator) -> Image:
    """Gamma, brightness and colour of the visible image, by one table per channel."""
    if (how.brightness, how.gamma, how.colour) == (UNCHANGED, UNCHANGED, 0):
        return rgb
    gains = rng.uniform(*how.brightness) * rng.uniform(1 - how.colour, 1 + how.colour, size=3)
    tones = (np.arange(256) / 255)[:, None] ** rng.uniform(*how.gamma) * gains
    return _look_up(rgb, tones[None])


def _tone_thermal(thermal: Image, how: Augmentation, rng: np.random.Generator) -> Image:
    if (how.thermal_gain, how.thermal_offset) == (UNCHANGED, 0):
        return thermal
    offset = rng.uniform(-how.thermal_offset, how.thermal_offset)
    return _look_up(thermal, np.arange(256) / 255 * rng.uniform(*how.thermal_gain) + offset)


def _look_up(image: Image, tones: NDArray[np.float64]) -> Image:
    table = np.rint(np.clip(tones, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.LUT(np.ascontiguousarray(image), table), np.uint8)
