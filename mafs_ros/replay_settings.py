"""The node's parameters for a replay: its defaults, its parameter file, single values."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mafs_ros.resources import share_path

if TYPE_CHECKING:
    from mafs_ros.registration import Registration

# Those that change what comes out; the others (topics, QoS, ...) say nothing about a bag.
NAMES = (
    "slop_s",
    "queue_size",
    "thermal_time_offset_s",
    "thermal_scaling",
    "thermal_low",
    "thermal_high",
    "thermal_unit",
    "thermal_kelvin_per_count",
    "thermal_percentile_low",
    "thermal_percentile_high",
    "thermal_time_constant_s",
    "registration_file",
    "threads",
    "overlay_alpha",
)
NODE_KEYS = ("/**", "mafs", "/mafs", "/**/mafs")


def read_settings(file: Path | None, assignments: Iterable[str]) -> dict[str, Any]:
    """Name -> value: the defaults in config/mafs.yaml, over them `file`, over that NAME:=VALUE.

    Raises OSError or ValueError that names the parameter and what was expected.
    """
    defaults = _parameters(share_path("config", "mafs.yaml"))
    settings = {name: defaults[name] for name in NAMES}
    if file is not None:
        for name, value in _parameters(file).items():
            if name in settings:
                settings[name] = _converted(name, value, settings[name])
            elif name not in defaults:
                raise ValueError(f"{file}: {_unknown(name, defaults)}")
    for assignment in assignments:
        name, separator, text = assignment.partition(":=")
        if not separator:
            raise ValueError(f"got the parameter {assignment!r}, expected NAME:=VALUE")
        if name not in settings:
            raise ValueError(_unknown(name, settings))
        settings[name] = _converted(name, yaml.safe_load(text), settings[name])
    return settings


def registration_from(settings: Mapping[str, Any]) -> Registration:
    """The registration that the parameters name; raises OSError or ValueError."""
    from mafs_ros.registration import Registration, load_registration

    file = settings["registration_file"]
    return load_registration(Path(file).expanduser()) if file else Registration(None)


def _parameters(path: Path) -> dict[str, Any]:
    """The parameters of a node `mafs` in a ROS parameter file."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OSError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is no YAML file: {error}") from None
    found: dict[str, Any] = {}
    for key in NODE_KEYS:
        node = data.get(key) if isinstance(data, Mapping) else None
        values = node.get("ros__parameters") if isinstance(node, Mapping) else None
        if isinstance(values, Mapping):
            found.update(values)
    if not found:
        raise ValueError(
            f"{path}: holds no parameters of the node mafs; expected "
            '"/**:" or "mafs:", under it "ros__parameters:"'
        )
    return found


def _converted(name: str, value: Any, default: Any) -> Any:
    """The value in the type of the default, as the node takes it."""
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    finite = not isinstance(value, float) or math.isfinite(value)
    if type(value) is not type(default) or not finite:
        kind = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}
        raise ValueError(f"parameter {name}: got {value!r}, expected {kind[type(default)]}")
    return value


def _unknown(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f": did you mean {close[0]}?" if close else f"; expected one of {', '.join(names)}"
    return f"there is no parameter {name}{hint}"
