"""From images of a board to the files of a calibration: what `mafs calibrate --board` does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from mafs_ros.base.write import write_bytes
from mafs_ros.commands.calibrate.method.board import (
    BoardCalibration,
    View,
    board_from,
    calibrate_views,
    find_board,
)
from mafs_ros.commands.calibrate.method.errors import CalibrationError
from mafs_ros.perception.registration import Rig
from mafs_ros.perception.registration.lens import Lens
from mafs_ros.perception.registration.numbers import text as size_text


def calibrate_by_board(
    pairs: Iterable[tuple[str, NDArray[Any], NDArray[Any]]],
    board: str,
    out: Path,
    plane_depth_m: float = 10.0,
) -> BoardCalibration:
    """`mafs calibrate --board`: finds the board, calibrates, and writes three files to `out`.

    pairs: name, RGB image, thermal image, all of one size each; a hundred will do. plane_depth_m:
    at which the homography is right. Raises CalibrationError, ValueError for an impossible board,
    OSError.
    """
    described = board_from(board)
    views: list[View] = []
    sizes: dict[str, tuple[int, int]] = {}
    for name, rgb, thermal in pairs:
        size = {"rgb": rgb.shape[:2], "thermal": thermal.shape[:2]}
        if size != (sizes or size):
            raise CalibrationError(
                f"the images of {name} are {_text(size)}, those of {views[0].name} "
                f"{_text(sizes)}: lenses are measured on images of one size"
            )
        sizes = size
        views.append(View(name, find_board(rgb, described), find_board(thermal, described)))
    if not views:
        raise CalibrationError("there are no pairs of images to look for the board in")
    result = calibrate_views(views, described, sizes)
    files = files_of(result, plane_depth_m)
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_bytes(out / name, text.encode())
    return result


def files_of(result: BoardCalibration, plane_depth_m: float) -> dict[str, str]:
    """Name -> text: CameraInfo of both as camera_info_manager reads it, and the registration."""
    rig, files = result.rig, {}
    for name, lens in (("rgb", rig.rgb), ("thermal", rig.thermal)):
        files[f"{name}_camera_info.yaml"] = _yaml(_camera_info(name, lens))
    homography, error_px = _homography(rig, plane_depth_m)
    files["registration.yaml"] = _yaml(
        {
            "homography": homography.tolist(),
            "thermal_size": {"width": rig.thermal.size[1], "height": rig.thermal.size[0]},
            "rgb_size": {"width": rig.rgb.size[1], "height": rig.rgb.size[0]},
            "plane_depth_m": plane_depth_m,
            "lens_error_px": round(error_px, 2),  # what a homography cannot do
            "board_error_px": {name: round(e, 3) for name, e in result.errors_px.items()},
            "board_views": result.views,
            "thermal_to_rgb_translation_m": rig.translation.tolist(),
            "thermal_to_rgb_rotation": _quaternion(rig.rotation),
        }
    )
    return files


def _text(sizes: dict[str, tuple[int, int]]) -> str:
    return f"{size_text(sizes['rgb'])} (RGB) and {size_text(sizes['thermal'])} (thermal)"


def _homography(rig: Rig, plane_depth_m: float) -> tuple[NDArray[np.float64], float]:
    """Thermal to RGB pixels at a depth, and how far the bent lenses are from it at the most."""
    height, width = rig.rgb.size
    rgb = np.stack(np.meshgrid(np.linspace(0, width - 1, 25), np.linspace(0, height - 1, 19)), -1)
    thermal = rig.thermal_pixels(rgb, plane_depth_m)
    with np.errstate(invalid="ignore"):
        seen = ((thermal >= 0) & (thermal <= np.array(rig.thermal.size[::-1]) - 1)).all(-1)
    if seen.sum() < 12:
        raise CalibrationError(f"the cameras see next to nothing in common at {plane_depth_m:g} m")
    h, _ = cv2.findHomography(thermal[seen], rgb[seen])
    mapped = cv2.perspectiveTransform(thermal[seen][None], h)[0]
    return np.asarray(h, np.float64), float(np.linalg.norm(mapped - rgb[seen], axis=-1).max())


def _quaternion(rotation: Any) -> list[float]:
    """x, y, z, w."""
    vector = cv2.Rodrigues(rotation)[0].ravel()
    angle = float(np.linalg.norm(vector))
    axis = vector / angle if angle else vector
    return [*(np.sin(angle / 2) * axis).tolist(), float(np.cos(angle / 2))]


def _camera_info(name: str, lens: Lens) -> dict[str, Any]:
    def matrix(values: Any) -> dict[str, Any]:
        values = np.atleast_2d(values)
        rows, columns = values.shape
        return {"rows": rows, "cols": columns, "data": values.ravel().tolist()}

    return {
        "image_width": int(lens.size[1]),
        "image_height": int(lens.size[0]),
        "camera_name": name,
        "camera_matrix": matrix(lens.k),
        "distortion_model": lens.model,
        "distortion_coefficients": matrix(lens.distortion),
        "rectification_matrix": matrix(np.eye(3)),
        "projection_matrix": matrix(np.column_stack([lens.k, np.zeros(3)])),
    }


def _yaml(data: dict[str, Any]) -> str:
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=99)
