"""The report of a replay: report.json, timing.json, timing.csv and report.html.

docs/report_schema.md describes the two JSON files. report.html is one file that loads nothing:
charts are inline SVG, pictures are in it, and its policy forbids requests.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mafs_ros import __version__
from mafs_ros.compare import PROTOCOL as COMPARE_PROTOCOL
from mafs_ros.compare import Difference, block_length, mean_difference, miou_difference
from mafs_ros.files import write_bytes
from mafs_ros.metrics import FUSION_METRICS, PROTOCOL, SEGMENTATION_PROTOCOL, ConfusionMatrix
from mafs_ros.replay import STEPS, live_estimate

if TYPE_CHECKING:
    from mafs_ros.replay import Candidate, Replay

SCHEMA = 1


def write_report(out: Path, replay: Replay) -> dict[str, Any]:
    """Write the four files; returns what report.json holds. Raises OSError."""
    report = _plain(report_of(replay))
    timing = _plain(timing_of(replay))
    write_bytes(out / 'timing.csv', timing_rows(replay).encode())
    for name, content in (('report.json', report), ('timing.json', timing)):
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + '\n'
        write_bytes(out / name, text.encode())
    write_bytes(out / 'report.html', page(replay, report, timing, out).encode())
    return report


def _plain(value: Any) -> Any:
    """The same with plain Python types, and None for what is not a number."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


# report.json ------------------------------------------------------------------------------------


def report_of(replay: Replay) -> dict[str, Any]:
    """What report.json holds: the same for the same bag, settings and machine."""
    evaluated = replay.statuses['ok']
    status = 'complete' if not replay.problems else 'partial' if evaluated else 'failed'
    return {
        'schema': SCHEMA,
        'mafs_ros': __version__,
        'status': status,
        'problems': replay.problems,
        'bag': bag_of(replay),
        'settings': {**replay.settings, 'every': replay.args.every},
        'engines': [engine_of(candidate) for candidate in replay.candidates],
        'pairing': pairing_of(replay),
        'frames': {'evaluated': evaluated, 'bad_image': replay.statuses['bad_image'],
                   'failed': replay.statuses['failed'],
                   'labelled': len(replay.candidates[0].confusions) if replay.candidates else 0},
        'fusion': fusion_of(replay.candidates[0]) if replay.candidates else None,
        'segmentation': segmentation_of(replay.candidates[0]) if replay.candidates else None,
        'compare': compare_of(replay) if len(replay.candidates) == 2 else None,
        'worst_frames': [{'pair': -worst.number, 'rgb_stamp_ns': worst.stamp,
                          'reason': worst.reason} for worst in worst_first(replay)],
    }


def worst_first(replay: Replay) -> list[Any]:
    return sorted(replay.worst, reverse=True)


def bag_of(replay: Replay) -> dict[str, Any]:
    bag: dict[str, Any] = {'path': str(replay.args.bag), 'labels': replay.args.labels}
    for camera, topic in zip(('rgb', 'thermal'), replay.topics or (), strict=False):
        times = replay.times.get(topic.name)
        bag[camera] = {
            'topic': topic.name, 'type': topic.message_type, 'encoding': topic.encoding,
            'height': topic.height, 'width': topic.width, 'frame_id': topic.frame_id,
            'messages': len(times.stamps) if times else 0}
        if times:
            bag[camera].update(rate_hz=times.rate_hz, jitter_ms=times.jitter_ms,
                               longest_gap_s=times.longest_gap_s,
                               backward_stamps=times.backward)
    return bag


def engine_of(candidate: Candidate) -> dict[str, Any]:
    info = candidate.engine.model_info
    return {'name': candidate.name, 'backend': candidate.engine.name,
            'description': candidate.engine.description, 'weights': str(candidate.weights),
            'weights_sha256': hashlib.sha256(candidate.weights.read_bytes()).hexdigest(),
            'preset': info.preset, 'classes': list(candidate.table.names)}


def pairing_of(replay: Replay) -> dict[str, Any]:
    counters = replay.counters
    return {
        'pairs': replay.pairs,
        'offset_ms': distribution(replay.offsets_ms),
        'resets': counters.resets if counters else 0,
        'rgb': asdict(counters.rgb) if counters else None,
        'thermal': asdict(counters.thermal) if counters else None,
    }


