"""Values in parameter files, typed as ROS 2 types them (rcl_yaml_param_parser).

PyYAML reads YAML 1.1: 5e-2 is a text there, 1:30 a number and 2026-01-01 a date.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from mafs_ros.base.yaml_file import load_yaml

_TYPES = {
    "bool": r"(?i:true|false|yes|no|on|off|y|n)",
    "int": r"[-+]?(?:0x[0-9a-fA-F]+|0[0-7]*|[1-9]\d*)",
    "float": r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|\.?(?i:inf|nan))",
}


class RosLoader(yaml.SafeLoader):
    """YAML with the numbers of C and nothing but numbers, booleans and texts."""

    yaml_implicit_resolvers: dict[str, Any] = {}
    bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        """Keys are texts: a parameter may be called `n`."""
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}

    def construct_ros_int(self, node: yaml.ScalarNode) -> int:
        try:
            return int(node.value, 0)
        except ValueError:  # octal, as C writes it: 010
            return int(node.value, 8)


for _name, _pattern in _TYPES.items():
    RosLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), None
    )
RosLoader.add_constructor("tag:yaml.org,2002:int", RosLoader.construct_ros_int)


def ros_value(text: str) -> Any:
    """The value in NAME:=VALUE. Raises ValueError."""
    try:
        return load_yaml(text, RosLoader)
    except ValueError as error:
        raise ValueError(f"got the value {text!r}: {error}") from None
