"""Registration from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mafs_ros.base.yaml_file import read_yaml
from mafs_ros.perception.registration.homography import Registration
from mafs_ros.perception.registration.numbers import Size


def load_registration(path: str | Path) -> Registration:
    """Registration from a YAML file:

        homography:             # thermal pixel (x, y, 1) -> RGB pixel, 3 rows of 3 numbers
          - [1.96, 0.01, 12.5]
          - [0.00, 1.97, -8.0]
          - [0.00, 0.00, 1.0]
        thermal_size: {width: 640, height: 512}
        rgb_size: {width: 1280, height: 1024}

    Other keys (date, depth, calibrator) are left alone. Raises FileNotFoundError, and ValueError
    that names the file and what is wrong in it.
    """
    path = Path(path)
    data = read_yaml(path)
    try:
        if not isinstance(data, Mapping):
            raise ValueError("expected a mapping with homography, thermal_size and rgb_size")
        missing = {"homography", "thermal_size", "rgb_size"} - data.keys()
        if missing:
            raise ValueError(f"lacks {', '.join(sorted(missing))}")
        return Registration(
            data["homography"],
            thermal_size=_size_from_yaml("thermal_size", data["thermal_size"]),
            rgb_size=_size_from_yaml("rgb_size", data["rgb_size"]),
        )
    except ValueError as error:
        raise ValueError(f"registration file {path}: {error}") from None


def _size_from_yaml(name: str, value: Any) -> Size:
    if not isinstance(value, Mapping) or set(value) != {"width", "height"}:
        raise ValueError(f"{name} must be {{width: W, height: H}}, got {value}")
    return value["height"], value["width"]
