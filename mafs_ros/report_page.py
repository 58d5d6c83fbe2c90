"""report.html of a replay: one file that loads nothing.

Charts are inline SVG, pictures are in it, and its policy forbids requests.
"""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mafs_ros.metrics import FUSION_METRICS, ConfusionMatrix
from mafs_ros.report_charts import histogram, line_chart, number, table

if TYPE_CHECKING:
    from mafs_ros.replay_evaluation import Replay

STYLE = """
:root { color-scheme: light; --ink: #1c2430; --soft: #5b6675; --line: #dfe3e8; --accent: #1f6feb;
  --second: #c2570c; --bad: #b42318; --good: #18794e; }
* { box-sizing: border-box; }
body { margin: 0; background: #f6f7f9; color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 24px; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 10px; }
h3 { font-size: 14px; margin: 14px 0 4px; }
p { margin: 6px 0; }
.soft { color: var(--soft); font-size: 13px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 8px;
  padding: 18px 20px; margin-top: 16px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px;
  margin-top: 16px; }
.tile { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.tile b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; }
.problems { border-color: #f0b4ae; background: #fff6f5; }
.problems li { margin: 3px 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { text-align: right; padding: 3px 14px 3px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child { text-align: left; }
td.text, th.text { text-align: left; overflow-wrap: anywhere; }
.bar { display: inline-block; height: 9px; background: var(--accent); border-radius: 2px; }
.good { color: var(--good); } .bad { color: var(--bad); }
svg { width: 100%; height: auto; display: block; }
svg text { font: 11px system-ui, sans-serif; fill: #5b6675; }
figure { margin: 14px 0 0; } figure img { width: 100%; border-radius: 4px; display: block; }
.frames { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 16px; }
.wide { overflow-x: auto; }
"""

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title><style>{style}</style></head><body><main>
"""


def page(replay: Replay, report: dict[str, Any], timing: dict[str, Any], out: Path) -> str:
    """The whole report.html."""
    title = f"Replay of {replay.args.bag.name}"
    parts = [
        HEAD.format(title=html.escape(title), style=STYLE),
        f"<h1>{html.escape(title)}</h1>",
        introduction(replay, report),
        problems(report),
    ]
    if report["frames"]["evaluated"]:
        parts += [
            tiles(report, timing),
            segmentation_section(report),
            fusion_section(report),
            scores_section(replay),
            compare_section(replay, report),
        ]
    parts.append(pairing_section(replay, report))
    if report["frames"]["evaluated"]:
        parts += [
            live_section(replay, timing),
            speed_section(replay, report, timing),
            worst_section(replay, report),
        ]
    parts += [settings_section(report), files_section(out)]
    return "\n".join(part for part in parts if part) + "\n</main></body></html>\n"


def introduction(replay: Replay, report: dict[str, Any]) -> str:
    names = " against ".join(html.escape(engine["name"]) for engine in report["engines"])
    cameras = [
        f"{camera} {report['bag'][camera]['topic']} ({report['bag'][camera]['encoding']}, "
        f"{report['bag'][camera]['width']}x{report['bag'][camera]['height']})"
        for camera in ("rgb", "thermal")
        if camera in report["bag"]
    ]
    return (
        f'<p class="soft">{html.escape(report["bag"]["path"])}<br>'
        f"{html.escape('; '.join(cameras))}<br>{names}; mafs_ros {report['mafs_ros']}, "
        f"{mode(replay)}</p>"
    )


def mode(replay: Replay) -> str:
    """Which pairs are evaluated, in words."""
    if replay.args.live:
        return "the pairs that the live node published"
    every = replay.args.every
    return "offline, every pair" if every == 1 else f"offline, one pair in {every}"


def problems(report: dict[str, Any]) -> str:
    if not report["problems"]:
        return ""
    items = "".join(f"<li>{html.escape(text)}</li>" for text in report["problems"])
    state = {"partial": "This report is partial", "failed": "Nothing could be evaluated"}
    return (
        f'<section class="problems"><h2>{state[report["status"]]}</h2><ul>{items}</ul></section>'
    )


def tile(value: str, what: str, kind: str = "") -> str:
    return f'<div class="tile"><b class="{kind}">{value}</b>{html.escape(what)}</div>'


def tiles(report: dict[str, Any], timing: dict[str, Any]) -> str:
    pairing, frames = report["pairing"], report["frames"]
    shown = [
        tile(
            f"{pairing['pairs']} of {pairing['rgb']['received']}",
            "RGB images have a thermal partner",
        ),
        tile(str(frames["evaluated"]), "pairs evaluated"),
    ]
    if segmentation := report["segmentation"]:
        shown.append(
            tile(
                f"{number(segmentation['miou_with_background'], 2)} %",
                f"mIoU with background, {segmentation['frames']} frames",
            )
        )
    shown.append(tile(number(report["fusion"]["mean"]["Qabf"], 3), "Qabf of the fused images"))
    engine = timing["engines"][0]
    rate = timing["pair_rate_hz"]
    keeps_up = rate is None or engine["frames_per_second"] >= rate
    shown.append(
        tile(
            f"{number(engine['frames_per_second'], 1)} / s",
            f"perceived on this machine; pairs come at {number(rate, 1)} / s",
            "good" if keeps_up else "bad",
        )
    )
    return f'<div class="tiles">{"".join(shown)}</div>'


def segmentation_section(report: dict[str, Any]) -> str:
    first = report["segmentation"]
    if not first:
        return ""
    second = (report["compare"] or {}).get("second", {}).get("segmentation")
    both = [first, second] if second else [first]
    rows = []
    for name in dict.fromkeys(name for one in both for name in one["iou_percent"]):
        values = [one["iou_percent"].get(name) for one in both]
        bar = "" if second else f'<span class="bar" style="width:{2 * (values[0] or 0):.0f}px">'
        absent = " (not in the labels)" if name in first["absent"] else ""
        rows.append(
            [
                html.escape(name) + absent,
                *(number(v, 2) for v in values),
                bar + "</span>" * bool(bar),
            ]
        )
    for key, name in (
        ("miou_with_background", "mIoU with background"),
        ("miou_without_background", "mIoU without background"),
    ):
        rows.append([f"<b>{name}</b>", *(number(one[key], 2) for one in both), ""])
    head = ["class", *(["first %", "second %"] if second else ["IoU %"]), ""]
    return (
        f"<section><h2>Segmentation</h2>{table(head, rows, left_last=True)}"
        f'<p class="soft">{first["frames"]} labelled frames, {first["pixels"]:,} pixels, '
        f"label classes {html.escape(first['label_classes'])}. "
        f"{html.escape(first['protocol'])}</p></section>"
    )


def fusion_section(report: dict[str, Any]) -> str:
    fusion = report["fusion"]
    means = [fusion["mean"]]
    head = ["metric", "mean"]
    if report["compare"]:
        means.append(report["compare"]["second"]["fusion"]["mean"])
        head = ["metric", "first", "second"]
    rows = [[name, *(number(mean[name], 4) for mean in means)] for name in FUSION_METRICS]
    return (
        f'<section><h2>Fusion</h2>{table(head, rows)}<p class="soft">{fusion["images"]} '
        f"images. {html.escape(fusion['protocol'])}</p></section>"
    )


def scores_section(replay: Replay) -> str:
    """The score of each frame over time."""
    name = "Qabf" if replay.labels is None else "mIoU of the frame, %"
    series = replay.series
    known = {
        t: score for t, score in zip(series.time_s, series.score, strict=True) if score is not None
    }
    if not known:
        return ""
    chart = line_chart(list(known), list(known.values()), "seconds", name)
    return f"<section><h2>Score over time</h2>{chart}</section>"


def compare_section(replay: Replay, report: dict[str, Any]) -> str:
    compare = report["compare"]
    if not compare:
        return ""
    rows = []
    for name, one in compare["differences"].items():
        verdict = "<b>larger than chance</b>" if one["larger_than_chance"] else "within chance"
        if one["difference"] is None or one["low"] is None:
            verdict = "too few frames"
        rows.append(
            [
                html.escape(name.replace("miou_", "mIoU ").replace("_back", " back")),
                number(one["first"], 4),
                number(one["second"], 4),
                number(one["difference"], 4, signed=True),
                f"{number(one['low'], 4, signed=True)} to {number(one['high'], 4, signed=True)}",
                str(one["frames"]),
                verdict,
            ]
        )
    text = ""
    if agreement := compare["agreement_percent"]:
        text += (
            f"Label maps agree on {number(agreement['mean'], 3)} % of the pixels (worst "
            f"frame {number(agreement['min'], 3)} %). "
        )
    if fused := compare["fused_difference"]:
        text += (
            f"Fused images differ by {fused['mean']:.3g} grey levels in the mean "
            f"(worst frame {fused['max']:.3g}). "
        )
    engines = [html.escape(engine["name"]) for engine in report["engines"]]
    chart = line_chart(*difference_series(replay), "seconds", "second minus first")
    metric = "mIoU (%)" if report["segmentation"] else "Qabf"
    return (
        f"<section><h2>Comparison</h2><p>first: {engines[0]}<br>second: {engines[1]}</p>"
        + table(["metric", "first", "second", "difference", "interval", "frames", ""], rows)
        + f"<p>{text}</p><h3>{metric}, difference of each frame</h3>{chart}"
        f'<p class="soft">{html.escape(compare["protocol"])} Blocks of '
        f"{compare['block_frames']} frames.</p></section>"
    )


def difference_series(replay: Replay) -> tuple[list[float], list[float]]:
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


def pairing_section(replay: Replay, report: dict[str, Any]) -> str:
    pairing = report["pairing"]
    if not pairing["rgb"]:
        return ""
    names = {
        "received": "received",
        "paired": "paired",
        "unpaired_slop": "no partner within the slop",
        "unpaired_overflow": "queue full before the partner came",
        "duplicate": "stamp that had been there",
        "late": "out of order",
        "cleared": "waiting when time went back",
        "pending": "waiting at the end",
    }
    rows = [
        [text, str(pairing["rgb"][key]), str(pairing["thermal"][key])]
        for key, text in names.items()
    ]
    offset = pairing["offset_ms"]
    text = "no pairs"
    if offset:
        text = (
            f"{pairing['pairs']} pairs; offset of the thermal image: median "
            f"{number(offset['median'], 2)} ms, 5 to 95 %: {number(offset['p5'], 2)} to "
            f"{number(offset['p95'], 2)} ms, {number(offset['min'], 2)} to "
            f"{number(offset['max'], 2)} ms in all (slop "
            f"{1e3 * report['settings']['slop_s']:g} ms)"
        )
    charts = ""
    if offset:
        times = pair_times_s(replay)
        charts = (
            "<h3>Offsets of the pairs</h3>"
            + histogram(replay.pairs.offsets_ms, "thermal minus RGB stamp, ms", "pairs")
            + "<h3>Offset over time</h3>"
            + line_chart(times, replay.pairs.offsets_ms, "seconds", "ms")
        )
    charts += drops_chart(replay)
    return (
        f"<section><h2>Pairing</h2><p>{text}</p>"
        + table(["images", "rgb", "thermal"], rows)
        + charts
        + "</section>"
    )


def pair_times_s(replay: Replay) -> list[float]:
    first = replay.pairs.rgb_stamps[0]
    return [(stamp - first) / 1e9 for stamp in replay.pairs.rgb_stamps]


def drops_chart(replay: Replay) -> str:
    """RGB images without a partner, over time."""
    assert replay.topics is not None
    stamps = replay.pairs.times[replay.topics[0].name].stamps
    lonely = np.setdiff1d(stamps, np.array(replay.pairs.rgb_stamps, np.int64))
    if not lonely.size:
        return ""
    seconds = (lonely - stamps.min()) / 1e9
    return "<h3>RGB images without a partner, over time</h3>" + histogram(
        seconds.tolist(), "seconds", "images", (0.0, float(stamps.max() - stamps.min()) / 1e9)
    )


def speed_section(replay: Replay, report: dict[str, Any], timing: dict[str, Any]) -> str:
    rows = []
    for engine in timing["engines"]:
        for step, values in (*engine["steps_ms"].items(), ("total", engine["total_ms"])):
            rows.append(
                [
                    f"{step}, {html.escape(engine['name'])}",
                    *(number(values[key], 2) for key in ("median", "p95", "max")),
                ]
            )
    text = ""
    if estimate := timing["live_estimate"]:
        latency = estimate["latency_ms"]
        text = (
            f"<p>At the recorded times and this speed the live node, which skips pairs while "
            f"it is busy, would drop {estimate['dropped_while_busy']} of "
            f"{estimate['pairs']} pairs; latency median {number(latency['median'], 1)} ms, "
            f"95 %: {number(latency['p95'], 1)} ms (estimated, without transport).</p>"
        )
    series = replay.series
    return (
        "<section><h2>Speed on this machine</h2>"
        + table(["ms a frame", "median", "95 %", "max"], rows)
        + text
        + "<h3>Latency of each frame: conversion and perception</h3>"
        + line_chart(series.time_s, series.total_ms, "seconds", "ms", from_zero=True)
        + '<p class="soft">Measured, so other at every run'
        + ("" if replay.live else "; all else in this report is the same for the same bag")
        + ".</p></section>"
    )


def live_section(replay: Replay, timing: dict[str, Any]) -> str:
    """What the live node did; empty for an offline replay."""
    live = timing["live"]
    if not live:
        return ""
    text = (
        f"{live['sent']['rgb']} RGB and {live['sent']['thermal']} thermal images played at "
        f"{live['rate']:g} times the recorded speed (at most "
        f"{number(live['player_late_ms']['max'], 1)} ms late); {live['pairs']} pairs, "
        f"{live['published']} published, {number(live['frames_per_second'], 1)} a second. "
        f"{live['same_bytes']} of them are the same bytes as offline, "
        f"{live['different_bytes']} are not."
    )
    rows = [
        [name, *(number((live[key] or {}).get(q), 1) for q in ("median", "p95", "max"))]
        for key, name in (
            ("latency_ms", "latency: later image sent to fused received"),
            ("age_ms", "age: RGB stamp to fused received"),
        )
    ]
    drops = [
        [html.escape(cause.replace("_", " ")), str(count)]
        for cause, count in live["drops"].items()
        if count
    ]
    return (
        f"<section><h2>Live node</h2><p>{text}</p>"
        + table(["ms", "median", "95 %", "max"], rows)
        + "<h3>Drops by cause</h3>"
        + (table(["cause", "images or pairs"], drops) if drops else "<p>none</p>")
        + live_charts(replay)
        + "</section>"
    )


def live_charts(replay: Replay) -> str:
    """Latency over time, its distribution and that of the age, and when pairs were dropped."""
    live = replay.live
    if not live.digests:
        return ""
    stamps = np.array(sorted(live.digests), np.int64)
    paired = np.array(replay.pairs.rgb_stamps, np.int64)
    start = min(stamps[0], paired.min(initial=stamps[0]))
    seconds = ((stamps - start) / 1e9).tolist()
    parts = [
        "<h3>Latency over time</h3>",
        line_chart(seconds, live.latency_ms, "seconds", "ms", from_zero=True),
        "<h3>Distribution of the latency</h3>",
        histogram(live.latency_ms, "ms", "frames"),
        "<h3>Distribution of the age</h3>",
        histogram(live.age_ms, "ms", "frames"),
    ]
    lost = np.setdiff1d(paired, stamps)
    if lost.size:
        parts += [
            "<h3>Pairs that did not come out, over time</h3>",
            histogram(
                ((lost - start) / 1e9).tolist(),
                "seconds",
                "pairs",
                (0.0, float(max(paired.max(), stamps[-1]) - start) / 1e9),
            ),
        ]
    return "".join(parts)


def worst_section(replay: Replay, report: dict[str, Any]) -> str:
    if not replay.worst:
        return ""
    figures = []
    for worst in replay.worst.in_order():
        picture = base64.b64encode(worst.jpeg).decode()
        caption = f"pair {worst.pair}, RGB stamp {worst.stamp} ns: {worst.reason}"
        figures.append(
            f'<figure><figcaption class="soft">{html.escape(caption)}</figcaption>'
            f'<img alt="{html.escape(caption)}" '
            f'src="data:image/jpeg;base64,{picture}"></figure>'
        )
    return (
        '<section><h2>Worst frames</h2><div class="frames">'
        + "".join(figures)
        + "</div></section>"
    )


def settings_section(report: dict[str, Any]) -> str:
    rows = [
        [html.escape(name), html.escape(json.dumps(value))]
        for name, value in report["settings"].items()
    ]
    for engine in report["engines"]:
        rows += [
            [f"{html.escape(key)}", html.escape(str(engine[key]))]
            for key in ("description", "weights", "weights_sha256", "preset", "classes")
        ]
    return (
        '<section><h2>Settings</h2><div class="wide">'
        + table(["parameter", "value"], rows, left_last=True)
        + "</div></section>"
    )


def files_section(out: Path) -> str:
    texts = {
        "report.json": "all numbers of this page but the times",
        "frames.csv": "every evaluated pair",
        "timing.json": "the measured times",
        "timing.csv": "the measured times of every frame",
        "side_by_side.webm": "all frames, at 10 a second",
        "output.mcap": "fused, labels, overlay and class table, for rviz or Foxglove",
    }
    rows = [
        [f'<a href="{name}">{name}</a>', text]
        for name, text in texts.items()
        if (out / name).exists()
    ]
    return "<section><h2>Files</h2>" + table(["file", ""], rows, left_last=True) + "</section>"
