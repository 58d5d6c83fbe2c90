"""What a bag's stamps say: rates, offsets of the two cameras, and the node parameters that fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.bags.fit import DEFAULT_SLOP_S, Fit, fit
from mafs_ros.bags.reader import Bag, BagError, ImageTopic
from mafs_ros.bags.thermal_values import (
    ThermalValues,
    radiometric_parameters,
    range_lines,
    thermal_parameters,
    thermal_values,
    value_problems,
)
from mafs_ros.bags.times import Times, read_times
from mafs_ros.bags.topics import choose_topics
from mafs_ros.base.errors import one_line
from mafs_ros.images.messages.decode import thermal_from_message
from mafs_ros.images.messages.pixels import ImageError

THERMAL_SAMPLES = 40


def thermal_images(bag: Bag, topic: ImageTopic) -> Iterator[NDArray[Any]]:
    """Some thermal images over the whole bag; those that cannot be read are left out."""
    step = max(1, topic.count // THERMAL_SAMPLES)
    try:
        for number, message in enumerate(bag.messages([topic])):
            if number % step == 0:
                with suppress(BagError, ImageError):
                    yield thermal_from_message(message.deserialize())
    except BagError:
        pass  # what lies before the damage will do


def suggested_parameters(
    rgb: ImageTopic, thermal: ImageTopic, fitted: Fit, values: ThermalValues
) -> dict[str, Any]:
    """Node parameters for this pair of cameras: name -> value."""
    parameters: dict[str, Any] = {}
    for camera, topic in (("rgb", rgb), ("thermal", thermal)):
        parameters[f"{camera}_topic"] = topic.name.removesuffix("/compressed")
        parameters[f"{camera}_transport"] = "compressed" if topic.compressed else "raw"
    parameters.update(
        slop_s=fitted.slop_s,
        queue_size=fitted.queue_size,
        thermal_time_offset_s=fitted.thermal_time_offset_s,
    )
    return {**parameters, **thermal_parameters(values)}


def describe_bag(bag: Bag, rgb: str = "", thermal: str = "") -> tuple[str, bool]:
    """The text of `mafs bag info`, and whether the bag holds pairs and is sound."""
    lines = [f"{bag.path}"]
    times, trouble = read_times(bag, bag.image_topics)
    problems = [text for text in (bag.damage, trouble) if text]
    lines += topic_lines(bag.image_topics, times)
    try:
        topics = choose_topics(bag, rgb, thermal)
        fitted = fit(times[topics[0].name], times[topics[1].name])
    except ValueError as error:
        lines += [f"problem: {text}" for text in (*problems, one_line(error))]
        return "\n".join(lines), False
    lines += pair_lines(*topics, fitted)
    values = thermal_values(thermal_images(bag, topics[1]))
    lines += range_lines(values)
    problems += value_problems(values)
    lines += ["", "node parameters that fit:", "/**:", "  ros__parameters:"]
    for name, value in suggested_parameters(*topics, fitted, values).items():
        lines.append(f"    {name}: {_yaml(value)}")
    lines += radiometric_lines(values)
    lines += [f"problem: {text}" for text in problems]
    return "\n".join(lines), not problems and fitted.counters.paired > 0


def topic_lines(topics: Iterable[ImageTopic], times: dict[str, Times]) -> list[str]:
    """Two lines a topic: what it is, and how it comes."""
    lines = []
    for topic in topics:
        own = times[topic.name]
        lines.append(f"  {topic}")
        text = (
            f"    {own.rate_hz:.2f} Hz, jitter {own.jitter_ms:.1f} ms, longest gap "
            f"{own.longest_gap_s:.3f} s, received {own.delay_ms:.1f} ms after the stamp"
        )
        if own.backward:
            text += f", {own.backward} stamps go BACK in time"
        lines.append(text + (f", frame {topic.frame_id}" if topic.frame_id else ""))
    return lines or ["  no image topics"]


def pair_lines(rgb: ImageTopic, thermal: ImageTopic, fitted: Fit) -> list[str]:
    low, median, high = np.percentile(fitted.nearest_ms, (5, 50, 95))
    nearest = float(np.abs(fitted.nearest_ms).min())
    paired = fitted.counters.paired
    return [
        f"pair: rgb {rgb.name}, thermal {thermal.name}",
        f"  offset, thermal minus rgb: median {median:.1f} ms, 5 to 95 %: {low:.1f} to {high:.1f} "
        f"ms; nearest {nearest:.1f} ms, farthest {np.abs(fitted.nearest_ms).max():.1f} ms",
        f"  pairs: {paired} of {rgb.count} RGB images with the parameters below; "
        f"{fitted.default_pairs} with the default slop of {DEFAULT_SLOP_S} s",
        f"  at most {fitted.most_waiting} images waited for their partner",
    ]


def radiometric_lines(values: ThermalValues) -> list[str]:
    """What would be better for one kind of camera, as comments: a bag does not tell the kind."""
    parameters = radiometric_parameters(values)
    if not parameters:
        return []
    return [
        "    # instead, if the camera is radiometric (TLinear: counts are hundredths of kelvin);",
        "    # the counts of any other camera drift out of this range:",
        *(f"    # {name}: {_yaml(value)}" for name, value in parameters.items()),
    ]


def _yaml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
