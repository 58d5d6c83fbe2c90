"""Reads YAML, with errors of one line that say where and what to do, whatever the text holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 256 << 10  # of parameters, classes, a registration, a recipe; read in two seconds
MOST_VALUES = 50_000  # aliases counted as often as they are used: a few lines make 9^9 of them
DEEPEST = 50
BEYOND = 2**63  # what no number of a parameter reaches


def read_yaml(path: Path, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """What a YAML file holds. Raises FileNotFoundError, OSError or ValueError naming the file."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except OSError as error:
        raise OSError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is no text file, expected YAML in UTF-8") from None
    if len(data) > MOST_BYTES:
        raise ValueError(
            f"{path}: has more than {MOST_BYTES >> 10} kB, expected some lines of YAML"
        )
    try:
        return load_yaml(text, loader)
    except ValueError as error:
        raise ValueError(f"{path}: is no YAML file: {error}") from None


def load_yaml(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """What a YAML text holds: mappings, lists, texts, numbers, dates.

    Raises ValueError of one line: for what is no YAML, nested deeper than DEEPEST or in itself, of
    more than MOST_VALUES values, or has a date or number that there is not.
    """
    parser = loader(text)
    try:
        root = parser.get_single_node()
        if root is None:
            return None
        _count(root, DEEPEST, {})
        value = parser.construct_document(root)
    except yaml.YAMLError as error:
        raise ValueError(yaml_problem(error)) from None
    except RecursionError:
        raise ValueError(_too_deep()) from None
    # What PyYAML's own constructors raise for `2026-13-01`, `!!timestamp x`, `!!int x`.
    except (AttributeError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise ValueError(f"it holds a value that is none of its type ({error})") from None
    finally:
        parser.dispose()
    _check_numbers(value)
    return value


def _count(node: yaml.Node, deep: int, counted: dict[int, int]) -> int:
    """How many values a node holds, aliases as often as they are used; raises ValueError."""
    if deep < 0 or counted.get(id(node)) == 0:
        raise ValueError(_too_deep())
    if id(node) in counted:
        return counted[id(node)]
    counted[id(node)] = 0  # being counted: who meets it again is inside it
    if isinstance(node, yaml.MappingNode):
        inner = [part for pair in node.value for part in pair]
    else:
        inner = node.value if isinstance(node, yaml.SequenceNode) else []
    total = 1 + sum(_count(part, deep - 1, counted) for part in inner)
    if total > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES} values, aliases counted each time")
    counted[id(node)] = total
    return total


def _too_deep() -> str:
    return f"it is nested deeper than {DEEPEST} levels, or holds itself"


def _check_numbers(value: Any) -> None:
    if isinstance(value, Mapping):
        for part in value.values():
            _check_numbers(part)
    elif isinstance(value, list):
        for part in value:
            _check_numbers(part)
    elif isinstance(value, int) and abs(value) >= BEYOND:
        raise ValueError(
            f"it holds a whole number of {value.bit_length()} bits, expected up to 63"
        )


def yaml_problem(error: yaml.YAMLError) -> str:
    """What is wrong, where, and what to do, on one line."""
    text = getattr(error, "problem", None) or str(error).partition("\n")[0]
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return (
        f"{place}{text}; indent with spaces, put a space after each colon, and quotes around "
        "texts with special characters"
    )
