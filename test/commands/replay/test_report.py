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
from replay_bag import replay, write_bag

from mafs_ros.base import charts
from mafs_ros.commands.replay.report.distribution import SCHEMA
from mafs_ros.commands.replay.report.timing import STEPS
from mafs_ros.simulation import StreetSimulation

ROOT = Path(__file__).resolve().parents[3]


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
    """What a page has: tags left open, addresses, ids and links to them, headings and cells."""

    VOID = ("meta", "link", "br", "img")

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.headings, self.cells = [], [], [], []
        self.ids, self.links, self.title = [], [], ""

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.note(attrs)

    def handle_startendtag(self, tag, attrs):
        self.note(attrs)

    def note(self, attrs):
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not value.startswith("#"):
                self.addresses.append(value)
            elif name == "xlink:href":
                self.links.append(value[1:])
            elif name == "id":
                self.ids.append(value)
            self.links += re.findall(r"url\(#(.*?)\)", value or "")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        kind = self.open[-1] if self.open else ""
        if kind == "h2":
            self.headings.append(data)
        elif kind == "title":
            self.title += data
        elif kind == "td":
            self.cells.append(data)


def collected(text):
    page = Collector()
    page.feed(text)
    return page


def test_page_is_whole_and_loads_nothing(out):
    text = (out / "report.html").read_text()
    page = collected(text)
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
    assert page.title == 'Replay of a <b> & "drive"'
    assert len(page.ids) == len(set(page.ids))
    assert page.links and set(page.links) <= set(page.ids)
    assert not re.search(r"\bnan\b", re.sub(r'base64,[^"]*', "", text), re.IGNORECASE)
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)  # noqa: S314 (our own file)


def test_page_shows_the_numbers_of_the_report(out):
    report = json.loads((out / "report.json").read_text())
    timing = json.loads((out / "timing.json").read_text())
    cells = collected((out / "report.html").read_text()).cells
    for name, value in report["fusion"]["mean"].items():
        place = cells.index(name)
        assert cells[place + 1] == ("–" if value is None else f"{value:.4f}")
    for name, value in report["segmentation"]["iou_percent"].items():
        if value is not None:
            assert cells[cells.index(name) + 1] == f"{value:.2f}"
    assert str(report["pairing"]["rgb"]["paired"]) == cells[cells.index("paired") + 1]
    assert f"{timing['engines'][0]['total_ms']['p95']:.2f}" in cells
    assert report["engines"][0]["weights_sha256"] in cells


def test_report_follows_its_documented_schema(out):
    """Every key of both files is described, and no key is described that is not there."""
    described = (ROOT / "docs" / "report_schema.md").read_text()
    for name in ("report.json", "timing.json"):
        data = json.loads((out / name).read_text())
        assert data["schema"] == SCHEMA
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
    steps = sum(engine["steps_ms"][step]["mean"] for step in STEPS)
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


# Charts


def line_of(svg):
    """The points of the longest line that an SVG draws, in its pixels."""
    paths = re.findall(r'<path d="([^"]*)"', svg)
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", max(paths, key=len))]
    return np.array(numbers).reshape(-1, 2)


def test_long_lines_are_thinned_and_keep_their_peaks():
    y = np.zeros(20_000)
    y[12_345], y[777] = 50.0, -3.0
    line = line_of(charts.line_chart(np.arange(20_000.0), y, "s", "ms"))
    assert len(line) <= 2 * charts.COLUMNS
    assert (np.diff(line[:, 0]) >= 0).all()
    place = (line[:, 0] - line[0, 0]) / (line[-1, 0] - line[0, 0])
    assert place[line[:, 1].argmin()] == pytest.approx(12_345 / 20_000, abs=3e-3)
    assert place[line[:, 1].argmax()] == pytest.approx(777 / 20_000, abs=3e-3)


def test_charts_are_the_same_bytes_with_texts_as_text():
    made = [
        (
            charts.line_chart([0.0, 2.0, 1.0], [3.0, 4.0, 1.0], "a & b", "<ms>"),
            charts.histogram([1.0, 2.0, 2.0, 5.0], "a & b", "<ms>"),
        )
        for _ in range(2)
    ]
    assert made[0] == made[1]
    for svg in made[0]:
        root = ElementTree.fromstring(svg)  # noqa: S314 (our own)
        texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
        assert {"a & b", "<ms>", "2"} <= {text.replace(".0", "") for text in texts}


@pytest.mark.parametrize("values", [[5.0], [0.0, 0.0], [1.0, float("nan"), 3.0], [1e9, 1e9 + 1]])
@pytest.mark.filterwarnings("error")
def test_charts_of_odd_values_are_drawn(values):
    xs = [float(index) for index in range(len(values))]
    known = [value for value in values if value == value]
    for text in (
        charts.line_chart(xs, values, "s", "ms"),
        charts.line_chart(xs, values, "s", "ms", from_zero=True),
        charts.histogram(known, "s", "n"),
    ):
        ElementTree.fromstring(text)  # noqa: S314 (our own)
        assert "nan" not in text


def test_no_chart_of_no_values():
    assert charts.line_chart([], [], "s", "ms") is None
    assert charts.line_chart([1.0], [float("nan")], "s", "ms") is None
