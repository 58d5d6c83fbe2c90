"""Registration by the calibrations of both cameras and how they sit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.base.faults import Fault
from mafs_ros.base.remarks import Remarks
from mafs_ros.perception.registration.by_depth import DepthWarp
from mafs_ros.perception.registration.grid import over_image
from mafs_ros.perception.registration.numbers import (
    Image,
    Size,
    check_size,
    check_thermal,
    same_shape,
    text,
)
from mafs_ros.perception.registration.rig import Rig

Depth = NDArray[np.float32]
_OUTSIDE = -10.0


class CameraRegistration:
    """Warps thermal images into the RGB image by what is known of both cameras.

    rig: lens distortion is taken out of the thermal image and that of the RGB camera put in, in
    the one look-up that also turns and shifts it. plane_depth_m: distance at which images without
    depth fit, along the axis of the RGB camera; what is at depth z is off by
    f * b * |1/z - 1/plane_depth_m| pixels (focal length f in pixels, baseline b).

    Images of the same shape in another resolution than that of the calibration are taken; any
    other shape is refused. Where the thermal camera sees nothing the result is 0, the coldest
    value. with_depth: prepares at once what the first depth image needs. `remarks` has a line
    where a depth image cannot be used. Raises ValueError where the thermal camera sees no part of
    the RGB image.
    """

    def __init__(self, rig: Rig, plane_depth_m: float, *, with_depth: bool = False) -> None:
        if not (np.isfinite(plane_depth_m) and plane_depth_m > 0):
            raise ValueError(f"plane_depth_m must be above 0, got {plane_depth_m}")
        self.rig = rig
        self.plane_depth_m = plane_depth_m
        self.remarks = Remarks()
        self._plane: _PlaneWarp | None = None
        self._by_depth: DepthWarp | None = None
        self._for_sizes(rig.thermal.size, rig.rgb.size)
        if with_depth:
            self._by_depth = DepthWarp(rig, plane_depth_m)

    def __call__(self, thermal: Image, size: Size, depth: Depth | None = None) -> Image:
        """Thermal image on the pixels of an RGB image.

        thermal: uint8 [h,w]; size: (H,W) of the RGB image; depth: float32 in metres of the same
        view in any resolution, 0, NaN or infinite where it is not known. Returns uint8 [H,W].
        Raises ValueError for another type or for sizes that do not fit.
        """
        thermal_size, size = check_thermal(thermal), (size[0], size[1])
        plane = self._for_sizes(thermal_size, size)
        if depth is not None and self._is_of_this_shape(depth, size):
            if self._by_depth is None:
                rig = self.rig.for_sizes(size, thermal_size)
                self._by_depth = DepthWarp(rig, self.plane_depth_m)
            if depth.shape != size:
                depth = np.asarray(
                    cv2.resize(depth, size[::-1], interpolation=cv2.INTER_NEAREST), np.float32
                )
            return self._by_depth(thermal, depth)
        return np.asarray(cv2.remap(thermal, *plane.maps, cv2.INTER_LINEAR), np.uint8)

    def _for_sizes(self, thermal_size: Size, size: Size) -> _PlaneWarp:
        plane = self._plane
        if plane is None or plane.thermal_size != thermal_size or plane.rgb_size != size:
            check_size(size)
            rig = self.rig.for_sizes(size, thermal_size)
            maps = _plane_maps(rig, self.plane_depth_m)
            plane = self._plane = _PlaneWarp(thermal_size, size, maps)
            self._by_depth = None
        return plane

    def _is_of_this_shape(self, depth: Depth, size: Size) -> bool:
        if same_shape((depth.shape[0], depth.shape[1]), size):
            return True
        self.remarks.add(
            Fault.DEPTH_SHAPE,
            f"the depth images are {text(depth.shape)}, the RGB images {text(size)}, which is "
            f"another shape: they are not used, everything is taken to be at plane_depth_m "
            f"{self.plane_depth_m:g}; expected is depth on the pixels of the RGB camera "
            "(aligned, registered)",
        )
        return False


@dataclass(frozen=True)
class _PlaneWarp:
    """Takes thermal images of one size to one RGB size."""

    thermal_size: Size
    rgb_size: Size
    maps: tuple[NDArray[Any], NDArray[Any]]


def _plane_maps(rig: Rig, plane_depth_m: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """For every RGB pixel the thermal pixel to read, in OpenCV's fixed-point form."""
    height, width = rig.thermal.size
    u, v = over_image(lambda pixels: rig.thermal_pixels(pixels, plane_depth_m), rig.rgb.size)
    with np.errstate(invalid="ignore"):
        inside = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    if not inside.any():
        raise ValueError(
            "by CameraInfo and transform the thermal camera sees no part of the RGB image at "
            f"{plane_depth_m:g} m: are the frames the optical ones (z ahead, x right, y down), "
            "and does the transform lead from the thermal to the RGB camera?"
        )
    # Far outside is outside: keep within the 16 bit of the fixed-point form.
    u = np.nan_to_num(np.clip(u, _OUTSIDE, width - _OUTSIDE), nan=_OUTSIDE)
    v = np.nan_to_num(np.clip(v, _OUTSIDE, height - _OUTSIDE), nan=_OUTSIDE)
    return cv2.convertMaps(u, v, cv2.CV_16SC2)
