"""Makes what perception is made of from the values of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mafs_ros.perception.classes import ClassTable
from mafs_ros.perception.perception import Perception
from mafs_ros.perception.registration import Registration, load_registration
from mafs_ros.perception.thermal import ThermalScaler


def build_perception(
    values: Mapping[str, Any],
    weights: Path,
    cache_dir: Path | None,
    say: Callable[[str], Any] = lambda text: None,
) -> tuple[Perception, ClassTable]:
    """Perception as the node's parameters describe it, and the classes of its labels.

    values: backend, precision, threads, registration_file, thermal_*. Raises OSError or ValueError
    (BackendError, WeightsError, ...); files that cannot be read are found before the engine loads.
    """
    from mafs_ros.engine import create_engine  # imports OpenVINO or torch

    scaler, registration = scaler_from(values), registration_from(values)
    say(f"loading {weights}")
    engine = create_engine(
        values["backend"],
        weights,
        threads=values["threads"],
        precision=values["precision"],
        cache_dir=cache_dir,
    )
    table = ClassTable.from_dict(engine.model_info.class_table)
    return Perception(engine, scaler, registration), table


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


def registration_from(settings: Mapping[str, Any]) -> Registration:
    """The registration that the parameters name; raises OSError or ValueError."""
    file = settings["registration_file"]
    return load_registration(Path(file).expanduser()) if file else Registration(None)


def cache_dir_of(values: dict[str, Any]) -> Path | None:
    """The folder for compiled engines that the parameters name, None for none."""
    from mafs_ros.engine.cache import default_cache_dir

    if values["cache_dir"] == "auto":
        return default_cache_dir()
    return Path(values["cache_dir"]).expanduser() if values["cache_dir"] else None
