"""Whether the stamps of two cameras can pair them, told by when the images came.

Stamps alone show an offset up to a period only: images of a camera look alike to them. What tells
a wrong stamp is the time of reception beside it: two images that come at once were taken at about
the same time, and no image comes before it was taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mafs_ros.base.stamps import LARGEST_OFFSET_S, LARGEST_QUEUE, NS_PER_S

Integers = NDArray[np.int64]
FEWEST = 3  # images of a camera that are judged
OTHER_CLOCK_S = 10.0  # no image takes that long from its camera to here
BOOT_S = 3.2e8  # stamps before 1980 count from a start, not from 1970
TAI_S, GPS_S = 37, 18  # ahead of UTC since 2017
ZONE_S, MOST_QUARTERS = 900, 56  # time zones are whole quarters of an hour, up to 14 h
JUMP_S = 1.0
_SOME_ZERO = 0.2  # of the images: the first few may be without a stamp
BY_ARRIVAL = {"pair_by": "arrival"}
UNITS = {-3: "microseconds", -6: "milliseconds", -9: "seconds"}  # taken for nanoseconds


class Arrivals(NamedTuple):
    """Stamps and times of reception of a camera's images in ns, in the order of reception."""

    stamps: Integers
    received: Integers


@dataclass(frozen=True)
class StampFault:
    """What is wrong with the stamps. `parameters`: those of the node that pair in spite of it.

    lead_s: by how much thermal stamps are ahead by the times of reception; None where that is not
    one number.
    in_doubt: the stamps may be right as well, of images that come late: `parameters` then hold
    what that takes, `if_wrong` what wrong stamps take. queue_short: the node's queue is too short
    for images that come so late.
    """

    text: str
    parameters: dict[str, Any]
    lead_s: float | None = None
    in_doubt: bool = False
    if_wrong: dict[str, Any] = field(default_factory=dict)
    queue_short: bool = False

    def __str__(self) -> str:
        if not self.in_doubt:
            return f"{self.text}; set {_assignments(self.parameters)}"
        right = f"set {_assignments(self.parameters)}" if self.queue_short else "all is well"
        return (
            f"{self.text}; where the stamps are right, {right}; where they are wrong, set "
            f"{_assignments(self.if_wrong)}"
        )


def find_fault(
    rgb: Arrivals,
    thermal: Arrivals,
    *,
    slop_s: float,
    queue_size: int,
    offset_s: float = 0.0,
    topics: tuple[str, str] = ("", ""),
    clock_ns: int | None = 0,
    live: bool = False,
) -> StampFault | None:
    """What is wrong with the stamps of two cameras; None where nothing is, or too few are here.

    offset_s: thermal_time_offset_s in force. topics: for the text. clock_ns: what to add to times
    of reception to have them by the clock of the stamps; None where that is not known (a bag that
    is played). live: these are the newest images of a node; what wavers among them is not judged.
    """
    if min(len(rgb.stamps), len(thermal.stamps)) < FEWEST:
        return None
    names = tuple(
        f"the {name} camera" + f" ({topic})" * bool(topic)
        for name, topic in zip(("RGB", "thermal"), topics, strict=True)
    )
    own = list(_own_faults((rgb, thermal)))
    if any(own):
        both = own[0] == own[1]
        texts = [own[0]] if both else [text for text in own if text]
        who = [" and ".join(names)] if both else [n for n, t in zip(names, own, strict=True) if t]
        text = "; ".join(f"the stamps of {n} {t}" for n, t in zip(who, texts, strict=True))
        return StampFault(text, BY_ARRIVAL)
    shifted = Arrivals(thermal.stamps + round(offset_s * NS_PER_S), thermal.received)
    return _Pair(rgb, shifted, names, clock_ns, slop_s, queue_size, offset_s, live).fault()


