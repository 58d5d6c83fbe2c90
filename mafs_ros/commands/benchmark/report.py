"""What people read of a benchmark: Markdown tables and one chart, made from benchmark.json."""

from __future__ import annotations

from typing import Any

from mafs_ros.base.markdown import table
from mafs_ros.commands.benchmark.rows import by_engine, pixel_count, size

PROFILE_ROWS = 25
# In the order in which they pass; as the demo's summary calls them.
NODE_STEPS = {
    "transport": "transport: from the camera's publication to the node, and from the node to the "
    "receiver",
    "waiting": "waiting: for the worker, after the later image of the pair has arrived",
    "conversion": "conversion of the messages",
    "thermal": "thermal scaling",
    "registration": "registration",
    "engine": "engine",
    "publishing": "publishing",
}
INTRODUCTION = """\
# Performance

Made by `mafs benchmark` from its `benchmark.json`. Each engine ran in a process of its own and had
a turn in each round: half a second without a pause, at least two calls, of which the first, that
found other engines' data in the caches, is not counted. Times are of this machine; ratios to plain
PyTorch (eager, fp32, contiguous tensors) are of the same rounds.
GFLOP/s count 2 per multiply-accumulate of convolutions and matrix products; the peak is that of a
chain of large 3x3 convolutions in OpenVINO. First start: imports, weights, conversion, compilation
and first call with an empty cache; start: with a filled one. Inputs are noise: content does not
change the time. No TensorRT engine has been run on a GPU.
"""


def markdown(report: dict[str, Any]) -> str:
    """The whole report."""
    parts = [
        INTRODUCTION,
        machine(report),
        engines(report),
        cameras(report),
        skipped(report),
        growth(report),
        node(report["node"]),
        *map(profile, report["profiles"]),
    ]
    return "\n".join(part for part in parts if part)


