"""`mafs benchmark`: what it reports, not how fast anything is."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import openvino
import pytest
from untrained import FEW, save_untrained

from mafs_ros.cli import main
from mafs_ros.commands.benchmark import peak
from mafs_ros.commands.benchmark.chart import chart
from mafs_ros.commands.benchmark.report import markdown
from mafs_ros.commands.benchmark.worker import BenchmarkError, Job, Worker
from mafs_ros.engine.openvino.precision import compile_options

ROOT = Path(__file__).resolve().parents[3]


def test_reports_every_engine_against_eager(tmp_path: Path, capsys, monkeypatch) -> None:
    """With one thread: PyTorch's wait for each other for seconds where others use the cores."""
    monkeypatch.setattr(peak, "ROUNDS", 1)
    weights = save_untrained(tmp_path / "few.safetensors", **FEW)
    out = tmp_path / "out"
    assert (
        main(
            [
                "benchmark",
                "--weights",
                str(weights),
                "--sizes",
                "64x32",
                "--threads",
                "1",
                "--engines",
                "openvino:fp32",
                "--rounds",
                "2",
                "--cameras",
                "1",
                "2",
                "--profile",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert (out / "performance.md").read_text() == printed
    report = json.loads((out / "benchmark.json").read_text())
    rows = {(row["engine"], row["cameras"]): row for row in report["results"]}
    names = ("eager", "openvino:fp32")
    assert set(rows) == {(name, count) for name in names for count in (1, 2)}
    for (engine, count), row in rows.items():
        assert row["size"] == [32, 64] and row["preset"] == "mafs-lite"
        assert row["rounds"] == 2 <= row["calls"]
        assert 0 < row["median_ms"] <= row["p95_ms"]
        expected = rows["eager", count]["median_ms"] / row["median_ms"]
        assert row["ratio_to_eager"] == pytest.approx(expected)
        assert row["gflops"] == pytest.approx(1000 * row["gflop"] / row["median_ms"])
        assert row["rss_mb"] > 50 and row["start_s"] > 0
        if (engine, count) == ("openvino:fp32", 1):  # converted at first, then read
            assert row["start_s"] < row["first_start_s"]
    assert rows["eager", 2]["gflop"] == 2 * rows["eager", 1]["gflop"] > 0
    assert report["machine"]["threads"] >= 1 and "openvino" in report["machine"]["versions"]
    assert set(report["peak_gflops"]) >= {"fp32"} and min(report["peak_gflops"].values()) > 0
    (profile,) = report["profiles"]
    assert profile["precision"] == "fp32" and profile["plain_ms"] > 0
    assert any(name.startswith("encoder.visible_trunk.stages") for name in profile["modules_ms"])
    assert any(name.startswith("Convolution") for name in profile["kinds_ms"])
    assert main(["benchmark", "--render", str(out / "benchmark.json")]) == 0
    assert capsys.readouterr().out == printed


def a_node_measurement() -> dict[str, Any]:
    steps = {
        "latency": 60.0,
        "age": 61.0,
        "waiting": 0.25,
        "conversion": 0.1,
        "thermal": 0.2,
        "registration": 0.3,
        "engine": 50.0,
        "publishing": 1.0,
    }
    return {
        "input": "a street",
        "pace": "15 Hz",
        "engine": "OpenVINO bf16",
        "frames_out": 899,
        "pairs_in": 900,
        "rate_hz": 15.0,
        "drops": {"failed": 0, "replaced_while_busy": 1},
        "latency_ms": {"median": 60.0, "p95": 70.0},
        "age_ms": {"median": 61.0, "p95": 71.0},
        "engine_ms": {"median": 50.0, "p95": 52.0},
        "overhead_ms": 10.0,
        "node_steps_ms": steps,
        "transport_ms": 8.15,
    }


def a_report() -> dict[str, Any]:
    """Two presets at two sizes, one engine that could not run, and the node."""
    rows = [
        {
            "preset": preset,
            "size": [height, 4 * height // 3],
            "engine": engine,
            "cameras": 1,
            "description": "it",
            "rounds": 3,
            "calls": 3,
            "median_ms": median,
            "p95_ms": 2 * median,
            "ratio_to_eager": 40 / median,
            "gflop": 4.0,
            "gflops": 4000 / median,
            "rss_mb": 300.0,
            "first_start_s": 20.0,
            "start_s": 1.5,
        }
        for preset in ("mafs-lite", "mafs")
        for engine, factor in (("eager", 1.0), ("openvino:bf16", 0.1))
        for height, median in ((240, 40 * factor), (480, 168 * factor))
    ]
    return {
        "machine": {
            "cpu": "A CPU",
            "threads": 2,
            "system": "Linux",
            "load_at_start": 0.1,
            "date": "2026-01-01",
            "versions": {"openvino": "1.2"},
        },
        "peak_gflops": {"fp32": 200.0, "bf16": 400.0},
        "results": rows,
        "skipped": [
            {
                "preset": "mafs",
                "size": [480, 640],
                "engine": "openvino:int8",
                "reason": "nncf is missing",
            }
        ],
        "profiles": [],
        "node": a_node_measurement(),
    }


def test_the_report_says_it_in_words() -> None:
    text = markdown(a_report())
    assert "A CPU, 2 threads" in text and "openvino 1.2" in text and "bf16 400" in text
    assert (
        "| mafs-lite | 640x480 | openvino:bf16 | 16.8 | 33.6 | 2.38 | 238 | 60% | 300 | 20.0 "
        "| 1.5 | 3 |"
    ) in text
    assert "| mafs | eager | 320x240 to 640x480 | 4.00 | 4.20 | +5% |" in text
    assert "- openvino:int8, mafs 640x480: nncf is missing" in text
    assert "899 frames of 900 pairs" in text and "dropped: 1 replaced_while_busy" in text
    assert "| registration | 0.30 |" in text and "and the node to the receiver" not in text
    assert text.index("transport") < text.index("| conversion") < text.index("| publishing")


def drawn(svg: str) -> tuple[list[list[tuple[float, float]]], set[str]]:
    """The lines of a chart as points in SVG pixels, and its texts."""
    root = ElementTree.fromstring(svg)  # noqa: S314 (made here)
    name = "{http://www.w3.org/2000/svg}"
    plot = next(group for group in root.iter(f"{name}g") if group.get("id") == "axes_1")
    lines = []
    for group in plot.findall(f"{name}g"):
        if str(group.get("id")).startswith("line2d"):
            numbers = re.findall(r"[\d.]+", group.findall(f"{name}path")[0].get("d") or "")
            values = [round(float(number), 2) for number in numbers]
            lines.append(list(zip(values[::2], values[1::2], strict=True)))
    return lines, {text.text or "" for text in root.iter(f"{name}text")}


def test_the_chart_shows_sizes_and_times() -> None:
    lines, texts = drawn(chart(a_report()))
    assert len(lines) == 4
    for (x1, y1), (x2, y2) in lines:  # more pixels to the right, more time above
        assert x1 < x2 and y1 > y2
    assert {"320x240", "640x480", "mafs-lite openvino:bf16", "mafs eager"} <= texts


def test_a_chart_of_nothing_is_sound_svg() -> None:
    assert drawn(chart({"results": []}))[0] == []


def test_the_document_is_made_from_its_figures() -> None:
    data = ROOT / "docs" / "benchmark.json"
    if not data.exists():
        pytest.skip("docs/benchmark.json is not there yet: `mafs benchmark --out docs` makes it")
    report = json.loads(data.read_text(encoding="utf-8"))
    assert (ROOT / "docs/performance.md").read_text(encoding="utf-8") == markdown(report)
    shown = (ROOT / "docs/performance.svg").read_text(encoding="utf-8")
    assert drawn(shown) == drawn(chart(report))  # other releases of matplotlib, other bytes


@pytest.mark.parametrize(("int8", "expected"), [(True, "u8"), (False, "f32")])
def test_the_peak_is_measured_in_its_own_precision(int8: bool, expected: str) -> None:
    options = compile_options("fp32", 1, ["fp32"])
    compiled = openvino.Core().compile_model(peak.chain(int8=int8), "CPU", options)

    def info(operation: openvino.Node, name: str) -> str:
        value = operation.get_rt_info()[name]
        return str(getattr(value, "value", value))

    found = [
        info(operation, "runtimePrecision")
        for operation in compiled.get_runtime_model().get_ops()
        if info(operation, "layerType") == "Convolution"
    ]
    assert found == [expected] * peak.LAYERS


def test_a_worker_that_cannot_work_says_why(tmp_path: Path) -> None:
    job = Job("openvino:fp32", str(tmp_path / "missing.safetensors"), 32, 64)
    with pytest.raises(BenchmarkError, match="cannot read model file .*missing"):
        Worker(job)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--presets", "huge"], "unknown preset 'huge'"),
        (["--engines", "tensorflow"], "unknown backend 'tensorflow'"),
        (["--engines", "torch:int4"], "backend 'torch' has no precision 'int4'"),
        (["--rounds", "0"], "--rounds: got 0, expected at least 1"),
        (["--cameras", "0"], "--cameras: got 0, expected at least 1"),
        (["--node", "0"], "--node: got 0, expected 0.1 to 1000 Hz"),
        (["--presets", "mafs:640"], "expected WIDTHxHEIGHT such as 640x480, got '640'"),
        (["--sizes", "640"], "expected WIDTHxHEIGHT such as 640x480"),
    ],
)
def test_wrong_arguments_are_one_line(options, message, capsys, monkeypatch) -> None:
    monkeypatch.setattr(peak, "measure", lambda threads: {})
    try:
        code = main(["benchmark", "--sizes", "64x32", *options])
    except SystemExit as error:
        code = error.code
    assert code in (1, 2)
    error = capsys.readouterr().err
    assert message in error and error.strip().splitlines()[-1].startswith("mafs benchmark")
