"""Makes what perception is made of from the values of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mafs_ros.perception.classes import ClassTable
from mafs_ros.perception.perception import Perception
from mafs_ros.perception.registration import Registration, load_registration
from mafs_ros.perception.registration.known import KnownCameras, fixed_pose
from mafs_ros.perception.registration.topics import is_rectified
from mafs_ros.perception.thermal import ThermalScaler

if TYPE_CHECKING:
    from mafs_ros.engine import Engine


def build_perception(
    values: Mapping[str, Any],
    weights: Path,
    cache_dir: Path | None,
    say: Callable[[str], Any] = lambda text: None,
) -> tuple[Perception, ClassTable]:
    """Perception as the node's parameters describe it, and the classes of its labels.

    values: backend, precision, threads, workspace_mb, cache_mb, registration*, thermal_*. Raises
    OSError or ValueError (BackendError, WeightsError, ...); files that cannot be read are found
    before the engine loads.
    """
    scaler, registration = scaler_from(values), registration_from(values)
    engine, table = engine_from(values, weights, cache_dir, say)
    return Perception(engine, scaler, registration), table


def engine_from(
    values: Mapping[str, Any],
    weights: Path,
    cache_dir: Path | None,
    say: Callable[[str], Any] = lambda text: None,
) -> tuple[Engine, ClassTable]:
    """The engine that the parameters name, and the classes of its labels.

    values: backend, precision, threads, workspace_mb, cache_mb.

    Raises OSError or ValueError (BackendError, WeightsError, ...).
    """
    from mafs_ros.engine import create_engine  # imports OpenVINO or torch

    say(f"loading {weights}")
    engine = create_engine(
        values["backend"],
        weights,
        threads=values["threads"],
        precision=values["precision"],
        cache_dir=cache_dir,
        workspace_mb=values["workspace_mb"],
        cache_mb=values["cache_mb"],
    )
    return engine, ClassTable.from_dict(engine.model_info.class_table)


def scaler_from(parameters: Mapping[str, Any]) -> ThermalScaler:
    """The thermal scaler that the node's `thermal_*` parameters describe; raises ValueError."""
    return ThermalScaler(
        parameters["thermal_scaling"],
        low=parameters["thermal_low"],
        high=parameters["thermal_high"],
        unit=parameters["thermal_unit"],
        kelvin_per_count=parameters["thermal_kelvin_per_count"],
        percentiles=(
            parameters["thermal_percentile_low"],
            parameters["thermal_percentile_high"],
        ),
        time_constant_s=parameters["thermal_time_constant_s"],
        invalid_values=parameters["thermal_invalid_values"],
    )


def registration_from(settings: Mapping[str, Any]) -> Registration | None:
    """The registration that the parameters name; raises OSError or ValueError.

    None for camera_info, where messages tell it: see `known_cameras`.
    """
    way, file = settings["registration"], settings["registration_file"]
    if way == "camera_info":
        return None
    if way == "none" or not file:
        return Registration(None)
    return load_registration(Path(file).expanduser())


def registration_in_words(settings: Mapping[str, Any]) -> str:
    """The way that the parameters name, for whoever reads /diagnostics."""
    way, file = settings["registration"], settings["registration_file"]
    if way == "camera_info":
        return "by camera_info"
    if way == "none" or not file:
        return "none: both cameras are taken to see the same rectangle"
    return f"by the homography in {file}"


def known_cameras(
    settings: Mapping[str, Any], topics: Mapping[str, str], info_topics: Mapping[str, str]
) -> KnownCameras | None:
    """What will register by CameraInfo; None where the parameters name another way.

    topics: of the images by camera ('rgb', 'thermal'); info_topics: of their CameraInfo.
    """
    if settings["registration"] != "camera_info":
        return None
    return KnownCameras(
        info_topics,
        {camera: is_rectified(topic) for camera, topic in topics.items()},
        fixed_pose(settings["thermal_to_rgb_translation_m"], settings["thermal_to_rgb_rotation"]),
        settings["plane_depth_m"],
        with_depth=bool(settings["depth_topic"]),
    )


def cache_dir_of(values: dict[str, Any]) -> Path | None:
    """The folder for compiled engines that the parameters name, None for none."""
    from mafs_ros.engine.cache_folder import default_cache_dir

    if values["cache_dir"] == "auto":
        return default_cache_dir()
    return Path(values["cache_dir"]).expanduser() if values["cache_dir"] else None
