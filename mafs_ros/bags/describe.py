"""What a bag's stamps say: rates, offsets of the two cameras, and the node parameters that fit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.bags.fit import DEFAULT_SLOP_S, Fit, fit
from mafs_ros.bags.reader import Bag, BagError, BagMessage, ImageTopic
from mafs_ros.bags.times import Times, read_times
from mafs_ros.bags.topics import choose_topics
from mafs_ros.base.errors import one_line
from mafs_ros.images.messages.decode import thermal_from_message
from mafs_ros.images.messages.pixels import ImageError

THERMAL_SAMPLES = 40
THERMAL_PERCENTILES = (1.0, 99.8)  # of the node
# 16-bit counts between these are taken as hundredths of a kelvin: -53 to 147 degrees Celsius.
CENTIKELVIN = (22_000, 42_000)


def thermal_range(bag: Bag, topic: ImageTopic) -> dict[str, Any]:
    """Values of the thermal images, of a sample over the whole bag.

    dtype; low and high (percentiles 1 and 99.8 of all sampled images); smallest; largest;
    radiometric: whether 16-bit values look like hundredths of a kelvin. Empty where no image can
    be read.
    """
    step = max(1, topic.count // THERMAL_SAMPLES)
    samples: list[NDArray[Any]] = []
    try:
        for number, message in enumerate(bag.messages([topic])):
            if number % step == 0:
                samples += thermal_sample(message)
    except BagError:
        pass  # what lies before the damage will do
    if not samples:
        return {}
    values = np.concatenate(samples)
    low, high = np.percentile(values, THERMAL_PERCENTILES)
    radiometric = values.dtype == np.uint16 and CENTIKELVIN[0] <= low and high <= CENTIKELVIN[1]
    return {
        "dtype": str(values.dtype),
        "low": float(low),
        "high": float(high),
        "smallest": float(values.min()),
        "largest": float(values.max()),
        "radiometric": bool(radiometric),
    }


def thermal_sample(message: BagMessage) -> list[NDArray[Any]]:
    """Some pixels of a thermal message; none where it holds no image."""
    try:
        pixels = thermal_from_message(message.deserialize())[::4, ::4].ravel()
    except (BagError, ImageError):
        return []
    return [pixels[np.isfinite(pixels)]]


def suggested_parameters(
    rgb: ImageTopic, thermal: ImageTopic, fitted: Fit, values: dict[str, Any]
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
    if not values:
        return parameters
    if values["dtype"] == "uint8":
        return {**parameters, "thermal_scaling": "as_is"}
    if values["radiometric"]:  # in kelvin, with 5 K of room for what this drive has not met
        return {
            **parameters,
            "thermal_scaling": "fixed",
            "thermal_unit": "kelvin",
            "thermal_low": float(math.floor(values["low"] / 100) - 5),
            "thermal_high": float(math.ceil(values["high"] / 100) + 5),
        }
    return {**parameters, "thermal_scaling": "percentile"}


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
    values = thermal_range(bag, topics[1])
    lines += range_lines(values)
    lines += ["", "node parameters that fit:", "/**:", "  ros__parameters:"]
    for name, value in suggested_parameters(*topics, fitted, values).items():
        lines.append(f"    {name}: {_yaml(value)}")
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


def range_lines(values: dict[str, Any]) -> list[str]:
    if not values:
        return ["  thermal values: no thermal image can be read"]
    text = (
        f"  thermal values ({values['dtype']}): {values['smallest']:g} to "
        f"{values['largest']:g}, 1 to 99.8 %: {values['low']:.1f} to {values['high']:.1f}"
    )
    if values["radiometric"]:
        low, high = (values[name] / 100 - 273.15 for name in ("low", "high"))
        text += f" (as hundredths of a kelvin: {low:.1f} to {high:.1f} degrees Celsius)"
    return [text]


def _yaml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
