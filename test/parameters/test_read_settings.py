"""Settings from a parameter file and NAME:=VALUE."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest

from mafs_ros.parameters.file import read_settings
from mafs_ros.parameters.ros_yaml import ros_value

VALUES = [
    *("5e-2", "1e5", "2.9e4", ".5", "5.", "+5", "-.5E+2", "+.5", "5", "-010", "010", "08"),
    *("0x10", "-0x1F", ".inf", "-.inf", "nan", "1_000", "1:30", "2026-01-01", "0b1", "0o10"),
    *("yes", "No", "on", "OFF", "y", "N", "TRUE", "false", "null", "~", '"yes"', "!!str 5"),
    *("/cam/image", "'5e-2'", "a b"),
]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("slop:=0.1", "there is no parameter slop: did you mean slop_s?"),
        ("slop_s:=fast", "parameter slop_s: got 'fast', expected a float from"),
        ("slop_s", "got the parameter 'slop_s', expected NAME:=VALUE"),
        ("slop_s:=[1", "got the value '[1': line 1, column 3: "),
    ],
)
def test_wrong_parameters(assignment, message):
    with pytest.raises(ValueError, match=".") as error:
        read_settings(None, [assignment])
    assert message in str(error.value)


def test_default_settings_are_those_of_the_node():
    settings = read_settings(None, [])
    assert (settings["slop_s"], settings["thermal_scaling"]) == (0.05, "auto")


def of_ros(file: Path, namespace: str, domain: int) -> dict[str, Any]:
    """What a node mafs in that namespace gets from a parameter file."""
    rclpy = pytest.importorskip("rclpy")
    node_type = pytest.importorskip("rclpy.node").Node
    context = rclpy.Context()
    arguments = ["--ros-args", "-r", f"__ns:=/{namespace}", "--params-file", str(file)]
    rclpy.init(args=arguments, context=context, domain_id=domain)
    node = node_type("mafs", context=context, automatically_declare_parameters_from_overrides=True)
    try:
        return {name: one.value for name, one in node.get_parameters_by_prefix("").items()}
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


def test_values_have_the_types_that_ros_gives_them(tmp_path, ros_domain):
    lines = "".join(f"    v{index}: {value}\n" for index, value in enumerate(VALUES))
    file = tmp_path / "types.yaml"
    file.write_text(f"/**:\n  ros__parameters:\n{lines}    n: 1\n", encoding="utf-8")
    theirs = of_ros(file, "", ros_domain)
    for index, text in enumerate(VALUES):
        ours, own = ros_value(text), theirs[f"v{index}"]
        assert type(ours) is type(own), text
        assert ours == own or (math.isnan(ours) and math.isnan(own)), text
    assert theirs["n"] == 1  # a name that YAML 1.1 takes for false


@pytest.mark.parametrize(
    ("text", "namespace"),
    [
        ("/**:\n  ros__parameters: {slop_s: 0.2}\n", "any"),
        ("mafs:\n  ros__parameters: {slop_s: 0.2}\n", ""),
        ("/mafs:\n  ros__parameters: {slop_s: 0.2}\n", ""),
        ("/robot/mafs:\n  ros__parameters: {slop_s: 0.2}\n", "robot"),
        ("robot:\n  mafs:\n    ros__parameters: {slop_s: 0.2}\n", "robot"),
        ("a:\n  b:\n    mafs:\n      ros__parameters: {slop_s: 0.2}\n", "a/b"),
        ("/**/mafs:\n  ros__parameters: {slop_s: 0.2}\n", "a/b"),
        ("/*/mafs:\n  ros__parameters: {slop_s: 0.2}\n", "a"),
        ("/**:\n  mafs:\n    ros__parameters: {slop_s: 0.2}\n", "a"),
        ("/a/*:\n  ros__parameters: {slop_s: 0.2}\n", "a"),
        (
            "mafs:\n  ros__parameters: {slop_s: 0.1}\n/**:\n  ros__parameters: {slop_s: 0.2}\n",
            "",
        ),
        (
            "/**:\n  ros__parameters: {slop_s: 0.1}\nmafs:\n  ros__parameters: {slop_s: 0.2}\n",
            "",
        ),
    ],
)
def test_a_section_for_the_node_in_whatever_namespace(tmp_path, ros_domain, text, namespace):
    file = tmp_path / "p.yaml"
    file.write_text(text, encoding="utf-8")
    assert of_ros(file, namespace, ros_domain)["slop_s"] == 0.2
    assert read_settings(file, ())["slop_s"] == 0.2


def test_what_the_node_does_not_know_is_said_and_ignored(tmp_path, caplog):
    file = tmp_path / "p.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    use_sim_time: true\n    slopp_s: 0.2\n"
        "    qos_overrides: {/rgb/image: {subscription: {depth: 3}}}\n",
        encoding="utf-8",
    )
    with caplog.at_level(logging.WARNING):
        assert read_settings(file, ()) == read_settings(None, ())
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{file}: parameter slopp_s does not exist and is ignored: did you mean slop_s?"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/**:\n\tros__parameters:\n", "is no YAML file: line 2, column 1: found character '\\t'"),
        ("/**: a: b\n", "line 1, column 7: mapping values are not allowed here; indent"),
        ("other:\n  ros__parameters: {a: 1}\n", "no parameters of the node mafs, but of /other;"),
        ("- 1\n", 'no parameters of the node mafs; expected "/**:" or "mafs:"'),
        ("", "no parameters of the node mafs"),
        (
            "/a/mafs:\n  ros__parameters: {slop_s: 1.0}\n"
            "/b/mafs:\n  ros__parameters: {slop_s: 2.0}\n",
            "holds parameters of /a/mafs and of /b/mafs, which differ; give a file",
        ),
        ("/**:\n  ros__parameters: {slop_s: [1, 2]}\n", "slop_s: got [1, 2], expected a float"),
    ],
)
def test_files_that_cannot_be_used_say_why(tmp_path, text, message):
    file = tmp_path / "p.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=".") as error:
        read_settings(file, ())
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.yaml: there is no such file"):
        read_settings(tmp_path / "nothing.yaml", ())
    (tmp_path / "p.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no text file, expected YAML in UTF-8"):
        read_settings(tmp_path / "p.yaml", ())
    with pytest.raises(OSError, match="cannot be read: Is a directory"):
        read_settings(tmp_path, ())
