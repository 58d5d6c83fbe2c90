"""The merged report: sums, comparisons over drives, memory, the page in a browser."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import Browser

from mafs_ros.commands.fleet.report.merge import merge, numbers_of
from mafs_ros.commands.fleet.report.write import write_fleet
from mafs_ros.commands.fleet.sources import BagFile, BagSource
from mafs_ros.commands.fleet.task import RECORD, Task
from mafs_ros.commands.replay.options import Options
from mafs_ros.evaluation.metrics import FUSION_METRICS
from mafs_ros.evaluation.significance import pooled_difference
from mafs_ros.parameters.file import read_values

ROOT = Path(__file__).resolve().parents[3]
CLASSES = ["background", "car"]
OPTIONS = Options(
    Path(), Path(), "", "", None, None, None, "torch", "auto", "", 1, False, False, 1.0, False
)


def candidate(score: float, frames: int, matrix: list[list[int]]) -> dict:
    return {
        "fusion": {name: [score * frames, frames] for name in FUSION_METRICS},
        "confusion": matrix,
    }


def write_record(folder: Path, number: int, frames: int, *scores: float) -> Task:
    """A result with these means of each metric, and what belongs to it."""
    url = f"/drives/drive_{number:04d}"
    images = dict.fromkeys(
        ("paired", "unpaired_overflow", "duplicate", "late", "cleared", "pending"), 0
    )
    images |= {"received": frames + 1, "unpaired_slop": 1}
    engine = {"description": "an engine", "weights_sha256": "0" * 64, "classes": CLASSES}
    distribution = dict.fromkeys(("min", "p5", "median", "p95", "max", "mean"), 10.0 + number % 90)
    pair = {
        "pair": "",
        "status": "complete",
        "problems": [],
        "warnings": [],
        "frames": {"evaluated": frames, "bad_image": 0, "failed": 0, "labelled": frames},
        "begin_ns": (1_700_000_000 + 86_400 * (number % 5)) * 10**9,
        "duration_s": frames / 10,
        "light": "night" if number % 2 else "day",
        **dict.fromkeys(("brightness", "age_ms", "registration_px"), distribution),
        "pairing": {"pairs": frames, "offset_ms": distribution, "rgb": images, "thermal": images},
        "engines": [engine] * len(scores),
        "candidates": [
            candidate(score, frames, [[90 * frames, 0], [5, round(score * 10)]])
            for score in scores
        ],
        "worst": None,
    }
    record = {"schema": 1, "key": str(number), "url": url, "bytes": 1, "content": str(number),
              "pairs": [pair]}  # fmt: skip
    task = Task(
        BagSource(url, (BagFile("", 1, ""),)), str(number), folder / "bags" / str(number), OPTIONS,
        {}, 1,
    )  # fmt: skip
    task.folder.mkdir(parents=True)
    (task.folder / RECORD).write_text(json.dumps(record))
    return task


def test_sums_are_over_frames_and_not_over_drives(tmp_path: Path) -> None:
    tasks = [write_record(tmp_path, 0, 1, 0.2), write_record(tmp_path, 1, 3, 0.6)]
    report = numbers_of(merge(tasks), {})
    assert report["all"]["fusion"]["Qabf"] == pytest.approx(0.5)
    assert report["by_light"]["night"]["fusion"]["Qabf"] == pytest.approx(0.6)
    assert list(report["by_date"]) == ["2023-11-14", "2023-11-15"]
    assert report["all"]["drops"] == {"rgb unpaired_slop": 2, "thermal unpaired_slop": 2}
    car, background = 8 / (8 + 10), 360 / (360 + 10)
    assert report["all"]["segmentation"]["miou_with_background"] == pytest.approx(
        50 * (car + background)
    )
    assert report["compare"] is None
    assert [row["score"] for row in report["worst"]] == sorted(
        row["miou_with_background"] for row in report["drives"]
    )


def test_differences_are_over_drives_and_not_over_frames() -> None:
    """A second that is better in 9 of 10 drives, by as much as it is worse in the tenth."""
    first, second = [(50.0, 100)] * 10, [(52.0, 100)] * 9 + [(32.0, 100)]
    found = pooled_difference(first, second)
    assert found.difference == pytest.approx(0.0) and not found.larger_than_chance
    assert found.low < -0.03 and found.high > 0.015  # 1,000 frames would know it to a hundredth
    clear = pooled_difference(first, [(51.0 + 0.1 * i, 100) for i in range(10)])
    assert clear.larger_than_chance and clear.low > 0.01
    unequal = pooled_difference([(1.0, 1), (0.0, 3)], [(2.0, 1), (0.0, 3)])
    assert unequal.first == pytest.approx(0.25) and unequal.difference == pytest.approx(0.25)
    assert pooled_difference([(0.0, 0)], [(0.0, 0)]).difference is None
    assert pooled_difference([], []).frames == 0


def write(out: Path, tasks: list[Task]) -> dict:
    return write_fleet(out, tasks, OPTIONS, read_values(None, []), 1)


def test_a_comparison_is_in_all_three_files(tmp_path: Path) -> None:
    tasks = [write_record(tmp_path, n, 4, 0.2, 0.3 + 0.01 * n) for n in range(6)]
    report = write(tmp_path, tasks)
    difference = report["compare"]["differences"]["VIF"]
    assert difference["larger_than_chance"] and difference["difference"] == pytest.approx(0.125)
    assert "larger than chance" in (tmp_path / "fleet.html").read_text()
    rows = list(csv.DictReader((tmp_path / "fleet.csv").open()))
    assert [float(row["b_VIF"]) for row in rows] == pytest.approx(
        [0.3 + 0.01 * n for n in range(6)]
    )


def test_other_engines_on_other_machines_are_said(tmp_path: Path) -> None:
    tasks = [write_record(tmp_path, n, 4, 0.2) for n in range(2)]
    path = tasks[1].folder / RECORD
    path.write_text(path.read_text().replace("an engine", "another engine"))
    assert (
        "2 different engines or weights (an engine; another engine)"
        in (write(tmp_path, tasks)["warnings"][0])
    )


def test_the_docs_name_every_key_and_column(tmp_path: Path) -> None:
    report = write(tmp_path, [write_record(tmp_path, 0, 4, 0.2, 0.3)])
    page = (ROOT / "docs" / "scale.md").read_text()
    for key in (*report, *report["all"]):
        assert f"`{key}`" in page, key
    columns = (tmp_path / "fleet.csv").read_text().splitlines()[0].split(",")
    plain = [c for c in columns if not c.startswith(("b_", "iou_")) and c not in FUSION_METRICS]
    assert [column for column in plain if f"`{column}`" not in page] == []


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    task = write_record(tmp_path, 0, 4, 0.2)
    (task.folder / RECORD).write_text("{")
    with pytest.raises(ValueError, match=f"{task.folder}.*damaged .*; delete its folder"):
        merge([task])


# Peak memory in KiB of a process that merges 20, then 2,000 of what write_record left.
PEAK = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_fleet_report import OPTIONS, BagSource, BagFile, Task, write
out = Path(sys.argv[1])
tasks = [
    Task(BagSource(f"/drives/drive_{n:04d}", (BagFile("", 1, ""),)), str(n),
         out / "bags" / str(n), OPTIONS, {}, 1)
    for n in range(2000)
]
for count in (20, 2000):
    write(out, tasks[:count])
    status = Path("/proc/self/status").read_text()  # ru_maxrss holds what the parent had
    print(status.partition("VmHWM:")[2].split()[0])
"""


