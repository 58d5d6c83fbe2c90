"""The node's parameters: one table with types, defaults, ranges and descriptions.

Everything else is made from the table: the declarations and their descriptors, the checks on
change, the default parameter file `config/mafs.yaml` (`python -m mafs_ros.parameters yaml`) and
the README's table (`python -m mafs_ros.parameters markdown`).
"""

import difflib
import math
import sys
import textwrap
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from mafs_ros.backends import ALL_PRECISIONS, BACKENDS

Value = bool | int | float | str


class ParameterError(ValueError):
    """A parameter has an impossible value; the message names it and says what is expected."""


@dataclass(frozen=True)
class Parameter:
    """One row of the table.

    `live`: may be set while the node runs; the others are read when the node is configured.
    `read_only`: read once, at the start of the process.
    """

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    read_only: bool = False

    @property
    def type_name(self) -> str:
        return {bool: "bool", int: "integer", float: "float", str: "string"}[type(self.default)]

    @property
    def expected(self) -> str:
        """The values allowed, in words: 'a float from 0.0 to 1.0'."""
        article = "an" if self.type_name == "integer" else "a"
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.low is not None:
            return f"{article} {self.type_name} from {self.low} to {self.high}"
        return f"{article} {self.type_name}"


CAMERA_TOPIC = "an absolute name, or one relative to the namespace of the node"
TRANSPORT = "raw: sensor_msgs/Image; compressed: sensor_msgs/CompressedImage on TOPIC/compressed"

