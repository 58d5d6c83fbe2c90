"""YAML to dataclasses, with errors that name the entry."""

from __future__ import annotations

import contextlib
import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from mafs_ros.base.yaml_file import read_yaml


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML mapping. Raises OSError or ValueError that names the file."""
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a mapping of settings")
    return values


def parse(kind: Any, value: Any, where: str) -> Any:
    """A YAML value as the type of a recipe's field. Raises ValueError that says where."""
    origin = typing.get_origin(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(kind, value, where)
    if origin in (types.UnionType, typing.Union):
        return _parse_optional(kind, value, where)
    if origin is Literal:
        return _parse_literal(kind, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        return _parse_tuple(kind, value, where)
    if origin is dict and isinstance(value, Mapping):
        entry = typing.get_args(kind)[1]
        return {str(key): parse(entry, v, f"{where}.{key}") for key, v in value.items()}
    return _parse_scalar(kind, value, where)


def _parse_optional(kind: Any, value: Any, where: str) -> Any:
    (one,) = (choice for choice in typing.get_args(kind) if choice is not type(None))
    return None if value is None else parse(one, value, where)


def _parse_literal(kind: Any, value: Any, where: str) -> Any:
    choices = typing.get_args(kind)
    if value not in choices:
        raise ValueError(f"{where} is {value!r}, expected one of {', '.join(choices)}")
    return value


def _parse_tuple(kind: Any, value: Sequence[Any], where: str) -> tuple[Any, ...]:
    kinds = typing.get_args(kind)
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{where} is {value}, expected {len(kinds)} values")
    entries = zip(kinds, value, strict=True)
    return tuple(parse(one, entry, f"{where}[{i}]") for i, (one, entry) in enumerate(entries))


def _parse_scalar(kind: Any, value: Any, where: str) -> Any:
    """Whatever has no entries; a container's type comes here where the value is none."""
    kind = typing.get_origin(kind) or kind
    if kind is float and not isinstance(value, bool):  # YAML reads 1e-3 as a text
        with contextlib.suppress(TypeError, ValueError):
            return float(value)
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise ValueError(f"{where} is {value!r}, expected {kind.__name__}")


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
