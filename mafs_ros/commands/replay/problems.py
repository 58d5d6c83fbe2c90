"""What was wrong with a bag, in lines that say what to do."""

from __future__ import annotations

from collections import Counter

from mafs_ros.bags.fit import fit
from mafs_ros.bags.times import Times
from mafs_ros.commands.replay.result import ReplayResult
from mafs_ros.perception.classes import ClassTable
from mafs_ros.perception.label_check import no_object

NAMED_TROUBLES = 5  # different reasons that are spelled out


def explain(replay: ReplayResult, label_table: ClassTable | None) -> list[str]:
    """What was wrong, after the bag has been read; label_table: of the ground truth."""
    assert replay.topics is not None
    rgb, thermal = (replay.pairs.times[topic.name] for topic in replay.topics)
    lines = [
        f"{topic.name}: {times.backward} stamps go back in time (a loop, a clock that "
        "was set, or images out of order); late images are not paired"
        for topic, times in zip(replay.topics, (rgb, thermal), strict=True)
        if times.backward
    ]
    if not replay.pairs.count:
        lines.append(no_pairs(replay, rgb, thermal))
    live, frames = replay.live, replay.frames
    if live is not None and live.different:
        lines.append(
            f"live: {len(live.different)} of {len(live.different) + len(live.same)} frames "
            "of the node differ from the offline evaluation, the first with RGB stamp "
            f"{live.different[0]}"
        )
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


def no_pairs(replay: ReplayResult, rgb: Times, thermal: Times) -> str:
    """How near the stamps come, and the slop with which they would pair."""
    try:
        fitted = fit(rgb, thermal)
    except ValueError:
        counts = ", ".join(
            f"{name} {len(times.stamps)}" for name, times in replay.pairs.times.items()
        )
        return f"no pairs: a camera has no image ({counts})"
    nearest = fitted.nearest_ms[abs(fitted.nearest_ms).argmin()]
    would = f"-p slop_s:={fitted.slop_s}"
    if fitted.thermal_time_offset_s:
        would += f" -p thermal_time_offset_s:={fitted.thermal_time_offset_s}"
    alone = -(-abs(nearest) // 1) / 1e3  # whole ms, rounded up
    return (
        f"no pairs: the nearest thermal and RGB stamps are {nearest:.3f} ms apart "
        f"(thermal minus RGB), slop_s is {replay.settings['slop_s']:g}; slop_s {alone:g} "
        f"would pair those, and {would} pairs {fitted.counters.paired} of "
        f"{len(rgb.stamps)}"
    )
