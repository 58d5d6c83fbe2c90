"""How well the stamps of two topics fit together, and which slop pairs them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mafs_ros.bags.times import Stamped, Stamps, Times
from mafs_ros.parameters.table import TABLE
from mafs_ros.perception.pairing.counters import PairingCounters
from mafs_ros.perception.pairing.policy import Pairing

DEFAULT_SLOP_S = float(TABLE["slop_s"].default)
SMALLEST_SLOP_S = 0.01
LARGEST_QUEUE = 1000  # of the node


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
