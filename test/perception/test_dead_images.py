"""Which images are those of a dead camera: covered and black ones, and no picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mafs_ros.images.files.read import read_rgb, read_thermal
from mafs_ros.perception.dead_images import BLACK, COVERED, SENSORS, Repeats, without_picture
from mafs_ros.simulation import StreetSimulation

RGB, THERMAL = SENSORS["rgb"], SENSORS["thermal"]
RNG = np.random.default_rng(3)


def noise(level: float, deviation: float, dtype: type = np.uint8, size=(480, 640)) -> np.ndarray:
    top = 255 if dtype == np.uint8 else 65535
    values = RNG.normal(level, deviation, size)
    return values.astype(dtype) if dtype == np.float32 else values.clip(0, top).astype(dtype)


def demosaiced() -> np.ndarray:
    return cv2.cvtColor(noise(12, 3), cv2.COLOR_BayerBG2RGB)[..., 1]


def jpeg() -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", noise(14, 4), [1, 80])[1], cv2.IMREAD_GRAYSCALE)


def vignetted() -> np.ndarray:
    v, u = np.mgrid[-1:1:480j, -1:1:640j]
    return (noise(14, 2) - 1.5 * (u * u + v * v)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("make", "sensor", "expected"),
    [
        (lambda: np.zeros((480, 640), np.uint8), RGB, BLACK),
        (lambda: noise(1, 2), RGB, BLACK),
        (lambda: np.zeros((256, 320), np.uint16), THERMAL, BLACK),
        (lambda: np.full((120, 160), np.nan, np.float32), THERMAL, BLACK),
        (lambda: noise(12, 2), RGB, COVERED),
        (lambda: noise(90, 6), RGB, COVERED),
        (demosaiced, RGB, COVERED),
        (jpeg, RGB, COVERED),
        (vignetted, RGB, COVERED),
        (lambda: np.full((480, 640), 128, np.uint8), RGB, COVERED),
        (lambda: noise(29_500, 5, np.uint16, (256, 320)), THERMAL, COVERED),
        (lambda: noise(8_000, 3, np.uint16, (120, 160)), THERMAL, COVERED),
        (lambda: noise(295, 0.05, np.float32), THERMAL, COVERED),
        (lambda: noise(-20, 0.05, np.float32), THERMAL, COVERED),
        (lambda: noise(29_500, 5, np.dtype(">u2"), (512, 640)), THERMAL, COVERED),
    ],
)
def test_nothing_to_see(make: Callable[[], np.ndarray], sensor, expected: str) -> None:
    assert without_picture(make(), sensor) == expected


def lamp(size: int) -> np.ndarray:
    image = noise(3, 2)
    image[200 : 200 + size, 311 : 311 + size] = 255
    return image


def wall(counts: float, dtype: type = np.uint16, scale: float = 1.0) -> np.ndarray:
    x = np.mgrid[:120, :160][1] / 160
    image = (29_405 + counts * x + RNG.normal(0, 4, x.shape)) * scale
    return image.astype(dtype)


def person_far_away() -> np.ndarray:
    image = noise(29_500, 5, np.uint16, (256, 320))
    image[120:132, 150:155] += 300
    return image


@pytest.mark.parametrize(
    ("make", "sensor"),
    [
        (lambda: lamp(4), RGB),
        (lambda: wall(100), THERMAL),
        (lambda: wall(20), THERMAL),
        (lambda: wall(50, np.float32, 0.01), THERMAL),
        (person_far_away, THERMAL),
        (lambda: np.linspace(-30, -10, 256 * 320).reshape(256, 320).astype(np.float32), THERMAL),
        (lambda: noise(128, 45), RGB),  # texture
        (lambda: np.zeros((8, 8), np.uint8), RGB),  # too small to tell
    ],
)
def test_doubtful_images_are_pictures(make: Callable[[], np.ndarray], sensor) -> None:
    assert without_picture(make(), sensor) == ""


@pytest.mark.parametrize("night", [False, True])
def test_simulated_street_is_a_picture(night: bool) -> None:
    frame = StreetSimulation(seed=0, height=240, width=320, night=night).frame(0.0)
    assert without_picture(frame.rgb[..., 1], RGB) == ""
    assert without_picture(frame.thermal, THERMAL) == ""


@pytest.mark.parametrize(
    "folder",
    [
        "street_rgbt/test",
        "street_rgbt/val",
        "drone_sequence",
        "fusion_pairs/flir_aligned",
        "fusion_pairs/roadscene",
        "fusion_pairs/tno",
    ],
)
def test_no_real_image_is_dead(shared_data: Path, folder: str) -> None:
    """Day and night, streets, texture from above; each fourth pair."""
    read = {"vi": (read_rgb, RGB), "ir": (read_thermal, THERMAL)}
    for name, (reader, sensor) in read.items():
        files = sorted((shared_data / folder / name).iterdir())
        assert files
        for path in files[::4]:
            image = reader(path)
            plane = image[..., 1] if image.ndim == 3 else image
            assert without_picture(plane, sensor) == "", path


def test_repeats() -> None:
    repeats, image = Repeats(), noise(100, 5)
    assert not repeats(image.data.cast("B"))
    assert repeats(image.copy().data.cast("B"))
    other = image.copy()
    other[333, 77] ^= 1  # one bit is a change
    assert not repeats(other.data.cast("B")) and repeats(other.data.cast("B"))
    assert not repeats(other[:100].copy().data.cast("B"))
