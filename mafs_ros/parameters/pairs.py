"""Parameters of several pairs of cameras: NAME.slop_s beside slop_s.

A row of the table that is not `shared` stands once more for each pair, its default being the value
without a name. Where there is one pair without a name the table is as it was.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mafs_ros.parameters.checks import check_together, complete, convert
from mafs_ros.parameters.table import PARAMETERS, TABLE, Parameter, ParameterError

NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*")  # as part of a topic and of a parameter
OF_PAIR = tuple(row.name for row in PARAMETERS if not row.shared)
# 'registration' is a word of every day too.
_IN_WORDS = re.compile(rf"(?<![\w./])(?:{'|'.join(n for n in OF_PAIR if '_' in n)})(?!\w)")


def pair_names(given: Mapping[str, Any]) -> list[str]:
    """The names that `pairs` gives, [''] for one pair without one; raises ParameterError."""
    names: Any = convert(TABLE["pairs"], given.get("pairs", TABLE["pairs"].default))
    if names == [""]:
        return [""]
    for name in names:
        if not NAME.fullmatch(name) or name in TABLE or name == "qos_overrides":
            raise ParameterError(
                f"parameter pairs: got the name {name!r}, expected letters, digits and single _, "
                "a letter first, and no name of a parameter"
            )
        if names.count(name) > 1:
            raise ParameterError(f"parameter pairs: got {name!r} twice, expected different names")
    return list(names)


def rows_for(given: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """The table of the node: the given parameters name the pairs, and say what their defaults are.

    Raises ParameterError for names that are none, for parameters NAME.x that no pair has, and for
    an impossible value.
    """
    names = pair_names(given)
    _check_prefixes(given, names)
    if names == [""]:
        return PARAMETERS
    values = complete(given)
    return (
        *PARAMETERS,
        *(
            replace(TABLE[name], name=f"{pair}.{name}", default=values[name])
            for pair in names
            for name in OF_PAIR
        ),
    )


def _check_prefixes(given: Mapping[str, Any], names: list[str]) -> None:
    """Refuse NAME.x for an x that no pair has, and x of a pair that there is not."""
    for full in given:
        pair, _, name = full.partition(".")
        if pair in names and name in TABLE and TABLE[name].shared:
            raise ParameterError(
                f"parameter {full}: all pairs share {name}, expected {name} without a name"
            )
        if pair in names and name not in TABLE:
            close = difflib.get_close_matches(name, OF_PAIR, n=1)
            hint = f": did you mean {pair}.{close[0]}?" if close else ""
            raise ParameterError(f"parameter {full} does not exist{hint}")
        if pair not in names and name in OF_PAIR:
            there = ", ".join(filter(None, names)) or "none"
            raise ParameterError(
                f"parameter {full}: there is no pair {pair}, expected one of those in the "
                f"parameter pairs ({there})"
            )


def values_of(pair: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values for one pair under the names of the table; values: of all parameters."""
    prefix = f"{pair}." if pair else ""
    return {name: values[name if TABLE[name].shared else prefix + name] for name in TABLE}


def changes_of(pair: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the changes that are of one pair, under the names of the table."""
    prefix = f"{pair}." if pair else ""
    return {name: changes[prefix + name] for name in OF_PAIR if prefix + name in changes}


def check_pairs(values: Mapping[str, Any]) -> None:
    """Raise ParameterError where values of one pair are impossible together; see `values_of`."""
    for pair in pair_names(values):
        with naming(pair):
            check_together(values_of(pair, values))


def check_default_is_kept(values: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Raise ParameterError for a change of a value without a name, where pairs have names.

    It was the default of all pairs at the start, and would change nothing.
    """
    names = pair_names(values)
    for name, value in changes.items():
        if names != [""] and name in OF_PAIR and convert(TABLE[name], value) != values[name]:
            expected = ", ".join(f"{pair}.{name}" for pair in names)
            raise ParameterError(
                f"parameter {name} was the default of the pairs at the start: set {expected}"
            )


def check_topics(topics: Mapping[str, Mapping[str, str]]) -> None:
    """Raise ParameterError where two cameras are one; topics: camera -> topic, by pair."""
    seen: dict[str, str] = {}
    for pair, of_cameras in topics.items():
        for camera, topic in of_cameras.items():
            parameter = f"{pair}.{camera}_topic"
            if topic in seen:
                raise ParameterError(
                    f"parameters {seen[topic]} and {parameter}: both are {topic}, expected the "
                    "topics of two cameras"
                )
            seen[topic] = parameter


@contextmanager
def naming(pair: str) -> Iterator[None]:
    """A ParameterError that is raised within names the parameters of this pair."""
    try:
        yield
    except ParameterError as error:
        raise ParameterError(in_words_of(pair, str(error))) from error


def in_words_of(pair: str, text: str) -> str:
    """A text about one pair that names parameters, which then bear the name of the pair."""
    return _IN_WORDS.sub(rf"{pair}.\g<0>", text) if pair else text