def distribution(values: Sequence[float]) -> dict[str, float] | None:
    """Least, 5 %, median, 95 %, greatest and mean; None for no value."""
    if not values:
        return None
    low, p5, median, p95, high = np.percentile(values, (0, 5, 50, 95, 100))
    return {'min': float(low), 'p5': float(p5), 'median': float(median), 'p95': float(p95),
            'max': float(high), 'mean': float(np.mean(values))}


def fusion_of(candidate: Candidate) -> dict[str, Any]:
    return {'protocol': PROTOCOL, 'images': len(candidate.fusion.per_image),
            'mean': candidate.fusion.mean() if candidate.fusion.per_image else
            dict.fromkeys(FUSION_METRICS)}


def segmentation_of(candidate: Candidate) -> dict[str, Any] | None:
    """Scores of one confusion matrix over all labelled frames; None without labels."""
    if candidate.mapper is None:
        return None
    matrix = confusion_of(candidate)
    iou = 100 * matrix.iou()
    return {
        'protocol': SEGMENTATION_PROTOCOL,
        'label_classes': candidate.mapper.source.name,
        'frames': len(candidate.confusions),
        'pixels': int(matrix.matrix.sum()),
        'iou_percent': dict(zip(matrix.class_names, iou.tolist(), strict=True)),
        'miou_with_background': 100 * matrix.miou(),
        'miou_without_background': 100 * matrix.miou(background=False),
        'absent': list(matrix.absent()),
        'confusion': matrix.matrix.tolist(),
    }


def confusion_of(candidate: Candidate) -> ConfusionMatrix:
    matrix = ConfusionMatrix(candidate.table.names, candidate.table.ignore_id)
    for own in candidate.confusions:
        matrix.matrix += own
    return matrix


def compare_of(replay: Replay) -> dict[str, Any]:
    first, second = replay.candidates
    rate = replay.times[replay.topics[0].name].rate_hz if replay.topics and replay.times else 0.0
    block = block_length(replay.statuses['ok'], rate / replay.args.every)
    differences: dict[str, Difference] = {}
    for name in FUSION_METRICS:
        differences[name] = mean_difference(
            [image[name] for image in first.fusion.per_image],
            [image[name] for image in second.fusion.per_image], block)
    comparable = first.table.names == second.table.names
    if first.mapper is not None:
        if comparable:
            a, b = first.confusions, second.confusions
            differences['miou_with_background'] = miou_difference(a, b, block)
            differences['miou_without_background'] = miou_difference(a, b, block, False)
        else:
            replay.problems.append('the class tables of the two differ: their mIoU are not '
                                   'compared')
    return {
        'protocol': COMPARE_PROTOCOL,
        'block_frames': block,
        'differences': {name: {**asdict(one), 'larger_than_chance': one.larger_than_chance}
                        for name, one in differences.items()},
        'agreement_percent': distribution(replay.agreement),
        'fused_difference': distribution(replay.fused_difference),
        'second': {'fusion': fusion_of(second), 'segmentation': segmentation_of(second)},
    }


# timing.json, timing.csv ------------------------------------------------------------------------


def timing_of(replay: Replay) -> dict[str, Any]:
    """Measured times; other at every run."""
    engines = []
    for candidate in replay.candidates:
        totals = [sum(steps.values()) for steps in candidate.timings_ms]
        engines.append({
            'name': candidate.name,
            'steps_ms': {step: distribution([t[step] for t in candidate.timings_ms])
                         for step in STEPS},
            'total_ms': distribution(totals),
            'frames_per_second': 1e3 / float(np.mean(totals)) if totals else None})
    timing: dict[str, Any] = {'schema': SCHEMA, 'engines': engines,
                              'pair_rate_hz': pair_rate_hz(replay), 'live_estimate': None}
    if replay.args.every == 1 and replay.live is None and replay.series.received:
        estimate = live_estimate(replay.series.received, replay.series.total_ms)
        timing['live_estimate'] = {
            'pairs': estimate.pairs, 'dropped_while_busy': estimate.replaced,
            'latency_ms': distribution(estimate.latency_ms)}
    timing['live'] = live_of(replay)
    return timing


