"""The node's parameters for a replay: its defaults, its parameter file, single values."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mafs_ros.base.yaml_file import read_yaml
from mafs_ros.parameters.checks import complete, unknown_parameter
from mafs_ros.parameters.pairs import check_pairs, pair_names, rows_for, values_of
from mafs_ros.parameters.ros_yaml import RosLoader, ros_value

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
    "thermal_invalid_values",
    "registration",
    "registration_file",
    "registration_warn_px",
    "rgb_camera_info_topic",
    "thermal_camera_info_topic",
    "thermal_to_rgb_translation_m",
    "thermal_to_rgb_rotation",
    "plane_depth_m",
    "depth_topic",
    "depth_slop_s",
    "threads",
    "workspace_mb",
    "overlay_alpha",
    "confidence_threshold",
)
NODE = "mafs"
WILDCARDS = ("*", "**")


def read_settings(file: Path | None, assignments: Iterable[str]) -> dict[str, Any]:
    """Name -> value of `NAMES`: the node's defaults, over them `file`, over that NAME:=VALUE.

    A name in the file that no parameter has is ignored with a warning, as the node does. Raises
    OSError or ValueError that names the parameter and what was expected, as the node does; also
    where the parameters are of several pairs of cameras.
    """
    values = read_values(file, assignments)
    if (names := pair_names(values)) != [""]:
        raise ValueError(
            f"{file}: holds the parameters of {len(names)} pairs of cameras ({', '.join(names)}), "
            "expected those of one: give a file without the parameter pairs"
        )
    return settings_of("", values)


def read_values(file: Path | None, assignments: Iterable[str]) -> dict[str, Any]:
    """As `read_settings`, of all parameters, those of several pairs (NAME.slop_s) included."""
    given: dict[str, Any] = {}
    if file is not None:
        given = _parameters(file)
    for assignment in assignments:
        name, separator, text = assignment.partition(":=")
        if not separator:
            raise ValueError(f"got the parameter {assignment!r}, expected NAME:=VALUE")
        if name.rpartition(".")[2] not in NAMES:
            raise ValueError(_unknown(name))
        given[name] = ros_value(text)
    rows = rows_for(given)
    for name in given:
        if unknown := unknown_parameter(name, rows):
            logging.getLogger(__name__).warning("%s: %s", file, unknown)
    values = complete(given, rows)
    check_pairs(values)
    return values


def settings_of(pair: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `NAMES`, for a pair of cameras ('' for the only one)."""
    own = values_of(pair, values)
    return {name: own[name] for name in NAMES}


def _parameters(path: Path) -> dict[str, Any]:
    """The parameters of a node `mafs`, in whatever namespace, of a ROS parameter file."""
    sections = list(_sections(read_yaml(path, RosLoader), "/"))
    ours = [
        (node, values) for node, values in sections if node.split("/")[-1] in (NODE, *WILDCARDS)
    ]
    if not ours:
        others = ", ".join(node for node, _ in sections)
        raise ValueError(
            f"{path}: holds no parameters of the node {NODE}"
            + f", but of {others}" * bool(others)
            + f'; expected "/**:" or "{NODE}:", under it "ros__parameters:"'
        )
    _check_one_node(path, ours)
    found: dict[str, Any] = {}
    for _, values in ours:  # the last says it, as in the node
        found.update(values)
    return found


def _sections(data: Any, node: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(full name of the node, its parameters): namespaces may be keys of their own or /-joined."""
    if not isinstance(data, Mapping):
        return
    for key, value in data.items():
        if key == "ros__parameters" and isinstance(value, Mapping):
            yield node, dict(_flat(value, ""))
        else:
            yield from _sections(value, f"{node.rstrip('/')}/{str(key).strip('/')}")


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """qos_overrides: {/topic: ...} -> qos_overrides./topic. ..., as ROS names parameters."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _check_one_node(path: Path, sections: list[tuple[str, dict[str, Any]]]) -> None:
    """Raise ValueError where two nodes of one name, in two namespaces, have different values."""
    own = [(node, values) for node, values in sections if "*" not in node]
    for node, values in own[1:]:
        first, before = own[0]
        different = [name for name in values if before.get(name) != values[name]]
        if node != first and (different or values.keys() != before.keys()):
            raise ValueError(
                f"{path}: holds parameters of {first} and of {node}, which differ; give a file "
                "with those of the node that is meant"
            )


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, NAMES, n=1)
    hint = f": did you mean {close[0]}?" if close else f"; expected one of {', '.join(NAMES)}"
    return f"there is no parameter {name}{hint}"
