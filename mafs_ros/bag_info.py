"""What a bag's stamps say: rates, offsets of the two cameras, and the node parameters that fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.bags import Bag, BagError, BagMessage, ImageTopic, choose_topics
from mafs_ros.errors import one_line
from mafs_ros.images import ImageError, thermal_from_message
from mafs_ros.pairing import Pairing, PairingCounters

DEFAULT_SLOP_S = 0.05  # of the node
SMALLEST_SLOP_S = 0.01
LARGEST_QUEUE = 1000  # of the node
THERMAL_SAMPLES = 40
THERMAL_PERCENTILES = (1.0, 99.8)  # of the node

# 16-bit counts between these are taken as hundredths of a kelvin: -53 to 147 degrees Celsius.
CENTIKELVIN = (22_000, 42_000)

Stamps = NDArray[np.int64]


@dataclass(frozen=True)
class Times:
    """Stamps and times of reception of one topic in ns, in the order of recording."""

    stamps: Stamps
    received: Stamps

    @property
    def rate_hz(self) -> float:
        """1 / median step between stamps; 0 for fewer than two images."""
        steps = np.diff(np.sort(self.stamps))
        steps = steps[steps > 0]
        return 1e9 / float(np.median(steps)) if steps.size else 0.0

    @property
    def jitter_ms(self) -> float:
        """95th percentile of how far a step between stamps is from the median step."""
        steps = np.diff(self.stamps)
        if not steps.size:
            return 0.0
        return float(np.percentile(np.abs(steps - np.median(steps)), 95)) / 1e6

    @property
    def longest_gap_s(self) -> float:
        steps = np.diff(np.sort(self.stamps))
        return float(steps.max()) / 1e9 if steps.size else 0.0

    @property
    def backward(self) -> int:
        """How often a stamp is smaller than the one before it."""
        return int(np.count_nonzero(np.diff(self.stamps) < 0))

    @property
    def delay_ms(self) -> float:
        """Median time from stamp to reception; large or negative where clocks differ."""
        return float(np.median(self.received - self.stamps)) / 1e6 if self.stamps.size else 0.0


@dataclass(frozen=True)
class Fit:
    """How the stamps of two cameras fit together. Offsets are thermal minus RGB, in ms.

    nearest_ms: offset of the thermal image nearest to each RGB image, float64 [N].
    counters: what the node's pairing makes of the bag with `slop_s`. most_waiting: images of a
    camera that waited for their partner at a time.
    slop_s, thermal_time_offset_s, queue_size: node parameters that fit.
    """

    nearest_ms: NDArray[np.float64]
    counters: PairingCounters
    default_pairs: int
    most_waiting: int
    slop_s: float
    thermal_time_offset_s: float
    queue_size: int


class Stamped:
    """What Pairing is fed with: an object with header.stamp, and the message itself."""

    __slots__ = ("header", "message", "number")

    def __init__(self, message: Any, stamp: int, number: int) -> None:
        self.header = SimpleNamespace(stamp=SimpleNamespace(nanoseconds=stamp))
        self.message = message
        self.number = number


def read_times(bag: Bag, topics: Iterable[ImageTopic]) -> tuple[dict[str, Times], str]:
    """Topic name -> times, and what ended the reading early ('' if nothing did)."""
    times: dict[str, tuple[list[int], list[int]]] = {topic.name: ([], []) for topic in topics}
    trouble = ""
    try:
        for message in bag.messages(times):
            stamps, received = times[message.topic]
            stamps.append(message.stamp)
            received.append(message.received)
    except BagError as error:
        trouble = one_line(error)
    return {
        name: Times(np.array(stamps, np.int64), np.array(received, np.int64))
        for name, (stamps, received) in times.items()
    }, trouble


def nearest_offsets_ms(rgb: Stamps, thermal: Stamps) -> NDArray[np.float64]:
    """Thermal minus RGB stamp, in ms, of the thermal image nearest to each RGB image."""
    if not rgb.size or not thermal.size:
        return np.zeros(0)
    ordered = np.sort(thermal)
    right = np.clip(np.searchsorted(ordered, rgb), 0, len(ordered) - 1)
    left = np.maximum(right - 1, 0)
    after, before = ordered[right] - rgb, ordered[left] - rgb
    return np.where(np.abs(before) <= np.abs(after), before, after) / 1e6


def fit(rgb: Times, thermal: Times) -> Fit:
    """Find the pairing parameters for two cameras. Raises ValueError if one has no image."""
    nearest = nearest_offsets_ms(rgb.stamps, thermal.stamps)
    if not nearest.size:
        raise ValueError("one of the cameras has no image")
    shift_ms = common_shift_ms(nearest, rgb, thermal)
    slop_s = fitting_slop_s(nearest - shift_ms, rgb, thermal)
    shift_s = -shift_ms / 1e3 if shift_ms else 0.0
    counters, waiting = pair_times(rgb, thermal, slop_s, shift_s, LARGEST_QUEUE)
    default, _ = pair_times(rgb, thermal, DEFAULT_SLOP_S, 0.0, LARGEST_QUEUE)
    return Fit(
        nearest,
        counters,
        default.paired,
        waiting,
        slop_s,
        shift_s,
        queue_size=min(max(10, 2 * waiting), LARGEST_QUEUE),
    )


def common_shift_ms(nearest: NDArray[np.float64], rgb: Times, thermal: Times) -> float:
    """The offset that all images share, in whole ms; 0 where it is smaller than their scatter."""
    median = float(np.median(nearest))
    scatter = float(np.percentile(np.abs(nearest - median), 95))
    return float(round(median)) if abs(median) > max(2 * scatter, 5.0) else 0.0


def fitting_slop_s(offsets: NDArray[np.float64], rgb: Times, thermal: Times) -> float:
    """A slop, in whole ms, that holds 99 % of the offsets of partners with a fifth to spare.

    At most half the period of the faster camera: what lies farther away has lost its partner, and
    would take that of its neighbour. But at least what one pair needs.
    """
    rate = max(rgb.rate_hz, thermal.rate_hz)
    most = max(math.floor(500 / rate) / 1e3, SMALLEST_SLOP_S) if rate else math.inf
    apart = np.abs(offsets)
    partners = apart[apart <= 1e3 * most]
    needed = math.ceil(1.2 * float(np.percentile(partners, 99))) / 1e3 if partners.size else most
    least = math.ceil(float(apart.min())) / 1e3
    return max(min(max(needed, SMALLEST_SLOP_S), most), least)


def pair_times(
    rgb: Times, thermal: Times, slop_s: float, offset_s: float, queue_size: int
) -> tuple[PairingCounters, int]:
    """What the node's pairing does with these stamps; and the most images that waited."""
    pairing = Pairing(
        lambda rgb, thermal: None,
        slop_s=slop_s,
        queue_size=queue_size,
        thermal_time_offset_s=offset_s,
    )
    most = 0
    for is_thermal, stamp in in_order(rgb, thermal):
        (pairing.add_thermal if is_thermal else pairing.add_rgb)(Stamped(None, stamp, 0))
        counters = pairing.counters
        most = max(most, counters.rgb.pending, counters.thermal.pending)
    return pairing.counters, most


def in_order(rgb: Times, thermal: Times) -> Iterator[tuple[bool, int]]:
    """(is it thermal, stamp) of all images in the order in which they were recorded."""
    received = np.concatenate([rgb.received, thermal.received])
    stamps = np.concatenate([rgb.stamps, thermal.stamps])
    for index in np.argsort(received, kind="stable"):
        yield bool(index >= len(rgb.stamps)), int(stamps[index])


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
