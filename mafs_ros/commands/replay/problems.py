"""What was wrong with a bag, in lines that say what to do."""

from __future__ import annotations

from collections import Counter

from mafs_ros.bags.fit import LARGEST_SLOP_S, Fit, fit
from mafs_ros.bags.times import Times
from mafs_ros.commands.replay.live_result import Live
from mafs_ros.commands.replay.result import ReplayResult
from mafs_ros.perception.alignment.watch import advice
from mafs_ros.perception.classes import ClassTable
from mafs_ros.perception.label_check import no_object
from mafs_ros.perception.pairing.stamp_faults import StampFault, find_fault

NAMED_TROUBLES = 5  # different reasons that are spelled out


def explain(replay: ReplayResult, label_table: ClassTable | None) -> list[str]:
    """What was wrong, after the bag has been read; label_table: of the ground truth."""
    assert replay.topics is not None
    rgb, thermal = camera_times(replay)
    lines = [
        f"{topic.name}: {times.backward} stamps go back in time (a loop, a clock that "
        "was set, or images out of order); late images are not paired"
        for topic, times in zip(replay.topics, (rgb, thermal), strict=True)
        if times.backward
    ]
    fault = stamp_fault(replay, rgb, thermal)
    if fault is not None:
        found = f"{replay.pairs.count} pairs" if replay.pairs.count else "no pairs"
        advice = pairing_options(fit(rgb, thermal), len(rgb.stamps))
        lines.append(f"{found}: {fault.text if not fault.in_doubt else fault}; {advice}")
    elif not replay.pairs.count:
        lines.append(no_pairs(replay, rgb, thermal))
    live, frames = replay.live, replay.frames
    if live is not None and live.different and replay.settings["pair_by"] == "stamp":
        lines.append(f"{live_difference(live)}, the first with RGB stamp {live.different[0]}")
    lines += frame_troubles(frames.reasons + frames.unscored) + label_troubles(replay)
    if label_table and (problem := no_object(frames.label_pixels, label_table)):
        lines.append(f"--labels {replay.options.labels}: {problem}")
    return lines


def frame_troubles(reasons: Counter[str]) -> list[str]:
    lines = [f"{count} frames: {reason}" for reason, count in reasons.most_common(NAMED_TROUBLES)]
    if len(reasons) > NAMED_TROUBLES:
        lines.append(f"{len(reasons) - NAMED_TROUBLES} other reasons are in frames.csv")
    return lines


def label_troubles(replay: ReplayResult) -> list[str]:
    lines = [
        f"{count} frames are scored for fusion only: {reason}"
        for reason, count in replay.frames.unlabelled.most_common(NAMED_TROUBLES)
    ]
    if (
        replay.options.labels
        and replay.frames.statuses["ok"]
        and not lines
        and not any(replay.candidates[0].labelled)
    ):
        lines.append(
            f"--labels {replay.options.labels}: no label has the stamp of an evaluated RGB "
            "image, within 1 ms"
        )
    if replay.options.labels and len({c.table.names for c in replay.candidates}) > 1:
        lines.append("the class tables of the two differ: their mIoU are not compared")
    return lines


def live_difference(live: Live) -> str:
    return (
        f"live: {len(live.different)} of {len(live.different) + len(live.same)} frames "
        "of the node differ from the offline evaluation"
    )


def remarks_on_the_bag(replay: ReplayResult) -> list[str]:
    """What is worth a line and no problem, after the bag has been read."""
    remarks = registration_remarks(replay)
    if (threshold := replay.settings["confidence_threshold"]) > 0:
        remarks.append(
            f"confidence_threshold {threshold:g} is left out here: labels are scored as the "
            "network gives them, where the node publishes 255 below it"
        )
    live = replay.live
    if live is not None and live.different and replay.settings["pair_by"] == "arrival":
        remarks.append(
            f"{live_difference(live)}: with pair_by: arrival the moments of arrival decide over "
            "pairs and thermal range, and no two runs have the same"
        )
    rgb, thermal = camera_times(replay)
    fault = found_fault(replay, rgb, thermal)
    if fault is not None and fault.in_doubt and replay.pairs.count:
        remarks.append(f"{fault}")
    return remarks


def registration_remarks(replay: ReplayResult) -> list[str]:
    """A line where the thermal images lie beside the RGB images more than once."""
    warn_px, offsets = replay.settings["registration_warn_px"], replay.series.offsets
    said = [(time_s, text) for time_s, one in offsets if (text := advice(one, warn_px))]
    if len(said) < 2:
        return []
    return [
        f"in {len(said)} of {len(offsets)} seconds, the first {said[0][0]:.0f} s after the begin "
        f"of the bag, {said[len(said) // 2][1]}"
    ]


def camera_times(replay: ReplayResult) -> tuple[Times, Times]:
    """Stamps and times of reception of the RGB and thermal images that were read."""
    assert replay.topics is not None
    rgb, thermal = replay.topics
    return replay.pairs.times[rgb.name], replay.pairs.times[thermal.name]


def stamp_fault(replay: ReplayResult, rgb: Times, thermal: Times) -> StampFault | None:
    """What is wrong with the stamps for sure, or keeps all pairs away."""
    fault = found_fault(replay, rgb, thermal)
    if fault is None or not fault.in_doubt:
        return fault
    return fault if fault.queue_short and not replay.pairs.count else None


def found_fault(replay: ReplayResult, rgb: Times, thermal: Times) -> StampFault | None:
    """What is wrong with the stamps, or may be."""
    settings = replay.settings
    if settings["pair_by"] != "stamp" or replay.topics is None:
        return None
    return find_fault(
        rgb.arrivals,
        thermal.arrivals,
        slop_s=settings["slop_s"],
        queue_size=settings["queue_size"],
        offset_s=settings["thermal_time_offset_s"],
        topics=(replay.topics[0].name, replay.topics[1].name),
    )


def pairing_options(fitted: Fit, images: int) -> str:
    """The options of this command that pair the bag."""
    return f"{fitted.options} pairs {fitted.counters.paired} of {images}"


def no_pairs(replay: ReplayResult, rgb: Times, thermal: Times) -> str:
    """How near the stamps come, and the slop with which they would pair."""
    try:
        fitted = fit(rgb, thermal)
    except ValueError:
        counts = ", ".join(
            f"{name} {len(times.stamps)}" for name, times in replay.pairs.times.items()
        )
        return f"no pairs: a camera has no image ({counts})"
    if not fitted.counters.paired:
        return "no pairs: the cameras were not recorded together"
    nearest = fitted.nearest_ms[abs(fitted.nearest_ms).argmin()]
    alone = -(-abs(nearest) // 1) / 1e3  # whole ms, rounded up
    alone_text = f"slop_s {alone:g} would pair those, and " if alone <= LARGEST_SLOP_S else ""
    return (
        f"no pairs: the nearest thermal and RGB stamps are {nearest:.3f} ms apart "
        f"(thermal minus RGB), slop_s is {replay.settings['slop_s']:g}; {alone_text}"
        + pairing_options(fitted, len(rgb.stamps))
    )
