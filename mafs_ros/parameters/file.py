"""The node's parameters for a replay: its defaults, its parameter file, single values."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mafs_ros.parameters.checks import check_together, complete
from mafs_ros.parameters.table import TABLE

# Those that change what comes out; the others (topics, QoS, ...) say nothing about a bag.
NAMES = (
    "slop_s",
    "pair_by",
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
    """Name -> value of `NAMES`: the node's defaults, over them `file`, over that NAME:=VALUE.

    Raises OSError or ValueError that names the parameter and what was expected, as the node does.
    """
    given: dict[str, Any] = {}
    if file is not None:
        given = _parameters(file)
        for name in given:
            if name not in TABLE:
                raise ValueError(f"{file}: {_unknown(name, TABLE)}")
    for assignment in assignments:
        name, separator, text = assignment.partition(":=")
        if not separator:
            raise ValueError(f"got the parameter {assignment!r}, expected NAME:=VALUE")
        if name not in NAMES:
            raise ValueError(_unknown(name, NAMES))
        try:
            given[name] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ValueError(
                f"parameter {name}: got {text!r}, expected {TABLE[name].expected}"
            ) from None
    values = complete(given)
    check_together(values)
    return {name: values[name] for name in NAMES}


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


def _unknown(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f": did you mean {close[0]}?" if close else f"; expected one of {', '.join(names)}"
    return f"there is no parameter {name}{hint}"
