"""The plane of a message that is looked at, without conversion."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mafs_ros.images.messages.glimpse import glimpse
from mafs_ros.images.messages.pixels import ImageError

GREEN = np.random.default_rng(1).integers(0, 256, (24, 32), np.uint8)


def raw(pixels: np.ndarray, encoding: str, big: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=int(big),
        step=pixels.strides[0],
        data=pixels.tobytes(),
    )


def stacked(position: int, channels: int) -> np.ndarray:
    pixels = np.full((*GREEN.shape, channels), 7, np.uint8)
    pixels[..., position] = GREEN
    return pixels


@pytest.mark.parametrize(
    ("pixels", "encoding"),
    [
        (stacked(1, 3), "rgb8"),
        (stacked(1, 3), "bgr8"),
        (stacked(1, 4), "bgra8"),
        (stacked(1, 2), "uyvy"),
        (stacked(0, 2), "yuv422_yuy2"),
        (GREEN, "mono8"),
        (GREEN, "bayer_rggb8"),
    ],
)
def test_plane(pixels: np.ndarray, encoding: str) -> None:
    plane = glimpse(raw(pixels, encoding))
    assert plane is not None and (plane == GREEN).all()


def test_deep_images_and_both_byte_orders() -> None:
    for big in (False, True):
        deep = (GREEN.astype(np.uint16) * 100).astype(">u2" if big else "<u2")
        plane = glimpse(raw(deep, "mono16", big))
        assert plane is not None and (plane == GREEN.astype(int) * 100).all()
    kelvin = GREEN.astype(np.float32) / 7
    plane = glimpse(raw(kelvin, "32FC1"))
    assert plane is not None and (plane == kelvin).all()


def test_what_only_cv_bridge_knows_is_not_looked_at() -> None:
    assert glimpse(raw(GREEN, "rgb565")) is None


def test_cut_off() -> None:
    message = raw(stacked(1, 3), "rgb8")
    message.data = message.data[:100]
    with pytest.raises(ImageError, match="got 100 bytes of data, expected 2304"):
        glimpse(message)


@pytest.mark.parametrize(("suffix", "size"), [(".jpg", (480, 640)), (".jpg", (120, 160))])
def test_jpeg(suffix: str, size: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), np.uint8)
    image[: size[0] // 2] = 200
    data = cv2.imencode(suffix, image)[1].tobytes()
    plane = glimpse(SimpleNamespace(format="bgr8; jpeg compressed bgr8", data=data))
    assert plane is not None and plane.ndim == 2 and plane.shape[0] >= 120
    assert (
        plane[: plane.shape[0] // 2 - 4].min() > 190 and plane[plane.shape[0] // 2 + 4 :].max() < 9
    )


def test_16_bit_png() -> None:
    deep = GREEN.astype(np.uint16) * 100
    data = cv2.imencode(".png", deep)[1].tobytes()
    plane = glimpse(SimpleNamespace(format="16UC1; png compressed 16UC1", data=data))
    assert plane is not None and (plane == deep).all()
    with pytest.raises(ImageError):
        glimpse(SimpleNamespace(format="png", data=data[:40]))
