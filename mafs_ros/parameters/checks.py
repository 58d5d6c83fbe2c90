"""Which values and which changes of parameters are refused."""

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any

from mafs_ros.parameters.table import PARAMETERS, TABLE, Parameter, ParameterError, Value
from mafs_ros.perception.measured_pixels import invalid_numbers

# Of rclpy and bondpy.
RCLPY_PARAMETERS = (
    "use_sim_time",
    "qos_overrides.",
    "start_type_description_service",
    "/bond_disable_heartbeat_timeout",
)


def unknown_parameter(name: str, table: tuple[Parameter, ...] = PARAMETERS) -> str:
    """'' for a parameter of the table or of rclpy itself, else a warning with the nearest name."""
    names = [parameter.name for parameter in table]
    if name in names or name.startswith(RCLPY_PARAMETERS):
        return ""
    close = difflib.get_close_matches(name, names, n=1)
    hint = f": did you mean {close[0]}?" if close else ""
    return f"parameter {name} does not exist and is ignored{hint}"


def convert(parameter: Parameter, value: Any) -> Value:
    """Check one value against its row and return it in the row's type; raises ParameterError."""
    if parameter.is_list_of_strings:
        return _convert_strings(parameter, value)
    if isinstance(parameter.default, list):
        return _convert_list(parameter, value)
    if isinstance(parameter.default, float) and type(value) is int:
        value = float(value)
    if parameter.numbers and type(value) in (int, float):
        value = repr(value)
    fits = type(value) is type(parameter.default)
    if fits and parameter.choices:
        fits = value in parameter.choices
    if fits and parameter.low is not None and parameter.high is not None:
        fits = math.isfinite(value) and parameter.low <= value <= parameter.high
    if not fits:
        raise ParameterError(
            f"parameter {parameter.name}: got {value!r}, expected {parameter.expected}"
        )
    return value


def _convert_strings(parameter: Parameter, value: Any) -> list[str]:
    """A list of strings without the empty ones; one empty one where none is left."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(text, str) for text in value):
        raise ParameterError(
            f"parameter {parameter.name}: got {value!r}, expected {parameter.expected}"
        )
    return [text for text in value if text] or [""]


def _convert_list(parameter: Parameter, value: Any) -> list[float]:
    """A list, tuple or array of numbers, as YAML and ROS give them."""
    assert isinstance(parameter.default, list)
    assert parameter.low is not None and parameter.high is not None
    numbers = [] if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") else [*value]
    fits = len(numbers) == len(parameter.default) and all(
        type(number) in (int, float) and parameter.low <= number <= parameter.high
        for number in numbers
    )
    if not fits:
        raise ParameterError(
            f"parameter {parameter.name}: got {value!r}, expected {parameter.expected}"
        )
    return [float(number) for number in numbers]


def complete(
    given: Mapping[str, Any], table: tuple[Parameter, ...] = PARAMETERS
) -> dict[str, Value]:
    """Name -> value of every parameter of the table: the one given, else its default.

    Raises ParameterError for an impossible value; names that the table lacks are left out.
    """
    return {row.name: convert(row, given.get(row.name, row.default)) for row in table}


def check_together(values: Mapping[str, Any]) -> None:
    """Raise ParameterError where values of one pair are fine one by one but not together."""
    for low, high in (
        ("thermal_low", "thermal_high"),
        ("thermal_percentile_low", "thermal_percentile_high"),
    ):
        if not values[low] < values[high]:
            raise ParameterError(
                f"parameters {low} and {high}: got {values[low]} and {values[high]}, expected "
                f"{low} below {high}: to change both, set them in one request or widen first"
            )
    try:
        invalid_numbers(values["thermal_invalid_values"])
    except ValueError as error:
        raise ParameterError(f"parameter {error}") from None
    if (values["image_height"] == 0) != (values["image_width"] == 0):
        raise ParameterError(
            f"parameters image_height and image_width: got {values['image_height']} and "
            f"{values['image_width']}, expected both or neither to be 0"
        )
    if values["registration"] == "file" and not values["registration_file"]:
        raise ParameterError(
            "parameters registration and registration_file: got registration: file and no file, "
            "expected the YAML file with the homography in registration_file"
        )
    if values["depth_topic"] and values["registration"] != "camera_info":
        raise ParameterError(
            f"parameters depth_topic and registration: got {values['depth_topic']!r} and "
            f"{values['registration']}, expected registration: camera_info, which alone uses depth"
        )
    for name in ("rgb_topic", "thermal_topic"):
        if not values[name]:
            raise ParameterError(f"parameter {name}: got an empty name, expected a topic")
    if values["rgb_topic"] == values["thermal_topic"]:
        raise ParameterError(
            f"parameters rgb_topic and thermal_topic: both are {values['rgb_topic']}, expected "
            "the topics of two cameras"
        )


def check_change(
    current: Mapping[str, Any],
    changes: Mapping[str, Any],
    configured: bool,
    rows: Mapping[str, Parameter] = TABLE,
    together: Callable[[dict[str, Any]], None] = check_together,
) -> None:
    """Raise ParameterError where a running node cannot take these changes.

    `configured`: the node is past `configure`, where only live parameters may change; rows: of
    the parameters there are, by name; together: finds what is impossible together.
    """
    for name, value in changes.items():
        if name not in rows:
            continue  # use_sim_time and other parameters of rclpy's own
        convert(rows[name], value)
        if configured and not rows[name].live and convert(rows[name], value) != current[name]:
            raise ParameterError(
                f"parameter {name} is read when the node is configured: deactivate and clean up "
                "the node, set it, then configure and activate (or restart the node with it)"
            )
    together({**current, **changes})
