"""Writes registration.yaml, which `load_registration` reads."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from mafs_ros.base.write import write_bytes
from mafs_ros.commands.calibrate.method.calibrate import Calibration
from mafs_ros.commands.calibrate.method.depth import DepthRange
from mafs_ros.commands.calibrate.method.lens import for_images_as_they_come
from mafs_ros.perception.registration.lens import Lens
from mafs_ros.perception.registration.numbers import Matrix, Size

HEAD = """\
# Where the pixels of the thermal image lie in the RGB image, by `mafs calibrate`.
# registration_file of the node (mafs fuse: --registration-file) takes it. docs/registration.md
# says what each key means.
"""


def registration_text(
    found: Calibration,
    source: str,
    lenses: tuple[Lens | None, Lens | None] = (None, None),
    depth: DepthRange | None = None,
    now: datetime | None = None,
) -> str:
    """The text of the file. lenses: of thermal and RGB camera, which the images were undistorted
    with; source: the bag or folders."""
    homography, error_px = found.homography, 0.0
    bent = any(lens is not None and lens.distorts for lens in lenses)
    if bent:
        sizes = found.thermal_size, found.rgb_size
        homography, error_px = for_images_as_they_come(found.homography, *lenses, sizes)
    data: dict[str, Any] = {
        "homography": _rows(homography),
        "thermal_size": _size(found.thermal_size),
        "rgb_size": _size(found.rgb_size),
        "date": (now or datetime.now(timezone.utc)).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "source": source,
        "frames": len(found.frames),
        "evidence": round(found.evidence, 2),
        "overlap": round(found.overlap, 3),
        "disagreement_px": round(found.disagreement_px, 2),
        "uncertain": found.uncertain,
    }
    if depth is not None:
        data["depth"] = _depth(depth)
    if bent:
        data["lens_error_px"] = round(error_px, 2)
        data["undistorted"] = {
            "homography": _rows(found.homography),
            **{
                name: _lens(lens)
                for name, lens in zip(("thermal", "rgb"), lenses, strict=True)
                if lens is not None
            },
        }
    return HEAD + yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=99)


def write_registration(path: Path, text: str) -> None:
    """Write the file wholly or not at all; raises OSError."""
    write_bytes(path, text.encode())


def _rows(homography: Matrix) -> list[list[float]]:
    return [[float(f"{value:.9g}") for value in row] for row in homography / homography[2, 2]]


def _size(size: Size) -> dict[str, int]:
    return {"width": int(size[1]), "height": int(size[0])}


def _depth(depth: DepthRange) -> dict[str, float | str]:
    farthest = "infinity" if math.isinf(depth.farthest_m) else round(depth.farthest_m, 2)
    return {
        "plane_m": depth.plane_m,
        "tolerance_px": depth.tolerance_px,
        "nearest_m": round(depth.nearest_m, 2),
        "farthest_m": farthest,
        "focal_px": round(depth.focal_px, 2),
        "baseline_m": depth.baseline_m,
    }


def _lens(lens: Lens) -> dict[str, Any]:
    return {
        "k": [float(value) for value in lens.k.ravel()],
        "d": [float(value) for value in lens.distortion],
        "distortion_model": lens.model,
    }
