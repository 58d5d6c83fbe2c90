"""What a bag's stamps say: rates, offsets of the two cameras, and the node parameters that fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
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
from mafs_ros.bags.topics import choose_topics, topic_parameters
from mafs_ros.base.errors import one_line
from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.images.messages.pixels import ImageError
from mafs_ros.perception.registration import Registration

SAMPLES = 40  # images of a topic that are decoded


@dataclass
class Sampled:
    """A sample of images over the whole bag, and what became of it.

    decode: makes an image of a message, or raises ImageError. used: images given out; reasons: why
    each of the others is of no use; size: (height, width) of the last one given out.
    """

    bag: Bag
    topic: ImageTopic
    decode: Callable[[Any], NDArray[Any]]
    used: int = 0
    reasons: list[str] = field(default_factory=list)
    size: tuple[int, int] | None = None

    def images(self) -> Iterator[NDArray[Any]]:
        """Those that can be read, whole."""
        step = max(1, self.topic.count // SAMPLES)
        try:
            for number, message in enumerate(self.bag.messages([self.topic])):
                if number % step:
                    continue
                try:
                    image = self.decode(message.deserialize())
                except (BagError, ImageError) as error:
                    self.reasons.append(one_line(error))
                    continue
                self.used += 1
                self.size = (image.shape[0], image.shape[1])
                yield image
        except BagError:
            pass  # what lies before the damage will do

    def problems(self) -> list[str]:
        """A line where images are of no use; after `images`."""
        if not self.reasons:
            return []
        count, looked_at = len(self.reasons), self.used + len(self.reasons)
        return [
            f"{self.topic.name}: {count} of {looked_at} images looked at are of no use: "
            f"{self.reasons[0]}"
        ]


def suggested_parameters(
    rgb: ImageTopic, thermal: ImageTopic, fitted: Fit, values: ThermalValues
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
    return {**parameters, **thermal_parameters(values)}


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
    rgb_sample = Sampled(bag, topics[0], rgb_from_message)
    for _ in rgb_sample.images():
        pass
    thermal_sample = Sampled(bag, topics[1], thermal_from_message)
    values = thermal_values(thermal_sample.images())
    lines += range_lines(values)
    if rgb_sample.size and thermal_sample.size:
        lines += registration_lines(rgb_sample.size, thermal_sample.size)
    problems += [*rgb_sample.problems(), *thermal_sample.problems(), *value_problems(values)]
    if not fitted.counters.paired:
        problems.append("no two images make a pair: the cameras were not recorded together")
    problems += [str(fitted.fault)] if fitted.fault else []
    lines += ["", heading(fitted, bool(problems)), "/**:", "  ros__parameters:"]
    for name, value in suggested_parameters(*topics, fitted, values).items():
        lines.append(f"    {name}: {_yaml(value)}")
    lines += radiometric_lines(values)
    lines += [f"problem: {text}" for text in problems]
    return "\n".join(lines), not problems


def registration_lines(rgb: tuple[int, int], thermal: tuple[int, int]) -> list[str]:
    """A line where the shapes (height, width) say that the cameras need a registration."""
    registration = Registration(None)
    registration(np.zeros(thermal, np.uint8), rgb)
    return [f"warning: {remark}" for remark in registration.remarks.take()]


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


def _yaml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
