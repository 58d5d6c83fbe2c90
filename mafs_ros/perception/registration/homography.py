"""Registration by a homography, or by nothing where both cameras see the same rectangle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mafs_ros.base.faults import Fault
from mafs_ros.base.remarks import Remarks
from mafs_ros.perception.registration.numbers import (
    Image,
    Matrix,
    Size,
    check_size,
    check_thermal,
    numbers,
    rescaling,
    same_shape,
    text,
)

_STRETCH = 1.02  # 10 pixels of 480: what is less is rounding of sizes


@dataclass(frozen=True)
class _Warp:
    """Takes thermal images of one size to one RGB size; without maps they stay as they are."""

    thermal_size: Size
    rgb_size: Size
    maps: tuple[NDArray[Any], NDArray[Any]] | None


class Registration:
    """Warps thermal images into the RGB image.

    homography: 3x3, takes a thermal pixel (x, y, 1) to the RGB pixel that sees the same point;
        (0, 0) is the centre of the top left pixel. None: both cameras see the same rectangle, and
        the thermal image is resized.
    thermal_size, rgb_size: (height, width) of the images that the homography was measured on.
        With them it is carried over to images of the same shape in another resolution, and any
        other shape is refused. Without them it is used as it is.

    Where the thermal camera sees nothing the result is 0, the coldest value: nothing warm is made
    up there, and the network goes by the RGB image. Without a homography `remarks` has a line
    where the shapes of the images differ, so that resizing stretches. Raises ValueError for a
    homography that is not 3x3, finite and invertible, or that takes the thermal image outside the
    RGB image.
    """

    def __init__(
        self,
        homography: ArrayLike | None = None,
        *,
        thermal_size: Size | None = None,
        rgb_size: Size | None = None,
    ) -> None:
        if (thermal_size is None) != (rgb_size is None):
            raise ValueError("give the sizes of both the thermal and the RGB image, or of neither")
        self.homography = None if homography is None else _checked_homography(homography)
        self.thermal_size, self.rgb_size = thermal_size, rgb_size
        self.remarks = Remarks()
        self._warp: _Warp | None = None
        if thermal_size is not None and rgb_size is not None:
            for size in (thermal_size, rgb_size):
                check_size(size)
            self._warp = self._build_warp(thermal_size, rgb_size)

    def __call__(self, thermal: Image, size: Size) -> Image:
        """Thermal image on the pixels of an RGB image.

        thermal: uint8 [h,w]; size: (H,W) of the RGB image. Returns uint8 [H,W]: the image itself
        where there is nothing to do, else a new one, bilinear. The first call at a size prepares
        tables (some 20 ms). Raises ValueError for another type or for sizes that do not fit.
        """
        thermal_size, size = check_thermal(thermal), (size[0], size[1])
        if self.homography is None:
            resized = _resize(thermal, size)
            self._remark_if_stretched(thermal_size, size)
            return resized
        warp = self._warp
        if warp is None or warp.thermal_size != thermal_size or warp.rgb_size != size:
            warp = self._warp = self._build_warp(thermal_size, size)
        if warp.maps is None:
            return thermal
        warped = cv2.remap(thermal, *warp.maps, cv2.INTER_LINEAR, borderValue=0)
        return np.asarray(warped, np.uint8)

    def _remark_if_stretched(self, thermal_size: Size, size: Size) -> None:
        rgb_shape, thermal_shape = size[1] / size[0], thermal_size[1] / thermal_size[0]
        if max(rgb_shape / thermal_shape, thermal_shape / rgb_shape) > _STRETCH:
            self.remarks.add(
                Fault.IMAGE_SHAPES,
                f"the shapes of the images differ, RGB {text(size)} ({rgb_shape:.2f}) and "
                f"thermal {text(thermal_size)} ({thermal_shape:.2f}): the thermal image is "
                "stretched and lies wrong on the RGB image, unless both cameras see the same "
                "rectangle; measure the homography between them with mafs calibrate, and give it "
                "in registration_file (mafs fuse: --registration-file)",
            )

    def _build_warp(self, thermal_size: Size, rgb_size: Size) -> _Warp:
        check_size(rgb_size)
        homography = np.eye(3) if self.homography is None else self.homography
        if self.thermal_size is not None and self.rgb_size is not None:
            to_measured = _carried_over("thermal", thermal_size, self.thermal_size)
            from_measured = np.linalg.inv(_carried_over("RGB", rgb_size, self.rgb_size))
            homography = from_measured @ homography @ to_measured
        if thermal_size == rgb_size and np.allclose(homography, np.eye(3), atol=1e-9):
            return _Warp(thermal_size, rgb_size, None)
        return _Warp(thermal_size, rgb_size, _maps(homography, thermal_size, rgb_size))


def registration_from_cameras(
    rgb_k: ArrayLike,
    thermal_k: ArrayLike,
    rotation: ArrayLike,
    translation: ArrayLike,
    plane_depth_m: float,
    *,
    thermal_size: Size | None = None,
    rgb_size: Size | None = None,
) -> Registration:
    """Registration from both cameras' calibrations, for what lies at one depth.

    Two cameras side by side see near and far things shifted against each other, so a homography
    holds at one depth alone: with focal length f (pixels) and baseline b, something at depth z is
    off by f * b * |1/z - 1/plane_depth_m| pixels. 10 cm apart, f = 600 and a plane at 10 m: 6
    pixels at 5 m and 6 at infinity.

    rgb_k, thermal_k: 3x3 or 9 numbers, intrinsics of undistorted (rectified) images, CameraInfo.k
        or the left 3x3 of CameraInfo.p.
    rotation, translation (m): take a point from the thermal to the RGB camera's optical frame
        (tf2: lookup_transform(target=rgb frame, source=thermal frame)).
    plane_depth_m: distance of the plane, at right angles to the thermal camera's axis.
    thermal_size, rgb_size: (height, width) that the intrinsics belong to.
    Raises ValueError for what cannot be a calibration.
    """
    rgb_matrix = _checked_intrinsics("rgb_k", rgb_k)
    thermal_matrix = _checked_intrinsics("thermal_k", thermal_k)
    r = numbers("rotation", rotation, (3, 3))
    t = numbers("translation", translation, (3,))
    if not np.allclose(r @ r.T, np.eye(3), atol=1e-3) or np.linalg.det(r) < 0:
        raise ValueError(f"rotation must be a rotation matrix, got {r.tolist()}")
    if not (math.isfinite(plane_depth_m) and plane_depth_m > 0):
        raise ValueError(f"plane_depth_m must be above 0, got {plane_depth_m}")
    # On the plane z = d every point p obeys z / d = 1, hence R p + t = (R + t n^T / d) p.
    on_plane = r + np.outer(t, [0, 0, 1 / plane_depth_m])
    homography = rgb_matrix @ on_plane @ np.linalg.inv(thermal_matrix)
    return Registration(homography, thermal_size=thermal_size, rgb_size=rgb_size)


def _resize(thermal: Image, size: Size) -> Image:
    if thermal.shape == size:
        return thermal
    check_size(size)
    resized = cv2.resize(thermal, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def _maps(
    homography: Matrix, thermal_size: Size, rgb_size: Size
) -> tuple[NDArray[Any], NDArray[Any]]:
    """For every RGB pixel the thermal pixel to read, in OpenCV's fixed-point form."""
    height, width = thermal_size
    # A homography has no sign of its own: what is in front of the camera gets a positive weight.
    centre_weight = homography[2] @ [(width - 1) / 2, (height - 1) / 2, 1]
    inverse = np.linalg.inv(homography * (1 if centre_weight >= 0 else -1))
    y, x = np.mgrid[: rgb_size[0], : rgb_size[1]].astype(np.float64)
    u, v, weight = np.einsum("ij,jhw->ihw", inverse, np.stack([x, y, np.ones_like(x)]))
    in_front = weight > 1e-12
    u, v = (np.divide(c, weight, out=np.full_like(c, -10), where=in_front) for c in (u, v))
    if not ((u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)).any():
        raise ValueError(
            f"the homography takes no part of the {text(thermal_size)} thermal image into the "
            f"{text(rgb_size)} RGB image; it must lead from thermal to RGB pixels: is it the "
            "inverse?"
        )
    # Far outside is outside: keep within the 16 bit of the fixed-point form.
    u, v = np.clip(u, -10, width + 10), np.clip(v, -10, height + 10)
    return cv2.convertMaps(u.astype(np.float32), v.astype(np.float32), cv2.CV_16SC2)


def _carried_over(name: str, size: Size, measured: Size) -> Matrix:
    if not same_shape(size, measured):
        raise ValueError(
            f"the registration was measured on {name} images of {text(measured)}, got "
            f"{text(size)}, which is another shape: measure it again, or set the camera to a "
            "resolution of the same shape"
        )
    return rescaling(size, measured)


def _checked_homography(homography: ArrayLike) -> Matrix:
    h = numbers("homography", homography, (3, 3))
    if np.linalg.cond(h) > 1e12:
        raise ValueError(f"homography cannot be inverted: {h.tolist()}")
    return h / h[2, 2] if h[2, 2] else h


def _checked_intrinsics(name: str, k: ArrayLike) -> Matrix:
    matrix = numbers(name, k, (3, 3))
    if matrix[0, 0] <= 0 or matrix[1, 1] <= 0 or matrix[2].tolist() != [0, 0, 1]:
        raise ValueError(
            f"{name} must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with fx, fy above 0 (zeros: "
            f"the camera is not calibrated), got {matrix.tolist()}"
        )
    return matrix
