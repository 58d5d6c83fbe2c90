"""The parameter table: its checks, its declarations in a real node, and what is made from it."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
import yaml
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from mafs_ros.node import declare
from mafs_ros.parameters import __main__, checks
from mafs_ros.parameters.file import NAMES, read_settings
from mafs_ros.parameters.table import PARAMETERS, TABLE, ParameterError
from mafs_ros.perception.thermal import ThermalScaler

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = {p.name: p.default for p in PARAMETERS}


@contextlib.contextmanager
def started_node(domain: int, *given: str) -> Iterator[Node]:
    """A node with parameters given as on the command line ('slop_s:=0.1')."""
    context = rclpy.Context()
    arguments = ["--ros-args", *(word for value in given for word in ("-p", value))]
    rclpy.init(args=arguments, context=context, domain_id=domain)
    node = Node("mafs", context=context, automatically_declare_parameters_from_overrides=True)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


def test_every_default_is_allowed_and_described() -> None:
    for parameter in PARAMETERS:
        assert checks.convert(parameter, parameter.default) == parameter.default
        assert len(parameter.description) > 20 and parameter.description.endswith(".")
    checks.check_together(DEFAULTS)
    assert len(TABLE) == len(PARAMETERS)


def test_numbers_are_bounded() -> None:
    for parameter in PARAMETERS:
        if parameter.type_name in ("integer", "float"):
            assert parameter.low is not None and parameter.high is not None, parameter.name
            assert parameter.low <= parameter.default <= parameter.high


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("slop_s", 1, 1.0),  # an integer for a float, as YAML writes it
        ("slop_s", 10.0, 10.0),
        ("backend", "torch", "torch"),
        ("autostart", False, False),
        ("thermal_invalid_values", "0 65535", "0 65535"),
        ("thermal_invalid_values", 0, "0"),
        ("thermal_invalid_values", -273.15, "-273.15"),
        ("thermal_to_rgb_translation_m", [0, -0.1, 2], [0.0, -0.1, 2.0]),
        ("thermal_to_rgb_translation_m", array("d", [0.0, 0.1, 0.0]), [0.0, 0.1, 0.0]),
    ],
)
def test_convert_takes(name: str, value: Any, expected: Any) -> None:
    result = checks.convert(TABLE[name], value)
    assert result == expected and type(result) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("slop_s", -0.1, "slop_s: got -0.1, expected a float from 0.0 to 10.0"),
        ("slop_s", float("nan"), "slop_s: got nan"),
        ("slop_s", "fast", "slop_s: got 'fast', expected a float"),
        ("slop_s", True, "slop_s: got True"),
        ("input_depth", 5.0, "input_depth: got 5.0, expected an integer from 1 to 100"),
        ("input_depth", 0, "input_depth: got 0"),
        ("backend", "tpu", "backend: got 'tpu', expected one of auto, openvino, tensorrt, torch"),
        ("rgb_topic", 7, "rgb_topic: got 7, expected a string"),
        ("autostart", "yes", "autostart: got 'yes', expected a bool"),
        (
            "thermal_to_rgb_rotation",
            [0.0, 0.0, 1.0],
            "expected a list of 4 floats from -1.0 to 1.0",
        ),
        (
            "thermal_to_rgb_rotation",
            [0.0, 0.0, 0.0, 7.0],
            "got [0.0, 0.0, 0.0, 7.0], expected a l",
        ),
        ("thermal_to_rgb_translation_m", "0 0 0", "got '0 0 0', expected a list of 3 floats"),
        ("thermal_to_rgb_translation_m", [float("nan")] * 3, "got [nan, nan, nan], expected a l"),
    ],
)
def test_convert_refuses(name: str, value: Any, reason: str) -> None:
    with pytest.raises(ParameterError) as error:
        checks.convert(TABLE[name], value)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"thermal_low": 300.0, "thermal_high": 290.0}, "thermal_low below thermal_high"),
        ({"thermal_percentile_low": 99.9}, "thermal_percentile_low below thermal_percentile_high"),
        ({"image_height": 480}, "image_height and image_width"),
        ({"thermal_invalid_values": "zero"}, "thermal_invalid_values: got 'zero', expected auto"),
        ({"rgb_topic": ""}, "rgb_topic: got an empty name"),
        ({"registration": "file"}, "got registration: file and no file"),
        ({"depth_topic": "/depth"}, "expected registration: camera_info, which alone uses depth"),
        ({"rgb_topic": "image", "thermal_topic": "image"}, "the topics of two cameras"),
    ],
)
def test_impossible_together(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ParameterError) as error:
        checks.check_change(DEFAULTS, changes, configured=False)
    assert reason in str(error.value)


def test_only_live_parameters_change_after_configure() -> None:
    checks.check_change(DEFAULTS, {"slop_s": 0.02, "overlay_alpha": 1.0}, configured=True)
    checks.check_change(DEFAULTS, {"backend": "torch"}, configured=False)
    checks.check_change(DEFAULTS, {"backend": "auto"}, configured=True)  # no change
    with pytest.raises(ParameterError, match="backend is read when the node is configured"):
        checks.check_change(DEFAULTS, {"backend": "torch"}, configured=True)


def test_parameters_of_rclpy_are_left_alone() -> None:
    checks.check_change(DEFAULTS, {"use_sim_time": True}, configured=True)


def test_declared_with_type_range_and_description(ros_domain: int) -> None:
    with started_node(ros_domain) as node:
        assert declare.declare_parameters(node) == []
        assert declare.parameter_values(node) == DEFAULTS
        slop = node.describe_parameter("slop_s")
        assert slop.floating_point_range[0].to_value == 10.0 and "seconds" in slop.description
        assert node.describe_parameter("input_depth").integer_range[0].to_value == 100
        backend = node.describe_parameter("backend")
        assert backend.additional_constraints == "one of auto, openvino, tensorrt, torch"
        assert node.describe_parameter("autostart").read_only
        out_of_range, of_other_type = node.set_parameters(
            [RosParameter("slop_s", value=11.0), RosParameter("slop_s", value="far")]
        )
        assert not out_of_range.successful and "slop_s" in out_of_range.reason
        assert not of_other_type.successful


def test_values_given_at_the_start(ros_domain: int) -> None:
    given = (
        *("slop_s:=1", "thermal_scaling:=fixed", "use_sim_time:=true", "slopp_s:=0.2"),
        "thermal_invalid_values:=-10000",
        "thermal_to_rgb_translation_m:=[0, 1, 0]",
    )
    with started_node(ros_domain, *given) as node:
        warnings = declare.declare_parameters(node)
        assert node.get_parameter("slop_s").value == 1.0
        assert node.get_parameter("thermal_scaling").value == "fixed"
        assert node.get_parameter("thermal_invalid_values").value == "-10000"
        assert declare.parameter_values(node)["thermal_to_rgb_translation_m"] == [0.0, 1.0, 0.0]
        assert warnings == [
            "parameter slopp_s does not exist and is ignored: did you mean slop_s?"
        ]


def test_impossible_value_at_the_start(ros_domain: int) -> None:
    with (
        started_node(ros_domain, "overlay_alpha:=2.0") as node,
        pytest.raises(ParameterError, match="overlay_alpha: got 2.0, expected a float from"),
    ):
        declare.declare_parameters(node)


@pytest.mark.parametrize(
    "given",
    [
        {"queue_size": 5_000_000},
        {"slop_s": float("nan")},
        {"slop_s": "fast"},
        {"thermal_scaling": "linear"},
        {"thermal_low": 9.0, "thermal_high": 8.0},
        {"input_depth": 0},  # which a replay does not use
        {"image_height": 480},
    ],
)
def test_replay_refuses_what_the_node_refuses(
    ros_domain: int, tmp_path: Path, given: dict[str, Any]
) -> None:
    file = tmp_path / "mafs.yaml"
    file.write_text(yaml.safe_dump({"mafs": {"ros__parameters": given}}), encoding="utf-8")
    assignments = [f"{name}:={yaml.safe_dump(value).split()[0]}" for name, value in given.items()]
    with (
        started_node(ros_domain, *assignments) as node,
        pytest.raises(ParameterError) as of_node,
    ):
        declare.declare_parameters(node)
        checks.check_together(declare.parameter_values(node))
    with pytest.raises(ParameterError) as of_file:
        read_settings(file, ())
    assert str(of_file.value) == str(of_node.value)
    if given.keys() <= set(NAMES):
        with pytest.raises(ParameterError) as of_assignments:
            read_settings(None, assignments)
        assert str(of_assignments.value) == str(of_node.value)


def test_default_file_is_the_table() -> None:
    text = (ROOT / "config" / "mafs.yaml").read_text(encoding="utf-8")
    assert text == __main__.parameters_yaml(), (
        "run: python3 -m mafs_ros.parameters yaml > config/mafs.yaml"
    )
    assert yaml.safe_load(text) == {"/**": {"ros__parameters": DEFAULTS}}


def test_readme_shows_the_table() -> None:
    page = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    assert __main__.parameters_markdown() in page, "run: make parameters"


def test_choices_and_defaults_are_those_of_the_thermal_scaler() -> None:
    for mode in TABLE["thermal_scaling"].choices:
        for unit in TABLE["thermal_unit"].choices:
            ThermalScaler(mode, unit=unit)
    scaler = ThermalScaler()
    assert scaler.mode == DEFAULTS["thermal_scaling"]
    assert scaler.percentiles == (
        DEFAULTS["thermal_percentile_low"],
        DEFAULTS["thermal_percentile_high"],
    )
    assert scaler.time_constant_s == DEFAULTS["thermal_time_constant_s"]
