"""The charts of the page."""

from __future__ import annotations

import numpy as np

from mafs_ros.base.charts import histogram, line_chart
from mafs_ros.commands.replay.result import ReplayResult
from mafs_ros.evaluation.metrics import ConfusionMatrix


def drawings(replay: ReplayResult) -> dict[str, str | None]:
    """Name -> SVG, or None where there is nothing to draw."""
    series = replay.series
    charts: dict[str, str | None] = {
        "score": score_chart(replay),
        "total": line_chart(series.time_s, series.total_ms, "seconds", "ms", from_zero=True),
        "lonely": lonely_chart(replay),
        "registration": registration_chart(replay),
    }
    if len(replay.candidates) == 2:
        charts["difference"] = line_chart(
            *difference_series(replay), "seconds", "second minus first"
        )
    if offsets := replay.pairs.offsets_ms:
        first = replay.pairs.rgb_stamps[0]
        times = [(stamp - first) / 1e9 for stamp in replay.pairs.rgb_stamps]
        charts["offsets"] = histogram(offsets, "thermal minus RGB stamp, ms", "pairs")
        charts["offset"] = line_chart(times, offsets, "seconds", "ms")
    return {**charts, **live_charts(replay)}


def score_chart(replay: ReplayResult) -> str | None:
    """The score of each frame over time."""
    name = "mIoU of the frame, %" if replay.options.labels else "Qabf"
    series = replay.series
    known = {
        t: score for t, score in zip(series.time_s, series.score, strict=True) if score is not None
    }
    return line_chart(list(known), list(known.values()), "seconds", name)


def registration_chart(replay: ReplayResult) -> str | None:
    """How far the thermal images lie beside the RGB images, over time."""
    offsets = replay.series.offsets
    seconds, pixels = [time_s for time_s, _ in offsets], [one.length for _, one in offsets]
    return line_chart(seconds, pixels, "seconds", "pixels", from_zero=True)


def difference_series(replay: ReplayResult) -> tuple[list[float], list[float]]:
    """Seconds, and second minus first of mIoU in percent, or of Qabf without labels."""
    first, second = replay.candidates
    times, values = [], []
    if first.confusions and first.table.names == second.table.names:
        labelled = [t for t, has in zip(replay.series.time_s, first.labelled, strict=True) if has]
        for time_s, a, b in zip(labelled, first.confusions, second.confusions, strict=True):
            miou = []
            for own, candidate in ((a, first), (b, second)):
                matrix = ConfusionMatrix(candidate.table.names, candidate.table.ignore_id)
                matrix.matrix = own
                miou.append(100 * matrix.miou())
            times.append(time_s)
            values.append(miou[1] - miou[0])
    elif len(first.fusion.per_image) == len(second.fusion.per_image) == len(replay.series.time_s):
        for time_s, one, other in zip(
            replay.series.time_s, first.fusion.per_image, second.fusion.per_image, strict=True
        ):
            times.append(time_s)
            values.append((other["Qabf"] or 0.0) - (one["Qabf"] or 0.0))
    return times, values


def lonely_chart(replay: ReplayResult) -> str | None:
    """RGB images without a partner, over time."""
    if replay.topics is None or replay.topics[0].name not in replay.pairs.times:
        return None
    stamps = replay.pairs.times[replay.topics[0].name].stamps
    lonely = np.setdiff1d(stamps, np.array(replay.pairs.rgb_stamps, np.int64))
    if not lonely.size:
        return None
    seconds = (lonely - stamps.min()) / 1e9
    span = float(stamps.max() - stamps.min()) / 1e9
    return histogram(seconds.tolist(), "seconds", "images", (0.0, span))


def live_charts(replay: ReplayResult) -> dict[str, str | None]:
    """Latency over time, its distribution and that of the age, and when pairs were dropped."""
    live = replay.live
    if live is None or not live.digests:
        return {}
    stamps = np.array(sorted(live.digests), np.int64)
    paired = np.array(replay.pairs.rgb_stamps, np.int64)
    start = min(stamps[0], paired.min(initial=stamps[0]))
    seconds = ((stamps - start) / 1e9).tolist()
    charts: dict[str, str | None] = {
        "latency": line_chart(seconds, live.latency_ms, "seconds", "ms", from_zero=True),
        "latencies": histogram(live.latency_ms, "ms", "frames"),
        "ages": histogram(live.age_ms, "ms", "frames"),
        "lost": None,
    }
    lost = np.setdiff1d(paired, stamps)
    if lost.size:
        span = float(max(paired.max(), stamps[-1]) - start) / 1e9
        charts["lost"] = histogram(
            ((lost - start) / 1e9).tolist(), "seconds", "pairs", (0.0, span)
        )
    return charts
