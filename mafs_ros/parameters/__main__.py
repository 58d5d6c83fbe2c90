"""Prints the table of parameters as Markdown or as a parameter file."""

import json
import sys
import textwrap

from mafs_ros.parameters.table import PARAMETERS, Parameter, Value


def parameters_markdown() -> str:
    """The table for docs/parameters.md, as Markdown."""
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
        "# Made from the table in mafs_ros/parameters/table.py:",
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
    return json.dumps(value)  # lists and strings with the quotes of YAML, numbers as they are


if __name__ == "__main__":
    tables = {"markdown": parameters_markdown, "yaml": parameters_yaml}
    if len(sys.argv) != 2 or sys.argv[1] not in tables:
        sys.exit("usage: python3 -m mafs_ros.parameters markdown|yaml")
    print(tables[sys.argv[1]](), end="")
