"""What became of the images that were sent: ages, latencies, drops."""

from __future__ import annotations

import bisect
import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mafs_ros.base.stamps import FOREIGN_CLOCK_S, NS_PER_S
from mafs_ros.parameters.table import TABLE
from mafs_ros.rig.receiver import Receiver

SLOP_S = float(TABLE["slop_s"].default)


def nearest(stamp: int, stamps: list[int]) -> int:
    """The one of the sorted, not empty `stamps` that is nearest to `stamp`."""
    index = bisect.bisect_left(stamps, stamp)
    return min(stamps[max(index - 1, 0) : index + 1], key=lambda other: abs(other - stamp))


def latencies_ms(
    received: dict[int, int], published: dict[str, dict[int, int]], offset_s: float = 0.0
) -> np.ndarray:
    """Milliseconds from the publication of the later image of each pair to its fused image.

    received: RGB stamp -> arrival; published: camera -> stamp -> publication; monotonic ns.
    offset_s: thermal_time_offset_s of the node.
    """
    offset = round(offset_s * NS_PER_S)
    thermal = {stamp + offset: time for stamp, time in published["thermal"].items()}
    stamps = sorted(thermal)
    partners = {stamp: thermal[nearest(stamp, stamps)] for stamp in received}
    return _from_the_later(received, published["rgb"], partners)


def latencies_by_arrival_ms(
    received: dict[int, int], rgb: dict[int, int], thermal: list[int]
) -> np.ndarray:
    """The same of a node with pair_by arrival: partners are those published nearest in time.

    rgb: stamp -> publication; thermal: publications, sorted.
    """
    partners = {stamp: nearest(rgb[stamp], thermal) for stamp in received}
    return _from_the_later(received, rgb, partners)


def _from_the_later(
    received: dict[int, int], rgb: dict[int, int], partners: dict[int, int]
) -> np.ndarray:
    return np.array(
        [(arrival - max(rgb[one], partners[one])) / 1e6 for one, arrival in received.items()]
    )


def ages_ms(received: dict[int, int]) -> np.ndarray:
    """Milliseconds from the RGB stamp of each fused image to its arrival.

    received: RGB stamp -> arrival, monotonic ns. Empty where the stamps are of another clock.
    """
    wall_ns = time.time_ns() - time.monotonic_ns()
    ages = np.array([(arrival + wall_ns - stamp) / 1e6 for stamp, arrival in received.items()])
    return ages if ages.size and np.abs(ages).max() < 1000 * FOREIGN_CLOCK_S else np.array([])


def percentile(values: np.ndarray, percent: float) -> float | None:
    return rounded(float(np.percentile(values, percent))) if values.size else None


def no_frame_reason(receiver: Receiver, published: dict[str, dict[int, int]]) -> str:
    """Why nothing came out: the node's own words, or the stamps sent."""
    if integer(receiver.diagnostics.get("pairing", {}).get("paired")):
        return "; ".join(f"{name}: {text}" for name, text in receiver.messages.items())
    thermal = sorted(published["thermal"])
    if not thermal or not published["rgb"]:
        return "one of the cameras sent no image"
    apart_s = min(abs(nearest(stamp, thermal) - stamp) for stamp in published["rgb"]) / 1e9
    return (
        f"the nearest RGB and thermal stamps are {apart_s:.3f} s apart, "
        f"the node pairs up to {SLOP_S} s"
    )


def drops(
    sent: dict[str, Any], receiver: Receiver, pairing: dict[str, str], perception: dict[str, str]
) -> dict[str, int]:
    """Images and pairs that gave no frame, by cause, as the node counted them."""
    causes = {
        "replaced_while_busy": integer(perception.get("replaced_while_busy")),
        "failed": integer(perception.get("failed")),
        "bad_image": integer(perception.get("bad_image")),
        "not_subscribed": integer(perception.get("not_subscribed")),
        "not_registered": integer(perception.get("not_registered")),
        "output_lost": integer(perception.get("published")) - receiver.complete,
    }
    for camera in ("rgb", "thermal"):
        got = integer(receiver.diagnostics.get(f"{camera} camera", {}).get("received"))
        causes[f"{camera}_lost_on_the_way"] = sent[camera]["sent"] - got
        for cause in (
            "unpaired_slop",
            "unpaired_overflow",
            "duplicate",
            "late",
            "cleared",
            "pending",
        ):
            causes[f"{camera}_{cause}"] = integer(pairing.get(f"{camera}_{cause}"))
    return causes


def integer(text: str | None) -> int:
    return int(text) if text else 0


def number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def read_sent(path: Path) -> dict[str, dict[int, int]]:
    """Camera -> stamp -> monotonic ns of publication, from the cameras' sent_file."""
    published: dict[str, dict[int, int]] = {"rgb": {}, "thermal": {}}
    for camera, stamp, time_ns in _sent(path):
        published[camera].setdefault(stamp, time_ns)
    return published


def publications(path: Path, wanted: str) -> list[int]:
    """Monotonic ns of all publications of a camera, whatever their stamps, from a sent_file."""
    return sorted(time_ns for camera, _, time_ns in _sent(path) if camera == wanted)


def _sent(path: Path) -> Iterator[tuple[str, int, int]]:
    """Camera, stamp, monotonic ns of publication."""
    with open(path, newline="") as file:
        for topic, stamp, time_ns in csv.reader(file):
            yield topic.split("/")[1], int(stamp), int(time_ns)
