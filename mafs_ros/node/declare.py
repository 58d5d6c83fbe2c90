"""Declares the parameters of the node and reads their values."""

from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from mafs_ros.parameters.checks import complete, convert, unknown_parameter
from mafs_ros.parameters.table import PARAMETERS, Parameter


def given_parameters(node: Node) -> dict[str, Any]:
    """Name -> value of those given at the start of the process, before they are declared.

    The node must be made with automatically_declare_parameters_from_overrides=True.
    """
    declared: dict[str, Any] = node.get_parameters_by_prefix("")
    return {name: item.value for name, item in declared.items()}


def declare_parameters(node: Node, table: tuple[Parameter, ...] = PARAMETERS) -> list[str]:
    """Declare every parameter of the table, with the values given at the start of the process.

    See `given_parameters`. An integer given for a float is taken as that float. Returns one
    warning for each name that no parameter has (a typing error, or meant for another node). Raises
    ParameterError for an impossible value.
    """
    given = given_parameters(node)
    values = complete(given, table)
    for parameter in table:
        if parameter.name in given:
            node.undeclare_parameter(parameter.name)  # it is declared without type and range
        node.declare_parameter(
            parameter.name,
            values[parameter.name],
            descriptor(parameter),
            ignore_override=True,
        )
    return [unknown for name in given if (unknown := unknown_parameter(name, table))]


def parameter_values(node: Node, table: tuple[Parameter, ...] = PARAMETERS) -> dict[str, Any]:
    """Name -> value of every parameter of the table."""
    return {row.name: convert(row, node.get_parameter(row.name).value) for row in table}


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """What `ros2 param describe` and rqt_reconfigure show."""
    result = ParameterDescriptor(description=parameter.description, read_only=parameter.read_only)
    if parameter.choices:
        result.additional_constraints = parameter.expected
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, (float, list)):
            bounds = FloatingPointRange(from_value=parameter.low, to_value=parameter.high)
            result.floating_point_range = [bounds]
        else:
            whole = IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high))
            result.integer_range = [whole]
    return result
