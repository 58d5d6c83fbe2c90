"""A row of the table of parameters."""

from dataclasses import dataclass
from typing import Any

Value = bool | int | float | str | list[float] | list[str]


class ParameterError(ValueError):
    """A parameter has an impossible value; the message names it and says what is expected."""


@dataclass(frozen=True)
class Parameter:
    """One row of the table.

    `live`: may be set while the node runs; the others are read when the node is configured.
    `read_only`: read once, at the start of the process. `shared`: of the whole node, where the
    others are of each pair of cameras. `numbers`: a string of numbers, where a single one may come
    without quotes. A default that is a list of floats says how many there are, and `low` and
    `high` hold for each; one of strings may be of any length.
    """

    name: str
    default: Any  # a Value
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    read_only: bool = False
    shared: bool = False
    numbers: bool = False

    @property
    def type_name(self) -> str:
        if self.is_list_of_strings:
            return "strings"
        if isinstance(self.default, list):
            return f"{len(self.default)} floats"
        return {bool: "bool", int: "integer", float: "float", str: "string"}[type(self.default)]

    @property
    def expected(self) -> str:
        """The values allowed, in words: 'a float from 0.0 to 1.0'."""
        if self.is_list_of_strings:
            return "a list of strings"
        if isinstance(self.default, list):
            return f"a list of {self.type_name} from {self.low} to {self.high}"
        article = "an" if self.type_name == "integer" else "a"
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.low is not None:
            return f"{article} {self.type_name} from {self.low} to {self.high}"
        return f"{article} {self.type_name}"

    @property
    def is_list_of_strings(self) -> bool:
        return isinstance(self.default, list) and isinstance(self.default[0], str)