PARAMETERS: tuple[Parameter, ...] = (
    # inputs
    Parameter("rgb_topic", "rgb/image", f"Topic of the RGB images: {CAMERA_TOPIC}."),
    Parameter("thermal_topic", "thermal/image", f"Topic of the thermal images: {CAMERA_TOPIC}."),
    Parameter("rgb_transport", "raw", f"{TRANSPORT}.", choices=("raw", "compressed")),
    Parameter(
        "thermal_transport",
        "raw",
        f"{TRANSPORT} (16 bit: PNG only).",
        choices=("raw", "compressed"),
    ),
    Parameter(
        "input_reliability",
        "auto",
        "Reliability requested from the cameras. auto: reliable, or best_effort from a "
        "camera that offers no more. best_effort: for lossy networks, nothing is resent. "
        "reliable: such cameras are warned of and not received.",
        choices=("auto", "best_effort", "reliable"),
    ),
    Parameter(
        "input_depth", 5, "Images of each camera that may wait in the middleware.", low=1, high=100
    ),
    Parameter(
        "stale_timeout_s",
        5.0,
        "Seconds without an image of a camera before the node warns and names the topic.",
        low=0.1,
        high=3600.0,
        live=True,
    ),
    # pairing
    Parameter(
        "slop_s",
        0.05,
        "Largest difference in seconds between the stamps of a pair.",
        low=0.0,
        high=10.0,
        live=True,
    ),
    Parameter(
        "queue_size",
        10,
        "Images of each camera that may wait for their partner.",
        low=1,
        high=1000,
    ),
    Parameter(
        "thermal_time_offset_s",
        0.0,
        "Seconds added to the thermal stamps before pairing; for cameras that stamp late, "
        "negative. Published stamps are not changed: they are those of the RGB camera.",
        low=-10.0,
        high=10.0,
        live=True,
    ),
    # thermal image
    Parameter(
        "thermal_scaling",
        "auto",
        "How thermal counts become 8 bit. percentile: range of the image, slowed by "
        "thermal_time_constant_s; fixed: thermal_low to thermal_high; as_is: no change, "
        "8 bit cameras only; auto: as_is for 8 bit cameras, percentile for others.",
        choices=("auto", "percentile", "fixed", "as_is"),
        live=True,
    ),
    Parameter(
        "thermal_low",
        0.0,
        "fixed: the value that becomes 0, in thermal_unit.",
        low=-1e6,
        high=1e6,
        live=True,
    ),
    Parameter(
        "thermal_high",
        65535.0,
        "fixed: the value that becomes 255, in thermal_unit.",
        low=-1e6,
        high=1e6,
        live=True,
    ),
    Parameter(
        "thermal_unit",
        "counts",
        "Unit of thermal_low and thermal_high.",
        choices=("counts", "kelvin"),
        live=True,
    ),
    Parameter(
        "thermal_kelvin_per_count",
        0.01,
        "Kelvin per count of a 16-bit radiometric camera, for thermal_unit kelvin: 0.01, or "
        "0.1 in low resolution. Counts start at 0 K; else give the range in counts.",
        low=1e-6,
        high=10.0,
        live=True,
    ),
    Parameter(
        "thermal_percentile_low",
        1.0,
        "percentile: the percentile that becomes 0.",
        low=0.0,
        high=100.0,
        live=True,
    ),
    Parameter(
        "thermal_percentile_high",
        99.8,
        "percentile: the percentile that becomes 255.",
        low=0.0,
        high=100.0,
        live=True,
    ),
    Parameter(
        "thermal_time_constant_s",
        2.0,
        "percentile: seconds after which the range has followed 63 % of a small change. "
        "0: every image has its own range (flickers).",
        low=0.0,
        high=3600.0,
        live=True,
    ),
    Parameter(
        "registration_file",
        "",
        "YAML file with the homography from thermal to RGB pixels. Empty: both cameras "
        "see the same rectangle, and the thermal image is resized.",
    ),
    # network
    Parameter("weights", "", "Model file (.safetensors). Empty: the one shipped here."),
    Parameter(
        "backend",
        "auto",
        "Engine that runs the network. auto: torch where there is a CUDA "
        "device, else openvino where it is installed. tensorrt has to be asked for.",
        choices=("auto", *BACKENDS),
    ),
    Parameter(
        "precision",
        "auto",
        "Arithmetic of the engine; a backend that lacks it lists those "
        "it has. auto: the choice of the backend.",
        choices=("auto", *ALL_PRECISIONS),
    ),
    Parameter("threads", 0, "CPU threads of the engine. 0: the engine chooses.", low=0, high=1024),
    Parameter(
        "cache_dir",
        "auto",
        "Folder for compiled engines, so that the next start is fast. auto: mafs_ros below "
        "$XDG_CACHE_HOME or ~/.cache. Empty: none.",
    ),
    Parameter(
        "image_height",
        0,
        "Height of the RGB images in pixels, to compile the engine before activation. "
        "0: compile when the first image comes.",
        low=0,
        high=16384,
    ),
    Parameter(
        "image_width",
        0,
        "Width of the RGB images in pixels; 0 as with image_height.",
        low=0,
        high=16384,
    ),
    # outputs
    Parameter(
        "overlay_alpha",
        0.5,
        "Strength of the class colours in the overlay.",
        low=0.0,
        high=1.0,
        live=True,
    ),
    Parameter(
        "autostart",
        True,
        "Configure and activate at the start. If that fails the process ends with exit "
        "code 1. false: wait for lifecycle transitions.",
        read_only=True,
    ),
)
TABLE = {parameter.name: parameter for parameter in PARAMETERS}
RCLPY_PARAMETERS = ("use_sim_time", "qos_overrides.", "start_type_description_service")


def declare_parameters(node: Node, table: tuple[Parameter, ...] = PARAMETERS) -> list[str]:
    """Declare every parameter of the table, with the values given at the start of the process.

    The node must be made with automatically_declare_parameters_from_overrides=True. An integer
    given for a float is taken as that float. Returns one warning for each name that no parameter
    has (a typing error, or meant for another node). Raises ParameterError for an impossible value.
    """
    declared: dict[str, Any] = node.get_parameters_by_prefix("")
    given = {name: item.value for name, item in declared.items()}
    for parameter in table:
        value = convert(parameter, given.get(parameter.name, parameter.default))
        if parameter.name in given:
            node.undeclare_parameter(parameter.name)  # it is declared without type and range
        node.declare_parameter(parameter.name, value, descriptor(parameter), ignore_override=True)
    return [unknown for name in given if (unknown := unknown_parameter(name, table))]


def unknown_parameter(name: str, table: tuple[Parameter, ...] = PARAMETERS) -> str:
    """'' for a parameter of the table or of rclpy itself, else a warning with the nearest name."""
    names = [parameter.name for parameter in table]
    if name in names or name.startswith(RCLPY_PARAMETERS):
        return ""
    close = difflib.get_close_matches(name, names, n=1)
    hint = f": did you mean {close[0]}?" if close else ""
    return f"parameter {name} does not exist and is ignored{hint}"