def test_two_thousand_results_take_little_memory(tmp_path: Path) -> None:
    for number in range(2000):
        write_record(tmp_path, number, 100, 0.2 + number % 7 / 10, 0.3)
    paths = [str(Path(__file__).parent), str(ROOT / "test")]
    command = [sys.executable, "-c", PEAK, str(tmp_path), *paths]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    peaks = [int(line) for line in done.stdout.split()]
    print(f"peak memory: {peaks[0] / 1024:.0f} MB for 20, {peaks[1] / 1024:.0f} MB for 2,000")
    assert peaks[1] - peaks[0] < 100 * 1024


SORT = """
document.querySelectorAll("#drives th button")[{column}].click();
[...document.querySelectorAll("#drives tbody tr")].map(line => line.cells[{column}].dataset.value)
"""
FILTER = """
const one = document.querySelector("[data-filter={name}]");
one.value = "{value}";
one.dispatchEvent(new Event("input"));
[...document.querySelectorAll("#drives tbody tr")].filter(line => !line.hidden).length
"""


def evaluate(page: Browser, expression: str):
    return page.call("Runtime.evaluate", expression=f"{{{expression}}}", returnByValue=True)[
        "result"
    ]["value"]


def test_the_page_sorts_and_filters_in_a_browser(tmp_path: Path) -> None:
    tasks = [write_record(tmp_path, n, 4 + n, 0.9 - 0.1 * n) for n in range(6)]
    write(tmp_path, tasks)
    address = (tmp_path / "fleet.html").as_uri()
    with Browser(tmp_path, "--disable-gpu", height=2600) as page:
        page.open(address)
        titles = evaluate(
            page, '[...document.querySelectorAll("#drives th")].map(one => one.textContent)'
        )
        column = titles.index("Qabf")
        ascending = evaluate(page, SORT.format(column=column))
        descending = evaluate(page, SORT.format(column=column))
        night = evaluate(page, FILTER.format(name="light", value="night"))
        one = evaluate(page, FILTER.format(name="text", value="drive_0003"))
        shown = evaluate(page, 'document.getElementById("count").textContent')
        picture = page.screenshot()
    assert not page.errors and page.urls <= {address}
    numbers = [float(value) for value in ascending]
    assert numbers == sorted(numbers) == [float(value) for value in reversed(descending)]
    assert len(set(numbers)) == 6
    assert (night, one, shown) == (3, 1, "1 of 6 shown")
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
