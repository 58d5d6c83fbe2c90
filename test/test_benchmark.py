"""`mafs benchmark`: what it reports, not how fast anything is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mafs_ros.cli import main


def test_reports_every_engine_against_eager(tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert main(["benchmark", "--sizes", "32x64", "--rounds", "2", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert (out / "benchmark.md").read_text() == printed
    report = json.loads((out / "benchmark.json").read_text())
    rows = {row["engine"]: row for row in report["results"]}
    assert set(rows) == {"eager", "openvino", "torch"}
    assert rows["eager"]["ratio_to_eager"] == 1
    for row in rows.values():
        assert row["size"] == "32x64" and row["preset"] == "mafs-lite"
        assert 0 < row["median_ms"] <= row["p95_ms"]
        expected = rows["eager"]["median_ms"] / row["median_ms"]
        assert row["ratio_to_eager"] == pytest.approx(expected)
    assert report["machine"]["threads"] >= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--presets", "huge"], "unknown preset 'huge'"),
        (["--engines", "tensorflow"], "unknown backend 'tensorflow'"),
    ],
)
def test_unknown_names_are_one_line(options: list[str], message: str, capsys) -> None:
    assert main(["benchmark", "--sizes", "32x64", *options]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