def parameter_values(node: Node) -> dict[str, Any]:
    """Name -> value of every parameter of the table."""
    return {name: node.get_parameter(name).value for name in TABLE}


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """What `ros2 param describe` and rqt_reconfigure show."""
    result = ParameterDescriptor(description=parameter.description, read_only=parameter.read_only)
    if parameter.choices:
        result.additional_constraints = parameter.expected
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, float):
            bounds = FloatingPointRange(from_value=parameter.low, to_value=parameter.high)
            result.floating_point_range = [bounds]
        else:
            whole = IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high))
            result.integer_range = [whole]
    return result


def convert(parameter: Parameter, value: Any) -> Value:
    """Check one value against its row and return it in the row's type; raises ParameterError."""
    if isinstance(parameter.default, float) and type(value) is int:
        value = float(value)
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


def check_together(values: dict[str, Any]) -> None:
    """Raise ParameterError where values are fine one by one but impossible together."""
    for low, high in (
        ("thermal_low", "thermal_high"),
        ("thermal_percentile_low", "thermal_percentile_high"),
    ):
        if not values[low] < values[high]:
            raise ParameterError(
                f"parameters {low} and {high}: got {values[low]} and {values[high]}, expected "
                f"{low} below {high}: to change both, set them in one request or widen first"
            )
    if (values["image_height"] == 0) != (values["image_width"] == 0):
        raise ParameterError(
            f"parameters image_height and image_width: got {values['image_height']} and "
            f"{values['image_width']}, expected both or neither to be 0"
        )
    for name in ("rgb_topic", "thermal_topic"):
        if not values[name]:
            raise ParameterError(f"parameter {name}: got an empty name, expected a topic")
    if values["rgb_topic"] == values["thermal_topic"]:
        raise ParameterError(
            f"parameters rgb_topic and thermal_topic: both are {values['rgb_topic']}, expected "
            "the topics of two cameras"
        )


def check_change(current: dict[str, Any], changes: dict[str, Any], configured: bool) -> None:
    """Raise ParameterError where a running node cannot take these changes.

    `configured`: the node is past `configure`, where only live parameters may change.
    """
    for name, value in changes.items():
        if name not in TABLE:
            continue  # use_sim_time and other parameters of rclpy's own
        convert(TABLE[name], value)
        if configured and not TABLE[name].live and value != current[name]:
            raise ParameterError(
                f"parameter {name} is read when the node is configured: deactivate and clean up "
                "the node, set it, then configure and activate (or restart the node with it)"
            )
    check_together({**current, **changes})


def parameters_markdown() -> str:
    """The table for the README, as Markdown."""
    lines = [
        "| parameter | type | default | range | live | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for p in PARAMETERS:
        default = f"`{_yaml_value(p.default)}`"
        lines.append(
            f"| `{p.name}` | {p.type_name} | {default} | {_range(p)} | "
            f"{'yes' if p.live else ''} | {p.description} |"
        )
    return "\n".join(lines) + "\n"


def _range(parameter: Parameter) -> str:
    if parameter.choices:
        return ", ".join(f"`{choice}`" for choice in parameter.choices)
    if parameter.low is None or parameter.high is None:
        return ""
    return f"{parameter.low:g} to {parameter.high:g}"


def parameters_yaml() -> str:
    """The default parameter file, with every parameter and its description."""
    lines = [
        "# Parameters of the node mafs with their defaults.",
        "# Made from the table in mafs_ros/parameters.py:",
        "#   python3 -m mafs_ros.parameters yaml > config/mafs.yaml",
        "/**:",
        "  ros__parameters:",
    ]
    for p in PARAMETERS:
        expected = f" ({_range(p)})".replace("`", "") if _range(p) else ""
        lines += [
            "",
            *_comment(f"{p.description}{expected}"),
            f"    {p.name}: {_yaml_value(p.default)}",
        ]
    return "\n".join(lines) + "\n"


def _comment(text: str, width: int = 92) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="    # ", subsequent_indent="    # ")


def _yaml_value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else repr(value)


if __name__ == "__main__":
    tables = {"markdown": parameters_markdown, "yaml": parameters_yaml}
    if len(sys.argv) != 2 or sys.argv[1] not in tables:
        sys.exit("usage: python3 -m mafs_ros.parameters markdown|yaml")
    print(tables[sys.argv[1]](), end="")
