"""YAML to dataclasses, with errors that name the entry."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from mafs_ros.base.yaml_file import yaml_problem


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping. Raises ValueError that names the file."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {yaml_problem(error)}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a mapping of settings")
    return values


def parse(kind: Any, value: Any, where: str) -> Any:
    """A YAML value as the type of a recipe's field. Raises ValueError that says where."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(kind, value, where)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        (kind,) = (argument for argument in arguments if argument is not type(None))
        return parse(kind, value, where)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{where} is {value!r}, expected one of {', '.join(arguments)}")
        return value
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) != len(value):
            raise ValueError(f"{where} is {value}, expected {len(kinds)} values")
        return tuple(
            parse(kind, entry, f"{where}[{i}]")
            for i, (kind, entry) in enumerate(zip(kinds, value, strict=True))
        )
    if origin is dict and isinstance(value, Mapping):
        return {str(k): parse(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    if kind is Any:
        return value
    if kind is float and not isinstance(value, bool):  # YAML reads 1e-3 as a text
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    expected = getattr(origin or kind, "__name__", kind)
    raise ValueError(f"{where} is {value!r}, expected {expected}")


def _parse_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where or 'the recipe'} is {value!r}, expected a mapping of settings")
    hints = typing.get_type_hints(kind)
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}
    if unknown := [key for key in value if key not in fields]:
        raise ValueError(
            f"unknown setting {'.'.join(filter(None, [where, str(unknown[0])]))!r}; "
            f"there are {', '.join(fields)}"
        )
    arguments = {
        key: parse(hints[key], entry, f"{where}.{key}".lstrip(".")) for key, entry in value.items()
    }
    nothing = dataclasses.MISSING
    if missing := [
        name
        for name, entry in fields.items()
        if name not in value and entry.default is nothing and entry.default_factory is nothing
    ]:
        raise ValueError(f"{where or 'the recipe'} lacks {', '.join(missing)}")
    try:
        return kind(**arguments)
    except ValueError as error:
        raise ValueError(f"{where}: {error}" if where else str(error)) from None
