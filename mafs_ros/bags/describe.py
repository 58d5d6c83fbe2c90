"""What a bag's stamps say: rates, offsets of the two cameras, and the node parameters that fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.bags.fit import DEFAULT_SLOP_S, Fit, fit
from mafs_ros.bags.reader import Bag, BagError, ImageTopic
from mafs_ros.bags.times import Times, read_times
from mafs_ros.bags.topics import choose_topics, topic_parameters
from mafs_ros.base.errors import one_line
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.images.messages.pixels import ImageError

SAMPLES = 40  # images of a topic that are decoded
THERMAL_PERCENTILES = (1.0, 99.8)  # of the node
# 16-bit counts between these are taken as hundredths of a kelvin: -53 to 147 degrees Celsius.
CENTIKELVIN = (22_000, 42_000)


def sampled(
    bag: Bag, topic: ImageTopic, decode: Callable[[Any], NDArray[Any]]
) -> tuple[list[NDArray[Any]], str]:
    """Some pixels of a sample of images over the whole bag; how many are of no use, and why.

    decode: makes an image of a message, or raises ImageError.
    """
    step = max(1, topic.count // SAMPLES)
    images: list[NDArray[Any]] = []
    reasons: list[str] = []
    try:
        for number, message in enumerate(bag.messages([topic])):
            if number % step == 0:
                try:
                    images.append(decode(message.deserialize())[::4, ::4])
                except (BagError, ImageError) as error:
                    reasons.append(one_line(error))
    except BagError:
        pass  # what lies before the damage will do
    if not reasons:
        return images, ""
    looked_at = len(images) + len(reasons)
    return images, f"{len(reasons)} of {looked_at} images looked at are of no use: {reasons[0]}"


def thermal_range(images: list[NDArray[Any]]) -> dict[str, Any]:
    """Values of thermal images.

    dtype; low and high (percentiles 1 and 99.8 of all of them); smallest; largest;
    radiometric: whether 16-bit values look like hundredths of a kelvin. Empty where there are
    none.
    """
    samples = [image[np.isfinite(image)] for image in images]
    values = np.concatenate(samples) if samples else np.zeros(0)
    if not values.size:
        return {}
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


def suggested_parameters(
    rgb: ImageTopic, thermal: ImageTopic, fitted: Fit, values: dict[str, Any]
) -> dict[str, Any]:
    """Node parameters for this pair of cameras: name -> value."""
    parameters: dict[str, Any] = {}
    for camera, topic in (("rgb", rgb), ("thermal", thermal)):
        parameters.update(topic_parameters(camera, topic))
    parameters.update(
        slop_s=fitted.slop_s,
        queue_size=fitted.queue_size,
        thermal_time_offset_s=fitted.thermal_time_offset_s,
    )
    if fitted.pair_by != "stamp":
        parameters.update(pair_by=fitted.pair_by)
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
    """The text of `mafs bag info`, and whether the bag is sound and holds pairs that fit."""
    lines = [f"{bag.path}"]
    times, trouble = read_times(bag, bag.image_topics)
    problems = [text for text in (bag.damage, trouble) if text]
    lines += topic_lines(bag.image_topics, times)
    try:
        topics = choose_topics(bag, rgb, thermal)
        names = topics[0].name, topics[1].name
        fitted = fit(times[names[0]], times[names[1]], names)
    except ValueError as error:
        lines += [f"problem: {text}" for text in (*problems, one_line(error))]
        return "\n".join(lines), False
    lines += pair_lines(*topics, fitted)
    _, rgb_reason = sampled(bag, topics[0], rgb_from_message)
    images, thermal_reason = sampled(bag, topics[1], thermal_from_message)
    values = thermal_range(images)
    lines += range_lines(values)
    problems += [
        f"{topic.name}: {reason}"
        for topic, reason in zip(topics, (rgb_reason, thermal_reason), strict=True)
        if reason
    ]
    if not fitted.counters.paired:
        problems.append("no two images make a pair: the cameras were not recorded together")
    problems += [str(fitted.fault)] if fitted.fault else []
    lines += ["", heading(fitted, bool(problems)), "/**:", "  ros__parameters:"]
    for name, value in suggested_parameters(*topics, fitted, values).items():
        lines.append(f"    {name}: {_yaml(value)}")
    lines += [f"problem: {text}" for text in problems]
    return "\n".join(lines), not problems


def heading(fitted: Fit, troubled: bool) -> str:
    """What the parameters below it are worth."""
    if fitted.fault is None:
        return "node parameters that fit:" if not troubled else "node parameters, but see below:"
    if fitted.fault.in_doubt:
        return "node parameters if the stamps are right, see below:"
    return f"node parameters that make {fitted.counters.paired} pairs in spite of the stamps:"


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
    paired = fitted.counters.paired
    return [
        f"pair: rgb {rgb.name}, thermal {thermal.name}",
        f"  offset, thermal minus rgb: {offset_text(fitted)}",
        f"  pairs: {paired} of {rgb.count} RGB images with the parameters below; "
        f"{fitted.default_pairs} with the default slop of {DEFAULT_SLOP_S} s",
        f"  at most {fitted.most_waiting} images waited for their partner",
    ]


def offset_text(fitted: Fit) -> str:
    if fitted.fault is not None:
        lead_s = fitted.fault.lead_s
        if lead_s is None:
            return "not known, see below"
        return (
            f"{1e3 * lead_s:.1f} ms by the times of reception; by the stamps it is known up to a "
            "period only, see below"
        )
    low, median, high = np.percentile(fitted.nearest_ms, (5, 50, 95))
    apart = np.abs(fitted.nearest_ms)
    return (
        f"median {median:.1f} ms, 5 to 95 %: {low:.1f} to {high:.1f} "
        f"ms; nearest {apart.min():.1f} ms, farthest {apart.max():.1f} ms"
    )


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
