"""report.json, report.html and its charts; the page in a real browser, offline."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from test_replay import replay, write_bag

from mafs_ros import report, report_charts
from mafs_ros.simulation import StreetSimulation

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A report with labels, a comparison, an offset that jitters, and images without a partner."""
    folder = tmp_path_factory.mktemp("report")
    street = StreetSimulation(seed=1, height=64, width=96, night=True)
    frames = [street.frame(0.5 * index) for index in range(6)]
    write_bag(folder / 'a <b> & "drive"', frames)
    code, _ = replay(
        folder / 'a <b> & "drive"',
        folder / "out",
        "--labels",
        "/labels/image",
        "--compare",
        "torch",
    )
    assert code == 0
    return folder / "out"


class Collector(HTMLParser):
    """Tags that are open, addresses, and what is left open."""

    VOID = ("meta", "link", "br", "img")

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.headings = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def test_page_is_whole_and_loads_nothing(out):
    text = (out / "report.html").read_text()
    page = Collector()
    page.feed(text)
    assert page.open == []
    assert page.headings == [
        "Segmentation",
        "Fusion",
        "Score over time",
        "Comparison",
        "Pairing",
        "Speed on this machine",
        "Worst frames",
        "Settings",
        "Files",
    ]
    for address in page.addresses:
        assert address.startswith("data:") or (out / address).is_file(), address
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert "Replay of a &lt;b&gt; &amp; &quot;drive&quot;" in text
    assert not re.search(r"\bnan\b", re.sub(r'base64,[^"]*', "", text), re.IGNORECASE)
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)  # noqa: S314 (our own file)


def test_report_follows_its_documented_schema(out):
    """Every key of both files is described, and no key is described that is not there."""
    described = (ROOT / "docs" / "report_schema.md").read_text()
    for name in ("report.json", "timing.json"):
        data = json.loads((out / name).read_text())
        assert data["schema"] == report.SCHEMA
        section = described[described.index(f"## {name}") :]
        section = section[: section.find("\n## ", 3)]
        documented = set(re.findall(r"^\| `([a-z_]+)`", section, re.MULTILINE))
        assert documented == set(data)
    columns = (out / "frames.csv").read_text().splitlines()[0].split(",")
    for column in columns:
        assert f"`{column.removeprefix('b_')}`" in described, column


def test_report_json_is_strict_json(out):
    def refuse(constant):
        raise AssertionError(constant)

    json.loads((out / "report.json").read_text(), parse_constant=refuse)
    json.loads((out / "timing.json").read_text(), parse_constant=refuse)


def test_timing(out):
    timing = json.loads((out / "timing.json").read_text())
    assert timing["pair_rate_hz"] == 10.0
    engine = timing["engines"][0]
    steps = sum(engine["steps_ms"][step]["mean"] for step in report.STEPS)
    assert engine["total_ms"]["mean"] == pytest.approx(steps)
    assert engine["frames_per_second"] == pytest.approx(1000 / steps)
    assert timing["live_estimate"]["pairs"] == 6
    lines = (out / "timing.csv").read_text().splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("frame,conversion_ms,thermal_ms,registration_ms,engine_ms,b_conv")


def test_page_in_a_browser(out, tmp_path):
    """The page without errors or requests, and with charts and pictures that can be seen."""
    address = (out / "report.html").as_uri()
    with Browser(tmp_path, "--disable-gpu", height=4000) as page:
        page.open(address)
        picture = page.screenshot()
    assert not page.errors  # blocked requests among them
    assert page.urls <= {address}
    assert picture.shape == (4000, 1100, 3)
    accent = np.abs(picture.astype(int) - (0xEB, 0x6F, 0x1F)).max(axis=2) < 12
    assert accent.sum() > 500  # lines and bars
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 2000  # photographs


# Parts


def test_thinned_lines_keep_their_peaks():
    y = np.zeros(20_000)
    y[12_345], y[777] = 50.0, -3.0
    x, thin = report_charts.thinned(np.arange(20_000.0), y)
    assert len(x) <= 2 * report_charts.COLUMNS
    assert (thin.max(), thin.min()) == (50.0, -3.0)
    assert x[thin.argmax()] == 12_345
    assert (np.diff(x) > 0).all()


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-0.0007, 0.0), (3.0, 9000.0), (1e-9, 2e-9)]
)
def test_ticks_are_round_and_inside(low, high):
    found = report_charts.ticks(low, high, 5)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in found)


@pytest.mark.parametrize("values", [[5.0], [0.0, 0.0], [1.0, float("nan"), 3.0], [1e9, 1e9 + 1]])
def test_charts_of_odd_values_are_drawn(values):
    xs = [float(index) for index in range(len(values))]
    text = report_charts.line_chart(xs, values, "s", "ms")
    assert "nan" not in text
    ElementTree.fromstring(text)  # noqa: S314
    known = [value for value in values if value == value]
    ElementTree.fromstring(report_charts.histogram(known, "s", "n"))  # noqa: S314
