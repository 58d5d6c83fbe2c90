"""`mafs replay` on bags of real images: scores as `training.evaluate`, live as offline, report.

A few pairs of each set, since the eager engine takes half a second for one.
"""

from __future__ import annotations

import csv
import json
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from browser import Browser

from mafs_ros.base.resources import default_weights
from mafs_ros.cli import main
from mafs_ros.evaluation.metrics import PROTOCOL, SEGMENTATION_PROTOCOL
from training import evaluate
from training.scoring import tables

STREET = slice(0, 42, 11)  # by day and by night
DRONE = slice(0, 6)  # frame 1 has stamps 1 s apart


def make_bag(
    folder: Path, source: Path, kinds: dict[str, str], names: list[str], *options: str
) -> Path:
    """A bag of some images of a data set; kinds: option of `mafs bag make` -> folder."""
    given = []
    for option, kind in kinds.items():
        (folder / kind).mkdir(parents=True)
        for name in names:
            file = next((source / kind).glob(f"{name}.*"))
            (folder / kind / file.name).symlink_to(file)
        given += [option, str(folder / kind)]
    assert main(["bag", "make", *given, *options, str(folder / "drive")]) == 0
    return folder / "drive"


def replay(bag: Path, *options: str):
    out = bag.parent / ("live" if "--live" in options else "offline")
    assert main(["replay", str(bag), "--out", str(out), "--backend", "torch", *options]) == 0
    return out, json.loads((out / "report.json").read_text())


@pytest.fixture(scope="module")
def street(shared_data, tmp_path_factory):
    """A labelled drive; the images lie beside it as a data set."""
    source = shared_data / "street_rgbt" / "test"
    names = sorted(path.stem for path in (source / "vi").iterdir())[STREET]
    folder = tmp_path_factory.mktemp("street") / "test"
    return make_bag(
        folder,
        source,
        {"--rgb": "vi", "--thermal": "ir", "--labels": "label"},
        names,
        "--fps",
        "10",
    )


@pytest.fixture(scope="module")
def drone(shared_data, tmp_path_factory):
    """A drive with the stamps that its cameras wrote, in whole seconds."""
    source = shared_data / "drone_sequence"
    folder = tmp_path_factory.mktemp("drone")
    with open(source / "timestamps.csv", newline="") as file:
        rows = list(csv.DictReader(file))[DRONE]
    lines = ["name,rgb,thermal"]
    for row in rows:
        seconds = [
            round(
                datetime.strptime(row[key], "%Y:%m:%d %H:%M:%S")
                .replace(tzinfo=timezone.utc)
                .timestamp()
            )
            for key in ("stamp_visible", "stamp_thermal")
        ]
        lines.append(f"{int(row['frame']):04d},{seconds[0]},{seconds[1]}")
    (folder / "stamps.csv").write_text("\n".join(lines))
    return make_bag(
        folder,
        source,
        {"--rgb": "vi", "--thermal": "ir"},
        [line[:4] for line in lines[1:]],
        "--stamps",
        str(folder / "stamps.csv"),
    )


LABELS = ("--labels", "/labels/image", "--label-classes", "mfnet")


def test_scores_are_those_of_training_evaluate(street, capsys):
    """To the last digit that it prints."""
    _, report = replay(street, *LABELS)
    capsys.readouterr()
    assert (
        evaluate.main(
            [
                "--weights",
                str(default_weights()),
                "--data",
                f"street_rgbt={street.parents[1]}",
                "--name",
                "ours",
            ]
        )
        == 0
    )
    text = capsys.readouterr().out
    assert report["fusion"]["protocol"] == PROTOCOL and PROTOCOL in text
    assert report["segmentation"]["protocol"] == SEGMENTATION_PROTOCOL
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:1] == "|"]
    fusion, segmentation = (
        dict(zip(head[1:], row[1:], strict=True))
        for head, row in ((cells[0], cells[2]), (cells[3], cells[5]))
    )
    fusion = {name: value for name, value in fusion.items() if name not in tables.SATURATED}
    assert fusion == {
        name: "-" if value is None else f"{value:.4f}"
        for name, value in report["fusion"]["mean"].items()
    }
    expected = report["segmentation"]
    assert segmentation.pop("mIoU") == f"{expected['miou_with_background']:.2f}"
    assert segmentation.pop("mIoU without background") == (
        f"{expected['miou_without_background']:.2f}"
    )
    assert segmentation == {
        name: "-" if value is None else f"{value:.1f}"
        for name, value in expected["iou_percent"].items()
    }


@pytest.mark.parametrize(
    ("drive", "options"),
    [("street", ("--rate", "0.3", *LABELS)), ("drone", ("--rate", "4", "-p", "slop_s:=1.2"))],
)
def test_live_node_agrees_with_offline_and_the_report_opens(
    drive, options, request, tmp_path, demo_domain
):
    pytest.importorskip("rclpy", reason="needs ROS 2")
    out, report = replay(request.getfixturevalue(drive), "--live", *options)
    live = json.loads((out / "timing.json").read_text())["live"]
    assert (
        live["sent"]["rgb"]
        == live["sent"]["thermal"]
        == live["pairs"]
        + sum(count for cause, count in live["drops"].items() if cause.startswith("rgb"))
    )
    assert 1 <= live["published"] == live["same_bytes"] == report["frames"]["evaluated"]
    assert live["different_bytes"] == 0
    assert report["frames"]["labelled"] == (live["published"] if drive == "street" else 0)
    if drive == "drone":
        assert report["pairing"]["offset_ms"]["min"] == -1000.0
    with Browser(tmp_path, "--disable-gpu", height=5000) as page:
        page.open((out / "report.html").as_uri())
        picture = page.screenshot()
    assert not page.errors and not [url for url in page.urls if not url.startswith("file:")]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 5000  # photographs
