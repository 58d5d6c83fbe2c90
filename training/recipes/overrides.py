"""How a recipe is overridden: --set KEY=VALUE."""

from __future__ import annotations

from typing import Any

from mafs_ros.base.yaml_file import load_yaml


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set one `key.key=value` in place, so that `parse` judges it. Raises ValueError."""
    keys, equals, text = override.partition("=")
    if not equals:
        raise ValueError(f"override {override!r}: expected KEY=VALUE, e.g. stage2.teacher=joint")
    try:
        value = load_yaml(text)
    except ValueError as error:
        raise ValueError(f"override {override!r}: the value is not YAML: {error}") from None
    *parents, last = keys.strip().split(".")
    for parent in parents:
        inner = values.get(parent)
        values[parent] = dict(inner) if isinstance(inner, dict) else {}
        values = values[parent]
    # A length in epochs and one in steps exclude each other: the override wins.
    for one, other in (("epochs", "steps"), ("steps", "epochs")):
        if last == one and value is not None:
            values.pop(other, None)
    values[last] = value