def machine(report: dict[str, Any]) -> str:
    about, peaks = report["machine"], report["peak_gflops"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    best = ", ".join(f"{name} {value:.0f}" for name, value in peaks.items())
    return (
        f"{about['cpu']}, {about['threads']} threads, {about['system']}, {about['date']}; load "
        f"before the start {about['load_at_start']:.2f}. {versions}.\n\n"
        f"Measured peak in GFLOP/s (int8: GOP/s): {best}.\n"
    )


def engines(report: dict[str, Any]) -> str:
    rows = [
        [
            row["preset"],
            size(row),
            row["engine"],
            f"{row['median_ms']:.1f}",
            f"{row['p95_ms']:.1f}",
            f"{row['ratio_to_eager']:.2f}",
            f"{row['gflops']:.0f}",
            share_of_peak(row, report["peak_gflops"]),
            f"{row['rss_mb']:.0f}",
            f"{row['first_start_s']:.1f}",
            f"{row['start_s']:.1f}",
            str(row["calls"]),
        ]
        for row in report["results"]
        if row["cameras"] == 1
    ]
    if not rows:
        return ""
    head = [
        "preset",
        "size",
        "engine",
        "median ms",
        "p95 ms",
        "times eager",
        "GFLOP/s",
        "of peak",
        "RSS MB",
        "first start s",
        "start s",
        "calls",
    ]
    chart = "\n![Median time over image size](performance.svg)\n"
    return f"## Engines\n\n{table(head, rows)}{chart}"


def share_of_peak(row: dict[str, Any], peaks: dict[str, float]) -> str:
    """The part of the measured peak of its own precision that an engine reaches."""
    precision = row["engine"].partition(":")[2] or "fp32"
    return f"{row['gflops'] / peaks[precision]:.0%}" if precision in peaks else "-"


def cameras(report: dict[str, Any]) -> str:
    several = {(row["preset"], size(row)) for row in report["results"] if row["cameras"] > 1}
    if not several:
        return ""
    rows = [
        [
            row["preset"],
            size(row),
            row["engine"],
            str(row["cameras"]),
            f"{row['median_ms']:.1f}",
            f"{row['median_ms'] / row['cameras']:.1f}",
            f"{row['p95_ms']:.1f}",
            f"{row['ratio_to_eager']:.2f}",
        ]
        for row in report["results"]
        if (row["preset"], size(row)) in several
    ]
    head = [
        "preset",
        "size",
        "engine",
        "cameras",
        "median ms",
        "ms a camera",
        "p95 ms",
        "times eager",
    ]
    return f"## Several cameras in one call\n\n{table(head, rows)}"


def skipped(report: dict[str, Any]) -> str:
    lines = [
        f"- {row['engine']}, {row['preset']} {size(row)}: {row['reason']}"
        for row in report["skipped"]
    ]
    return "## Not measured\n\n" + "\n".join(lines) + "\n" if lines else ""


def growth(report: dict[str, Any]) -> str:
    """Time over pixels, both relative to the smallest size of a preset."""
    rows = []
    for (preset, engine), series in by_engine(report).items():
        first = series[0]
        for row in series[1:]:
            pixels = pixel_count(row) / pixel_count(first)
            time = row["median_ms"] / first["median_ms"]
            rows.append(
                [
                    preset,
                    engine,
                    f"{size(first)} to {size(row)}",
                    f"{pixels:.2f}",
                    f"{time:.2f}",
                    f"{time / pixels - 1:+.0%}",
                ]
            )
    if not rows:
        return ""
    head = [
        "preset",
        "engine",
        "from size to size",
        "times the pixels",
        "times the time",
        "time over pixels",
    ]
    return f"## Growth with the image size\n\n{table(head, rows)}"


def node(summary: dict[str, Any] | None) -> str:
    if summary is None:
        return ""
    steps = {"transport": summary["transport_ms"], **summary["node_steps_ms"]}
    rows = [
        [text, f"{steps[name]:.2f}"]
        for name, text in NODE_STEPS.items()
        if steps.get(name) is not None
    ]
    drops = ", ".join(f"{count} {cause}" for cause, count in summary["drops"].items() if count)
    latency, age, engine = summary["latency_ms"], summary["age_ms"], summary["engine_ms"]
    return (
        "## The node, from camera to picture\n\n"
        f"Two simulated cameras, the node and a receiver as four processes over DDS; "
        f"{summary['input']}, {summary['pace']}. Engine: {summary['engine']}.\n\n"
        f"- {summary['frames_out']} frames of {summary['pairs_in']} pairs, "
        f"{summary['rate_hz']:.2f} frames/s; dropped: {drops or 'none'}\n"
        f"- latency (later image published to fused image received): median "
        f"{latency['median']} ms, p95 {latency['p95']} ms\n"
        f"- age (RGB stamp to fused image received): median {age['median']} ms, "
        f"p95 {age['p95']} ms\n"
        f"- engine: median {engine['median']} ms, p95 {engine['p95']} ms; overhead, all but the "
        f"engine: {summary['overhead_ms']} ms (difference of the medians)\n\n"
        + table(["step", "median ms"], rows)
    )


def profile(found: dict[str, Any]) -> str:
    """Of one engine: the slowest modules and the kinds of operations."""
    modules, kinds = found["modules_ms"], found["kinds_ms"]
    total = sum(modules.values())
    shown = list(modules.items())[:PROFILE_ROWS]
    rows = [[name, f"{ms:.2f}", f"{ms / total:.1%}"] for name, ms in shown]
    rest = sum(list(modules.values())[PROFILE_ROWS:])
    if rest:
        rows.append([f"{len(modules) - PROFILE_ROWS} more", f"{rest:.2f}", f"{rest / total:.1%}"])
    kind_rows = [
        [name, f"{ms:.2f}", f"{ms / total:.1%}"] for name, ms in list(kinds.items())[:PROFILE_ROWS]
    ]
    return (
        f"## Profile: {found['preset']} {size(found)}, {found['engine']}\n\n"
        f"{found['plain_ms']:.1f} ms without the counters, {total:.1f} ms as they add up; runs in "
        f"{found['precision']}.\n\n"
        + table(["module", "ms", "share"], rows)
        + "\n"
        + table(["operation (kernel)", "ms", "share"], kind_rows)
    )
