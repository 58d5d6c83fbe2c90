"""Reads YAML files, with errors of one line that say where and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def read_yaml(path: Path, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """What a YAML file holds. Raises FileNotFoundError, OSError or ValueError naming the file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except OSError as error:
        raise OSError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is no text file, expected YAML in UTF-8") from None
    try:
        return yaml.load(text, loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: is no YAML file: {yaml_problem(error)}") from None


def yaml_problem(error: yaml.YAMLError) -> str:
    """What is wrong, where, and what to do, on one line."""
    text = getattr(error, "problem", None) or str(error).partition("\n")[0]
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return (
        f"{place}{text}; indent with spaces, put a space after each colon, and quotes around "
        "texts with special characters"
    )