def _own_faults(cameras: tuple[Arrivals, Arrivals]) -> Iterator[str]:
    """What the stamps of each camera show by themselves; '' where that is nothing."""
    paces = [_pace(camera) for camera in cameras]
    for index, (stamps, _) in enumerate(cameras):
        different, beside = len(np.unique(stamps)), int((stamps % NS_PER_S).max())
        if not stamps.any():
            yield "are all 0: the driver sets none"
        elif different == 1:
            yield f"are all the same ({stamps[0] / NS_PER_S:.3f} s): the driver sets one for all"
        elif np.count_nonzero(stamps == 0) >= max(2, _SOME_ZERO * len(stamps)):
            zeros = np.count_nonzero(stamps == 0)
            yield f"are 0 in {zeros} of {len(stamps)} images: the driver does not always set one"
        elif 2 * len(np.unique(stamps // NS_PER_S)) <= len(stamps) and beside < NS_PER_S / 1000:
            lost = "writes microseconds as" if beside else "leaves out the"
            yield f"are whole seconds and at most {beside} ns: the driver {lost} nanoseconds"
        else:
            yield _pace_fault(paces[index], paces[1 - index])


def _pace(camera: Arrivals) -> float:
    """By how much the stamps advance in a second; 1 where that cannot be told.

    A median over images not too far apart, which a clock that was set in between leaves alone.
    """
    apart = max(1, len(camera.stamps) // 5)
    steps = (camera.stamps[apart:] - camera.stamps[:-apart]).astype(float)
    seconds = (camera.received[apart:] - camera.received[:-apart]).astype(float)
    return float(np.median(steps[seconds > 0] / seconds[seconds > 0])) if any(seconds > 0) else 1.0


def _pace_fault(own: float, other: float) -> str:
    """Bags may be played faster, but both cameras of them alike."""
    off = abs(math.log10(own)) if own > 0 else 0.0
    off_other = abs(math.log10(other)) if other > 0 else 0.0
    if off < 1.7 and (off < 0.7 or off - off_other < 0.7):
        return ""
    unit = UNITS.get(round(math.log10(own)))
    guess = f": they count {unit}, not nanoseconds" if unit else ": they do not count seconds"
    return f"advance by {own:.3g} s in a second{guess}"


@dataclass(frozen=True)
class _Pair:
    """Two cameras whose stamps are sound one by one; thermal stamps have the offset added."""

    rgb: Arrivals
    thermal: Arrivals
    names: tuple[str, ...]
    clock_ns: int | None
    slop_s: float
    queue_size: int
    offset_s: float
    live: bool

    def fault(self) -> StampFault | None:
        if not np.ptp(self.rgb.received):  # a bag without times of reception
            return None
        leads, to_image = self._leads()
        if not leads.size:
            return None
        periods = [_period(self.rgb), _period(self.thermal)]
        tolerance = max(min(periods) / 2, self.slop_s)
        low, lead, high = np.percentile(leads, (5, 50, 95))
        if high - low > max(JUMP_S, 2 * max(periods)):
            return None if self.live else self._jump(high - low)
        if abs(lead) <= tolerance:
            return None
        near_low, near, near_high = np.percentile(to_image, (5, 50, 95))
        if near_high - near_low < periods[0] / 4:  # cameras in step: exact to the jitter
            lead = near
        if abs(lead) <= tolerance:
            return None
        ages = [self._age(self.rgb), self._age(self.thermal)]
        boot = [float(np.median(c.stamps)) < BOOT_S * NS_PER_S for c in (self.rgb, self.thermal)]
        wrong = self._wrong(ages, boot, lead, tolerance)
        if not wrong:
            return self._late(lead, ages, periods)
        text = "; ".join(
            f"the stamps of {self.names[i]} "
            + (f"count from a start ({self._newest_s(i):.1f} s), not from 1970" if boot[i] else e)
            for i, e in wrong.items()
        )
        offset = round(self.offset_s - lead, 3)
        if any(boot) or abs(offset) > LARGEST_OFFSET_S:
            return StampFault(text, BY_ARRIVAL, float(lead))
        return StampFault(text, {"thermal_time_offset_s": float(offset)}, float(lead))

    def _leads(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Seconds by which thermal stamps are ahead of RGB stamps that come at the same moment,
        and of those of the RGB image next to that moment."""
        rgb, thermal = self.rgb, self.thermal
        inside = (thermal.received >= rgb.received[0]) & (thermal.received <= rgb.received[-1])
        base = rgb.stamps[0]
        stamps = (rgb.stamps - base) / NS_PER_S
        moments = (thermal.received[inside] - rgb.received[0]) / NS_PER_S
        at = np.interp(moments, (rgb.received - rgb.received[0]) / NS_PER_S, stamps)
        own = (thermal.stamps[inside] - base) / NS_PER_S
        ordered = np.sort(stamps)
        right = np.clip(np.searchsorted(ordered, at), 1, len(ordered) - 1)
        before, after = ordered[right - 1], ordered[right]
        return own - at, own - np.where(at - before < after - at, before, after)

    def _age(self, camera: Arrivals) -> float | None:
        """Seconds from stamp to reception, the median; None where the clock is not known."""
        if self.clock_ns is None:
            return None
        return float(np.median(camera.received - camera.stamps + self.clock_ns)) / NS_PER_S

    def _newest_s(self, index: int) -> float:
        return float((self.rgb, self.thermal)[index].stamps[-1]) / NS_PER_S

    def _jump(self, seconds: float) -> StampFault:
        spreads = [float(np.ptp(c.received - c.stamps)) for c in (self.rgb, self.thermal)]
        name = self.names[int(spreads[1] >= spreads[0])]
        text = f"the stamps of {name} jump or drift by {seconds:.3f} s against those of the other"
        return StampFault(f"{text}: its driver was restarted, or its clock was set", BY_ARRIVAL)

    def _wrong(
        self, ages: list[float | None], boot: list[bool], lead: float, tolerance: float
    ) -> dict[int, str]:
        """Number of each camera whose stamps are wrong for sure -> how; empty: in doubt."""
        errors = [0.0 if age is None else -age for age in ages]
        far = [i for i in range(2) if abs(errors[i]) > OTHER_CLOCK_S]
        if len(far) == 1:
            return {i: clock_name(errors[i]) for i in far}
        if any(boot):  # of both there may be a start of their own
            return {i: "" for i in range(2) if boot[i]}
        if abs(lead) > OTHER_CLOCK_S:  # none is of this clock: one of them is off
            return {1: clock_name(lead, " those of the RGB camera")}
        early = [i for i in range(2) if errors[i] > tolerance and not far]
        if early == [0] or early == [1]:
            late_s = abs(lead)
            return {
                i: f"are late by {late_s:.3f} s: they lie {errors[i]:.3f} s after the reception "
                "of their images"
                for i in early
            }
        return {}

    def _late(self, lead: float, ages: list[Any], periods: list[float]) -> StampFault:
        """Images that come late, or stamps that say so."""
        late = 0 if lead > 0 else 1
        other = ("RGB", "thermal")[1 - late]
        images = math.ceil(abs(lead) / periods[1 - late]) + 1  # of the other camera, which wait
        received = ""
        if None not in ages and max(abs(age) for age in ages) < OTHER_CLOCK_S:
            received = (
                f" (received {ages[late]:.3f} s after their stamps, {other} images "
                f"{ages[1 - late]:.3f} s)"
            )
        text = (
            f"the images of {self.names[late]} come {abs(lead):.3f} s later than {other} images "
            f"of the same stamps{received}: their way is longer, or the stamps are wrong "
            "by that (stamps alone show an offset up to a period)"
        )
        size = min(max(self.queue_size, 10, 2 * images), LARGEST_QUEUE)
        return StampFault(
            text,
            {"queue_size": size},
            float(lead),
            in_doubt=True,
            if_wrong={"thermal_time_offset_s": round(self.offset_s - float(lead), 3)},
            queue_short=images > self.queue_size,
        )


def clock_name(ahead_s: float, of: str = " the time") -> str:
    """What a clock is that is so many seconds ahead of (below 0: behind) another."""
    way = "ahead of" if ahead_s > 0 else "behind"
    for seconds, name in ((TAI_S, "TAI"), (GPS_S, "GPS time")):
        if abs(ahead_s - seconds) < 0.5:
            return f"are {seconds} s {way}{of}: {name} instead of UTC"
    quarters = round(ahead_s / ZONE_S)
    if 0 < abs(quarters) <= MOST_QUARTERS and abs(ahead_s - quarters * ZONE_S) < 5:
        return f"are {abs(quarters) / 4:g} h {way}{of}: local time instead of UTC"
    return f"are {abs(ahead_s):.3f} s {way}{of}: another clock"


def _period(camera: Arrivals) -> float:
    """Median seconds between stamps."""
    steps = np.diff(np.sort(camera.stamps))
    steps = steps[steps > 0]
    return float(np.median(steps)) / NS_PER_S if steps.size else math.inf


def _assignments(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in parameters.items())
