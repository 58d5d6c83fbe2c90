"""sensor_msgs/CameraInfo to a `Lens`."""

from __future__ import annotations

from typing import Any

import numpy as np

from mafs_ros.perception.registration.lens import Lens
from mafs_ros.perception.registration.numbers import numbers, text

FISHEYE = ("equidistant", "fisheye")
# Names -> how many coefficients there may be; OpenCV knows them by their number.
MODELS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), **dict.fromkeys(FISHEYE, (4,))}


def content(info: Any) -> tuple[Any, ...]:
    """All of a CameraInfo but its stamp: what decides the `Lens`, to see whether it changed."""
    roi = info.roi
    return (
        info.header.frame_id,
        (info.width, info.height, info.binning_x, info.binning_y),
        (roi.x_offset, roi.y_offset, roi.width, roi.height),
        info.distortion_model,
        *(tuple(map(float, values)) for values in (info.d, info.k, info.r, info.p)),
    )


def lens_from(info: Any, name: str, *, rectified: bool = False) -> Lens:
    """The camera that a CameraInfo describes, for images of its roi and binning.

    info: of rclpy or of a bag reader, only the fields are used; name: of the camera; rectified:
    its images are, so P holds for them instead of K, D and R. Raises ValueError that says what is
    wrong, for the one line on the log.
    """
    try:
        return _lens(info, name, rectified)
    except ValueError as error:
        raise ValueError(f"the CameraInfo of the {name} camera is of no use: {error}") from None


def _lens(info: Any, name: str, rectified: bool) -> Lens:
    k = _intrinsics("p", _of_p(info)) if rectified else _intrinsics("k", info.k)
    roi, binning = info.roi, (info.binning_x or 1, info.binning_y or 1)
    whole = roi.width == 0 or roi.height == 0
    width, height = (info.width, info.height) if whole else (roi.width, roi.height)
    if width < binning[0] or height < binning[1]:
        raise ValueError(f"got width and height {text((height, width))}, expected those of images")
    offset = np.array([[1, 0, -roi.x_offset], [0, 1, -roi.y_offset], [0, 0, 1.0]])
    bx, by = binning
    # Pixel centres: of 2 pixels binned into one, the centre lies at 0.5.
    binned = np.array([[1 / bx, 0, (1 / bx - 1) / 2], [0, 1 / by, (1 / by - 1) / 2], [0, 0, 1]])
    k = binned @ (k if whole else offset @ k)
    size = (int(height) // by, int(width) // bx)
    if rectified:
        return Lens(name, size, k)
    d, fisheye = _distortion(info)
    return Lens(name, size, k, d, fisheye, _rotation(info.r))


def _of_p(info: Any) -> Any:
    return numbers("p", info.p, (3, 4))[:, :3]


def _intrinsics(letter: str, values: Any) -> Any:
    k = numbers(letter, values, (3, 3))
    if not k.any():
        raise ValueError(
            f"{letter} is all zeros, the camera is not calibrated: calibrate it, or give its "
            "driver the file (camera_info_url)"
        )
    if k[0, 0] <= 0 or k[1, 1] <= 0 or k[2].tolist() != [0, 0, 1]:
        raise ValueError(
            f"{letter} must be [fx, 0, cx, 0, fy, cy, 0, 0, 1] with fx, fy above 0, got "
            f"{k.ravel().tolist()}"
        )
    return k


def _distortion(info: Any) -> tuple[Any, bool]:
    d = np.array(list(info.d), np.float64)
    if not np.isfinite(d).all():
        raise ValueError(f"d must be finite, got {d.tolist()}")
    if not d.any():
        return np.zeros(0), False
    counts = MODELS.get(info.distortion_model)
    if counts is None:
        raise ValueError(
            f"got distortion_model {info.distortion_model!r}, expected one of {', '.join(MODELS)}"
        )
    if len(d) not in counts:
        raise ValueError(
            f"got {len(d)} coefficients d, expected {' or '.join(map(str, counts))} for "
            f"{info.distortion_model}"
        )
    return d, info.distortion_model in FISHEYE


def _rotation(values: Any) -> Any:
    r = numbers("r", values, (3, 3))
    if not r.any():  # not filled in
        return np.eye(3)
    if not np.allclose(r @ r.T, np.eye(3), atol=1e-3) or np.linalg.det(r) < 0:
        raise ValueError(f"r must be a rotation matrix, got {r.tolist()}")
    return r