def live_of(replay: Replay) -> dict[str, Any] | None:
    live = replay.live
    if live is None:
        return None
    return {**live.numbers, 'latency_ms': distribution(live.latency_ms),
            'age_ms': distribution(live.age_ms), 'same_bytes': replay.same_bytes,
            'different_bytes': len(replay.different)}


def pair_rate_hz(replay: Replay) -> float | None:
    """Pairs a second: 1 / median step between the RGB stamps of successive pairs."""
    steps = np.diff(np.array(replay.paired_stamps, np.int64))
    steps = steps[steps > 0]
    return 1e9 / float(np.median(steps)) if steps.size else None


def timing_rows(replay: Replay) -> str:
    """timing.csv: milliseconds of every step of every evaluated frame."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator='\n')
    rows.writerow(['frame', *('b_' * index + f'{step}_ms'
                              for index in range(len(replay.candidates)) for step in STEPS)])
    timings = [candidate.timings_ms for candidate in replay.candidates]
    for number, frame in enumerate(zip(*timings, strict=True)):
        rows.writerow([number, *(f'{steps[step]:.3f}' for steps in frame for step in STEPS)])
    return text.getvalue()


# report.html ------------------------------------------------------------------------------------

STYLE = '''
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
td.text { text-align: left; overflow-wrap: anywhere; }
.bar { display: inline-block; height: 9px; background: var(--accent); border-radius: 2px; }
.good { color: var(--good); } .bad { color: var(--bad); }
svg { width: 100%; height: auto; display: block; }
svg text { font: 11px system-ui, sans-serif; fill: #5b6675; }
figure { margin: 14px 0 0; } figure img { width: 100%; border-radius: 4px; display: block; }
.frames { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 16px; }
.wide { overflow-x: auto; }
'''

HEAD = '''<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title><style>{style}</style></head><body><main>
'''


def page(replay: Replay, report: dict[str, Any], timing: dict[str, Any], out: Path) -> str:
    """The whole report.html."""
    title = f'Replay of {replay.args.bag.name}'
    parts = [HEAD.format(title=html.escape(title), style=STYLE),
             f'<h1>{html.escape(title)}</h1>', introduction(replay, report),
             problems(report)]
    if report['frames']['evaluated']:
        parts += [tiles(report, timing), segmentation_section(report), fusion_section(report),
                  compare_section(replay, report)]
    parts.append(pairing_section(replay, report))
    if report['frames']['evaluated']:
        parts += [live_section(replay, timing), speed_section(replay, report, timing),
                  worst_section(replay, report)]
    parts += [settings_section(report), files_section(out)]
    return '\n'.join(part for part in parts if part) + '\n</main></body></html>\n'


def introduction(replay: Replay, report: dict[str, Any]) -> str:
    names = ' against '.join(html.escape(engine['name']) for engine in report['engines'])
    cameras = [f'{camera} {report["bag"][camera]["topic"]} ({report["bag"][camera]["encoding"]}, '
               f'{report["bag"][camera]["width"]}x{report["bag"][camera]["height"]})'
               for camera in ('rgb', 'thermal') if camera in report['bag']]
    return (f'<p class="soft">{html.escape(report["bag"]["path"])}<br>'
            f'{html.escape("; ".join(cameras))}<br>{names}; mafs_ros {report["mafs_ros"]}, '
            f'{mode(replay)}</p>')


def mode(replay: Replay) -> str:
    """Which pairs are evaluated, in words."""
    if replay.args.live:
        return 'the pairs that the live node published'
    every = replay.args.every
    return 'offline, every pair' if every == 1 else f'offline, one pair in {every}'


def problems(report: dict[str, Any]) -> str:
    if not report['problems']:
        return ''
    items = ''.join(f'<li>{html.escape(text)}</li>' for text in report['problems'])
    state = {'partial': 'This report is partial', 'failed': 'Nothing could be evaluated'}
    return (f'<section class="problems"><h2>{state[report["status"]]}</h2><ul>{items}</ul>'
            '</section>')


def tile(value: str, what: str, kind: str = '') -> str:
    return f'<div class="tile"><b class="{kind}">{value}</b>{html.escape(what)}</div>'


def tiles(report: dict[str, Any], timing: dict[str, Any]) -> str:
    pairing, frames = report['pairing'], report['frames']
    shown = [tile(f'{pairing["pairs"]} of {pairing["rgb"]["received"]}',
                  'RGB images have a thermal partner'),
             tile(str(frames['evaluated']), 'pairs evaluated')]
    if segmentation := report['segmentation']:
        shown.append(tile(f'{number(segmentation["miou_with_background"], 2)} %',
                          f'mIoU with background, {segmentation["frames"]} frames'))
    shown.append(tile(number(report['fusion']['mean']['Qabf'], 3), 'Qabf of the fused images'))
    engine = timing['engines'][0]
    rate = timing['pair_rate_hz']
    keeps_up = rate is None or engine['frames_per_second'] >= rate
    shown.append(tile(f'{number(engine["frames_per_second"], 1)} / s',
                      f'perceived on this machine; pairs come at {number(rate, 1)} / s',
                      'good' if keeps_up else 'bad'))
    return f'<div class="tiles">{"".join(shown)}</div>'


def segmentation_section(report: dict[str, Any]) -> str:
    first = report['segmentation']
    if not first:
        return ''
    second = (report['compare'] or {}).get('second', {}).get('segmentation')
    both = [first, second] if second else [first]
    rows = []
    for name in dict.fromkeys(name for one in both for name in one['iou_percent']):
        values = [one['iou_percent'].get(name) for one in both]
        bar = '' if second else f'<span class="bar" style="width:{2 * (values[0] or 0):.0f}px">'
        absent = ' (not in the labels)' if name in first['absent'] else ''
        rows.append([html.escape(name) + absent, *(number(v, 2) for v in values),
                     bar + '</span>' * bool(bar)])
    for key, name in (('miou_with_background', 'mIoU with background'),
                      ('miou_without_background', 'mIoU without background')):
        rows.append([f'<b>{name}</b>', *(number(one[key], 2) for one in both), ''])
    head = ['class', *(['first %', 'second %'] if second else ['IoU %']), '']
    return (f'<section><h2>Segmentation</h2>{table(head, rows, left_last=True)}'
            f'<p class="soft">{first["frames"]} labelled frames, {first["pixels"]} pixels, label '
            f'classes {html.escape(first["label_classes"])}. {html.escape(first["protocol"])}</p>'
            '</section>')


def fusion_section(report: dict[str, Any]) -> str:
    fusion = report['fusion']
    means = [fusion['mean']]
    head = ['metric', 'mean']
    if report['compare']:
        means.append(report['compare']['second']['fusion']['mean'])
        head = ['metric', 'first', 'second']
    rows = [[name, *(number(mean[name], 4) for mean in means)] for name in FUSION_METRICS]
    return (f'<section><h2>Fusion</h2>{table(head, rows)}<p class="soft">{fusion["images"]} '
            f'images. {html.escape(fusion["protocol"])}</p></section>')


def compare_section(replay: Replay, report: dict[str, Any]) -> str:
    compare = report['compare']
    if not compare:
        return ''
    rows = []
    for name, one in compare['differences'].items():
        verdict = 'larger than chance' if one['larger_than_chance'] else 'within chance'
        if one['difference'] is None or one['low'] is None:
            verdict = 'too few frames'
        rows.append([html.escape(name), number(one['first'], 4), number(one['second'], 4),
                     number(one['difference'], 4, signed=True),
                     f'{number(one["low"], 4, signed=True)} to '
                     f'{number(one["high"], 4, signed=True)}', str(one['frames']), verdict])
    text = ''
    if agreement := compare['agreement_percent']:
        text += (f'Label maps agree on {number(agreement["mean"], 3)} % of the pixels (worst '
                 f'frame {number(agreement["min"], 3)} %). ')
    if fused := compare['fused_difference']:
        text += (f'Fused images differ by {fused["mean"]:.3g} grey levels in the mean '
                 f'(worst frame {fused["max"]:.3g}). ')
    engines = [html.escape(engine['name']) for engine in report['engines']]
    chart = line_chart(*difference_series(replay), 'seconds', 'second minus first')
    metric = 'mIoU (%)' if report['segmentation'] else 'Qabf'
    return (f'<section><h2>Comparison</h2><p>first: {engines[0]}<br>second: {engines[1]}</p>'
            + table(['metric', 'first', 'second', 'difference', 'interval', 'frames', ''], rows)
            + f'<p>{text}</p><h3>{metric}, difference of each frame</h3>{chart}'
            f'<p class="soft">{html.escape(compare["protocol"])} Blocks of '
            f'{compare["block_frames"]} frames.</p></section>')


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
        for time_s, one, other in zip(replay.series.time_s, first.fusion.per_image,
                                      second.fusion.per_image, strict=True):
            times.append(time_s)
            values.append((other['Qabf'] or 0.0) - (one['Qabf'] or 0.0))
    return times, values


def pairing_section(replay: Replay, report: dict[str, Any]) -> str:
    pairing = report['pairing']
    if not pairing['rgb']:
        return ''
    names = {'received': 'received', 'paired': 'paired',
             'unpaired_slop': 'no partner within the slop',
             'unpaired_overflow': 'queue full before the partner came',
             'duplicate': 'stamp that had been there', 'late': 'out of order',
             'cleared': 'waiting when time went back', 'pending': 'waiting at the end'}
    rows = [[text, str(pairing['rgb'][key]), str(pairing['thermal'][key])]
            for key, text in names.items()]
    offset = pairing['offset_ms']
    text = 'no pairs'
    if offset:
        text = (f'{pairing["pairs"]} pairs; offset of the thermal image: median '
                f'{number(offset["median"], 2)} ms, 5 to 95 %: {number(offset["p5"], 2)} to '
                f'{number(offset["p95"], 2)} ms, {number(offset["min"], 2)} to '
                f'{number(offset["max"], 2)} ms in all (slop '
                f'{1e3 * report["settings"]["slop_s"]:g} ms)')
    charts = ''
    if offset:
        times = pair_times_s(replay)
        charts = ('<h3>Offsets of the pairs</h3>'
                  + histogram(replay.offsets_ms, 'thermal minus RGB stamp, ms', 'pairs')
                  + '<h3>Offset over time</h3>'
                  + line_chart(times, replay.offsets_ms, 'seconds', 'ms'))
    charts += drops_chart(replay)
    return (f'<section><h2>Pairing</h2><p>{text}</p>'
            + table(['images', 'rgb', 'thermal'], rows) + charts + '</section>')


def pair_times_s(replay: Replay) -> list[float]:
    first = replay.paired_stamps[0]
    return [(stamp - first) / 1e9 for stamp in replay.paired_stamps]


def drops_chart(replay: Replay) -> str:
    """RGB images without a partner, over time."""
    assert replay.topics is not None
    stamps = replay.times[replay.topics[0].name].stamps
    lonely = np.setdiff1d(stamps, np.array(replay.paired_stamps, np.int64))
    if not lonely.size:
        return ''
    seconds = (lonely - stamps.min()) / 1e9
    return ('<h3>RGB images without a partner, over time</h3>'
            + histogram(seconds.tolist(), 'seconds', 'images',
                        (0.0, float(stamps.max() - stamps.min()) / 1e9)))


def speed_section(replay: Replay, report: dict[str, Any], timing: dict[str, Any]) -> str:
    rows = []
    for engine in timing['engines']:
        for step, values in (*engine['steps_ms'].items(), ('total', engine['total_ms'])):
            rows.append([f'{step}, {html.escape(engine["name"])}',
                         *(number(values[key], 2) for key in ('median', 'p95', 'max'))])
    text = ''
    if estimate := timing['live_estimate']:
        latency = estimate['latency_ms']
        text = (f'<p>At the recorded times and this speed the live node, which skips pairs while '
                f'it is busy, would drop {estimate["dropped_while_busy"]} of '
                f'{estimate["pairs"]} pairs; latency median {number(latency["median"], 1)} ms, '
                f'95 %: {number(latency["p95"], 1)} ms (estimated, without transport).</p>')
    series = replay.series
    return ('<section><h2>Speed on this machine</h2>'
            + table(['ms a frame', 'median', '95 %', 'max'], rows) + text
            + '<h3>Latency of each frame: conversion and perception</h3>'
            + line_chart(series.time_s, series.total_ms, 'seconds', 'ms', from_zero=True)
            + '<p class="soft">Measured, so other at every run'
            + ('' if replay.live else '; all else in this report is the same for the same bag')
            + '.</p></section>')


def live_section(replay: Replay, timing: dict[str, Any]) -> str:
    """What the live node did; empty for an offline replay."""
    live = timing['live']
    if not live:
        return ''
    text = (f'{live["sent"]["rgb"]} RGB and {live["sent"]["thermal"]} thermal images played at '
            f'{live["rate"]:g} times the recorded speed (at most '
            f'{number(live["player_late_ms"]["max"], 1)} ms late); {live["pairs"]} pairs, '
            f'{live["published"]} published, {number(live["frames_per_second"], 1)} a second. '
            f'{live["same_bytes"]} of them are the same bytes as offline, '
            f'{live["different_bytes"]} are not.')
    rows = [[name, *(number((live[key] or {}).get(q), 1) for q in ('median', 'p95', 'max'))]
            for key, name in (('latency_ms', 'latency: later image sent to fused received'),
                              ('age_ms', 'age: RGB stamp to fused received'))]
    drops = [[html.escape(cause.replace('_', ' ')), str(count)]
             for cause, count in live['drops'].items() if count]
    assert replay.live is not None
    stamps = sorted(replay.live.digests)
    seconds = [(stamp - stamps[0]) / 1e9 for stamp in stamps]
    charts = ('<h3>Latency over time</h3>'
              + line_chart(seconds, replay.live.latency_ms, 'seconds', 'ms', from_zero=True)
              if stamps else '')
    return (f'<section><h2>Live node</h2><p>{text}</p>' + table(['ms', 'median', '95 %', 'max'],
            rows) + '<h3>Drops by cause</h3>'
            + (table(['cause', 'images or pairs'], drops) if drops else '<p>none</p>')
            + charts + '</section>')


def worst_section(replay: Replay, report: dict[str, Any]) -> str:
    if not replay.worst:
        return ''
    figures = []
    for worst in worst_first(replay):
        picture = base64.b64encode(worst.jpeg).decode()
        caption = f'pair {-worst.number}, RGB stamp {worst.stamp} ns: {worst.reason}'
        figures.append(f'<figure><figcaption class="soft">{html.escape(caption)}</figcaption>'
                       f'<img alt="{html.escape(caption)}" '
                       f'src="data:image/jpeg;base64,{picture}"></figure>')
    return ('<section><h2>Worst frames</h2><div class="frames">' + ''.join(figures)
            + '</div></section>')


def settings_section(report: dict[str, Any]) -> str:
    rows = [[html.escape(name), html.escape(json.dumps(value))]
            for name, value in report['settings'].items()]
    for engine in report['engines']:
        rows += [[f'{html.escape(key)}', html.escape(str(engine[key]))]
                 for key in ('description', 'weights', 'weights_sha256', 'preset', 'classes')]
    return ('<section><h2>Settings</h2><div class="wide">'
            + table(['parameter', 'value'], rows, left_last=True) + '</div></section>')


def files_section(out: Path) -> str:
    texts = {'report.json': 'all numbers of this page but the times',
             'frames.csv': 'every evaluated pair', 'timing.json': 'the measured times',
             'timing.csv': 'the measured times of every frame',
             'side_by_side.webm': 'all frames, at 10 a second',
             'output.mcap': 'fused, labels, overlay and class table, for rviz or Foxglove'}
    rows = [[f'<a href="{name}">{name}</a>', text] for name, text in texts.items()
            if (out / name).exists()]
    return '<section><h2>Files</h2>' + table(['file', ''], rows, left_last=True) + '</section>'


# Tables and charts ------------------------------------------------------------------------------


def number(value: float | None, digits: int, signed: bool = False) -> str:
    """A number for people; a dash for none."""
    if value is None:
        return '–'
    if signed:   # of a difference the leading digits count, however small it is
        return f'{value:+.{digits}g}'
    return f'{value:.{digits}f}'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left_last: bool = False) -> str:
    """An HTML table of cells that are HTML already."""
    lines = ['<tr>' + ''.join(f'<th>{name}</th>' for name in head) + '</tr>']
    for row in rows:
        cells = [f'<td>{cell}</td>' for cell in row]
        if left_last:
            cells[-1] = f'<td class="text">{row[-1]}</td>'
        lines.append(f'<tr>{"".join(cells)}</tr>')
    return f'<table>{"".join(lines)}</table>'


WIDTH, HEIGHT = 1000, 190
LEFT, RIGHT, TOP, BOTTOM = 76, 10, 8, 34
COLUMNS = 500   # of a line: more points are drawn as their least and greatest


def line_chart(xs: Sequence[float], ys: Sequence[float], x_name: str, y_name: str,
               from_zero: bool = False) -> str:
    """An inline SVG of y over x, in the order of x."""
    if not xs:
        return '<p class="soft">no values</p>'
    order = np.argsort(xs, kind='stable')
    x, y = np.asarray(xs, float)[order], np.asarray(ys, float)[order]
    known = np.isfinite(y)
    x, y = thinned(x[known], y[known])
    if not x.size:
        return '<p class="soft">no values</p>'
    frame, place_x, place_y = axes((x.min(), x.max()),
                                   (0.0 if from_zero else y.min(), y.max()), x_name, y_name)
    points = ' '.join(f'{place_x(a):.1f},{place_y(b):.1f}' for a, b in zip(x, y, strict=True))
    dots = ''
    if x.size <= 120:
        dots = ''.join(f'<circle cx="{place_x(a):.1f}" cy="{place_y(b):.1f}" r="2" '
                       f'fill="#1f6feb"><title>{a:.3f} s: {b:.3f}</title></circle>'
                       for a, b in zip(x, y, strict=True))
    return (f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{frame}<polyline points="{points}" '
            f'fill="none" stroke="#1f6feb" stroke-width="1.3"/>{dots}</svg>')


def thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most 2 * COLUMNS points that draw the same line: no peak is lost."""
    if len(x) <= 2 * COLUMNS:
        return x, y
    kept = []
    for part in np.array_split(np.arange(len(x)), COLUMNS):
        kept += sorted({int(part[y[part].argmin()]), int(part[y[part].argmax()])})
    return x[kept], y[kept]


