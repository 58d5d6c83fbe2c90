"""The pairs of cameras of a replay: each is evaluated for itself, into a folder of its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mafs_ros.commands.replay.options import Options
from mafs_ros.parameters.file import settings_of
from mafs_ros.parameters.pairs import check_topics, pair_names, values_of


def each_pair(
    options: Options, values: Mapping[str, Any]
) -> Iterator[tuple[str, Options, dict[str, Any]]]:
    """(name, options, settings) of each pair; as they are, named '', where there is but one.

    values: of all parameters. The topics of several pairs are those of the parameters. Raises
    ParameterError where two cameras have one topic.
    """
    names = pair_names(values)
    if names == [""]:
        yield "", options, settings_of("", values)
        return
    topics = {name: recorded_topics(values_of(name, values)) for name in names}
    check_topics(topics)
    for name in names:
        own = replace(
            options,
            out=options.out / name,
            rgb_topic=topics[name]["rgb"],
            thermal_topic=topics[name]["thermal"],
        )
        yield name, own, settings_of(name, values)


def recorded_topics(values: Mapping[str, Any]) -> dict[str, str]:
    """What a node without a namespace subscribes for 'rgb' and 'thermal'."""
    topics = {}
    for camera in ("rgb", "thermal"):
        name = "/" + values[f"{camera}_topic"].lstrip("/")
        if values[f"{camera}_transport"] == "compressed":
            name = f"{name.removesuffix('/compressed')}/compressed"
        topics[camera] = name
    return topics
