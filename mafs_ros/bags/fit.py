"""How well the stamps of two topics fit together, and which slop pairs them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.bags.times import Stamped, Stamps, Times
from mafs_ros.base.stamps import LARGEST_OFFSET_S, LARGEST_QUEUE, NS_PER_S
from mafs_ros.parameters.table import TABLE
from mafs_ros.perception.pairing.counters import PairingCounters
from mafs_ros.perception.pairing.policy import Pairing
from mafs_ros.perception.pairing.stamp_faults import StampFault, find_fault

DEFAULT_SLOP_S = float(TABLE["slop_s"].default)
DEFAULT_QUEUE = int(TABLE["queue_size"].default)
SMALLEST_SLOP_S = 0.01
LARGEST_SLOP_S = float(TABLE["slop_s"].high or 0.0)


@dataclass(frozen=True)
class Fit:
    """How the stamps of two cameras fit together. Offsets are thermal minus RGB, in ms.

    nearest_ms: offset of the thermal image nearest to each RGB image, float64 [N], before the
    offset is taken off. counters: what the node's pairing makes of the bag with these parameters.
    most_waiting: images of a camera that waited for their partner at a time.
    slop_s, thermal_time_offset_s, queue_size, pair_by: parameters of the node.
    fault: what is wrong with the stamps; then these are parameters that pair in spite of it.
    """

    nearest_ms: NDArray[np.float64]
    counters: PairingCounters
    default_pairs: int
    most_waiting: int
    slop_s: float
    thermal_time_offset_s: float
    queue_size: int
    pair_by: str = "stamp"
    fault: StampFault | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """Those that differ from the node's defaults, and slop_s."""
        found: dict[str, Any] = {"slop_s": self.slop_s}
        for name in ("thermal_time_offset_s", "queue_size", "pair_by"):
            if getattr(self, name) != TABLE[name].default:
                found[name] = getattr(self, name)
        return found

    @property
    def options(self) -> str:
        """The same as options of `mafs replay`."""
        return " ".join(f"-p {name}:={value}" for name, value in self.parameters.items())


def nearest_offsets_ms(rgb: Stamps, thermal: Stamps) -> NDArray[np.float64]:
    """Thermal minus RGB stamp, in ms, of the thermal image nearest to each RGB image."""
    if not rgb.size or not thermal.size:
        return np.zeros(0)
    ordered = np.sort(thermal)
    right = np.clip(np.searchsorted(ordered, rgb), 0, len(ordered) - 1)
    left = np.maximum(right - 1, 0)
    after, before = ordered[right] - rgb, ordered[left] - rgb
    return np.where(np.abs(before) <= np.abs(after), before, after) / 1e6


def fit(rgb: Times, thermal: Times, topics: tuple[str, str] = ("", "")) -> Fit:
    """Find the pairing parameters for two cameras. Raises ValueError if one has no image.

    topics: names of RGB and thermal topic, for the text of a fault.
    """
    if not rgb.stamps.size or not thermal.stamps.size:
        raise ValueError("one of the cameras has no image")
    fault = find_fault(
        rgb.arrivals,
        thermal.arrivals,
        slop_s=DEFAULT_SLOP_S,
        queue_size=DEFAULT_QUEUE,
        topics=topics,
    )
    needed = fault.parameters if fault is not None and not fault.in_doubt else {}
    pair_by = needed.get("pair_by", "stamp")
    default, _ = pair_times(rgb, thermal, DEFAULT_SLOP_S, 0.0, LARGEST_QUEUE)
    if pair_by == "arrival":
        rgb, thermal = (Times(camera.received, camera.received) for camera in (rgb, thermal))
    offset_s = needed.get("thermal_time_offset_s", 0.0)
    nearest = nearest_offsets_ms(rgb.stamps, thermal.stamps + round(offset_s * NS_PER_S))
    shift_ms = common_shift_ms(nearest, rgb, thermal)
    slop_s = fitting_slop_s(nearest - shift_ms, rgb, thermal)
    offset_s = round(offset_s - shift_ms / 1e3, 3) if shift_ms else offset_s
    counters, waiting = pair_times(rgb, thermal, slop_s, offset_s, LARGEST_QUEUE)
    return Fit(
        nearest,
        counters,
        default.paired,
        waiting,
        slop_s,
        offset_s,
        queue_size=min(max(DEFAULT_QUEUE, 2 * waiting), LARGEST_QUEUE),
        pair_by=pair_by,
        fault=fault,
    )


def common_shift_ms(nearest: NDArray[np.float64], rgb: Times, thermal: Times) -> float:
    """The offset that all images share, in whole ms; 0 where it is smaller than their scatter."""
    median = float(np.median(nearest))
    scatter = float(np.percentile(np.abs(nearest - median), 95))
    if abs(median) <= max(2 * scatter, 5.0) or abs(median) > 1e3 * LARGEST_OFFSET_S:
        return 0.0
    return float(round(median))


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
    return min(max(min(max(needed, SMALLEST_SLOP_S), most), least), LARGEST_SLOP_S)


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