def histogram(values: Sequence[float], x_name: str, y_name: str,
              limits: tuple[float, float] | None = None) -> str:
    """An inline SVG of how often values occur."""
    low, high = limits or (min(values), max(values))
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(values, bins=min(60, max(10, len(values) // 4)),
                                 range=(low, high))
    frame, place_x, place_y = axes((low, high), (0.0, float(counts.max())), x_name, y_name)
    bars = ''.join(
        f'<rect x="{place_x(a) + 0.5:.1f}" y="{place_y(count):.1f}" '
        f'width="{max(place_x(b) - place_x(a) - 1, 0.5):.1f}" '
        f'height="{place_y(0) - place_y(count):.1f}" fill="#1f6feb">'
        f'<title>{a:.3f} to {b:.3f}: {count}</title></rect>'
        for count, a, b in zip(counts, edges[:-1], edges[1:], strict=True) if count)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{frame}{bars}</svg>'


def axes(x_range: tuple[float, float], y_range: tuple[float, float], x_name: str,
         y_name: str) -> tuple[str, Any, Any]:
    """Grid, ticks and names as SVG, and the functions from values to places."""
    (x_low, x_high), (y_low, y_high) = (widened(*r) for r in (x_range, y_range))

    def place_x(value: float) -> float:
        return LEFT + (value - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def place_y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for tick in ticks(y_low, y_high, 4):
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place_y(tick):.1f}" '
                     f'y2="{place_y(tick):.1f}" stroke="#e6e9ed"/><text x="{LEFT - 6}" '
                     f'y="{place_y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in ticks(x_low, x_high, 10):
        parts.append(f'<text x="{place_x(tick):.1f}" y="{HEIGHT - BOTTOM + 14}" '
                     f'text-anchor="middle">{tick:g}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 4}" text-anchor="middle">'
                 f'{html.escape(x_name)}</text><text transform="translate(12 {middle}) '
                 f'rotate(-90)" text-anchor="middle">{html.escape(y_name)}</text>')
    return ''.join(parts), place_x, place_y


def widened(low: float, high: float) -> tuple[float, float]:
    """The range, or one around it where it has no width."""
    if high - low > 1e-9 * max(abs(low), abs(high), 1.0):
        return low, high
    return (low - 0.5, high + 0.5) if low else (0.0, 1.0)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers in the range, about `count` of them."""
    step = 10 ** math.floor(math.log10((high - low) / count))
    step = next(step * factor for factor in (1, 2, 5, 10)
                if (high - low) / (step * factor) <= count)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]
