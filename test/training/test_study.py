"""Studies: planning, running and resuming, failing rows, the table's numbers."""

from __future__ import annotations

import csv
import importlib
import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from layouts import make_layout

from mafs_ros.base.lock import locked
from mafs_ros.images.files.read import read_labels
from training.study import __main__, runs
from training.study.logged import error_line
from training.study.plan import Job, Row, Study, load_study, plan
from training.study.processes import LocalProcesses
from training.study.table import student_quantile, summarise, write_tables

STAGES = ("stage1", "teacher", "stage2")


def tiny(**changes: object) -> Study:
    """Two rows of street_lite that take two steps of each stage, and one that cannot start."""
    overrides = [
        *("train=[{kind: street_rgbt}]", "evaluation=[{kind: street_rgbt, split: val}]"),
        *("augmentation.crop=64", "imagenet=null", "workers=0", "cache=false"),
        *("teacher.name=segformer-b0", "teacher.encoder_weights=null"),
        *(f"{stage}.optimisation.{k}=2" for stage in STAGES for k in ("steps", "batch")),
        *(f"{stage}.optimisation.ema=0" for stage in STAGES),
    ]
    rows = (
        Row("equal", ("stage2.balancing=equal", "stage2.balancing_options={}")),
        Row("Broken start", ("imagenet=/nowhere/weights.pth",), stages=("teacher", "stage2")),
        Row("base", paper={"EN": 7.0}),
    )
    return Study(**{"recipe": "street_lite", "base": "base", "rows": rows,
                    "overrides": tuple(overrides), **changes})  # fmt: skip


def in_this_process(ran: list[str], stop_after: int = 1000) -> Callable[[Job], Future]:
    """Runs a job's program at once; the next after `stop_after` is interrupted."""

    def submit(job: Job) -> Future:
        if len(ran) == stop_after:
            raise KeyboardInterrupt
        ran.append(job.name)
        assert job.command[:2] == (sys.executable, "-m")
        code = importlib.import_module(job.command[2]).main(job.command[3:])
        future: Future = Future()
        future.set_result(f"exit code {code}" if code else None)
        return future

    return submit


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny street_rgbt with the labels of the class table street."""
    root = make_layout("street_rgbt", tmp_path_factory.mktemp("street"), size=(64, 96))
    for path in root.glob("*/label/*.png"):
        labels = read_labels(path)
        assert cv2.imwrite(str(path), np.where(labels == 255, 0, labels % 4).astype(np.uint8))
    return root


def test_a_study_is_cut_and_goes_on_and_a_failing_row_stops_no_other(
    street: Path, tmp_path: Path
) -> None:
    jobs = plan(tiny(), range(2), [f"street_rgbt={street}"], tmp_path)
    assert [job.name for job in jobs[:5]] == [
        *("stage1 'base' seed 0", "teacher 'base' seed 0", "stage2 'base' seed 0"),
        *("stage2 'equal' seed 0", "stage2 'Broken start' seed 0"),
    ]
    assert len(jobs) == 10
    first: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        runs.run_study(tiny(), jobs, tmp_path, in_this_process(first, 3), 1)
    assert first == [job.name for job in jobs[:3]]
    assert len(list(tmp_path.glob("*/*/done.json"))) == 3
    second: list[str] = []
    errors = runs.run_study(tiny(), jobs, tmp_path, in_this_process(second), 1)
    assert second == [job.name for job in jobs[3:]]
    assert list(errors) == [job.folder for job in jobs if job.row == "Broken start"]
    third: list[str] = []
    runs.run_study(tiny(), jobs, tmp_path, in_this_process(third), 1)
    assert third == [job.name for job in jobs if job.row == "Broken start"]

    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    values = {(row["model"], row["score"]): row for row in rows}
    markers = [
        json.loads((tmp_path / f"stage2/base-seed{seed}/done.json").read_text()) for seed in (0, 1)
    ]
    entropy = [marker["scores"]["EN"] for marker in markers]
    assert float(values["base", "EN"]["mean"]) == pytest.approx(np.mean(entropy), rel=1e-5)
    assert values["base", "EN"]["paper"] == "7" and values["base", "EN"]["seeds"] == "2"
    assert float(values["equal", "mIoU_teacher"]["mean"]) > 0
    text = (tmp_path / "table.md").read_text()
    assert "scored on street_rgbt val. Runs: equal 2, Broken start 0, base 2." in text
    assert "- stage2 'Broken start' seed 0: exit code 1" in text


def test_rows_share_the_runs_of_equal_settings() -> None:
    jobs = plan(load_study("light"), range(3), ["street_rgbt=DIR"], Path("out"))
    counted = {stage: sum(job.stage == stage for job in jobs) for stage in STAGES}
    assert counted == {"stage1": 6, "teacher": 3, "stage2": 15}
    by_folder = {job.folder: job for job in jobs}
    for job in jobs:
        before = jobs[: jobs.index(job)]
        assert all(by_folder[need] in before for need in job.needs)
        assert all(by_folder[need].seed == job.seed for need in job.needs)
        assert f"seed={job.seed}" in job.command and "--resume" in job.command
    of_row = {job.row: [str(need) for need in job.needs] for job in jobs if job.stage == "stage2"}
    assert of_row == {
        "base": ["out/stage1/base-seed2", "out/teacher/base-seed2"],
        "without stage 1": ["out/teacher/base-seed2"],
        "without distillation": ["out/stage1/base-seed2"],
        "equal weights": ["out/stage1/base-seed2", "out/teacher/base-seed2"],
        "PHF without F3": ["out/stage1/phf-without-f3-seed2", "out/teacher/base-seed2"],
    }


def test_a_row_that_stage_1_cannot_tell_from_another_shares_it() -> None:
    jobs = plan(load_study("table_ix"), range(1), [], Path("out"))
    needs = {job.row: job.needs[0].name for job in jobs if job.stage == "stage2"}
    assert needs["III"] == needs["ours"] == "ours-seed0"  # mst is of the segmentation
    assert needs["II"] == needs["IV"] and len(set(needs.values())) == 8


def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    job = plan(tiny(), range(1), [], tmp_path)[0]
    job.folder.mkdir(parents=True)
    marker = {"seconds": 1, "scores": {}, "settings": job.settings}
    (job.folder / "done.json").write_text(json.dumps(marker))
    assert runs.read_marker(job) == marker
    longer = tiny(overrides=(*tiny().overrides, "stage1.optimisation.steps=3", "workers=1"))
    other = plan(longer, range(1), [], tmp_path)[0]
    message = "done with other settings .*: stage1.optimisation.steps: 2 then, 3 now. Choose"
    with pytest.raises(ValueError, match=message):
        runs.read_marker(other)
    (job.folder / "done.json").write_text("{")
    with pytest.raises(ValueError, match="damaged .*; delete it to train this run on"):
        runs.read_marker(job)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"base": "ours"}, "base is 'ours': expected one of the rows one"),
        ({"rows": [{"name": "one"}, {"name": "ONE"}]}, "need names that make folders of their"),
        ({"stages": ["stage1"]}, "row 'one' lacks stage2"),
        ({"stages": ["stage3"]}, r"stages\[0\] is 'stage3', expected one of stage1, teacher, sta"),
        ({"stages": ["stage1", "stage2"]}, "row 'one' distils, but has no teacher: add teacher"),
        ({"stages": ["teacher", "stage2"]}, "add stage1 to the stages of that row"),
        ({"overrides": ["stage2.balance=equal"]}, "row 'one': .*unknown setting 'stage2.balance'"),
        ({"seeds": 3}, "unknown setting 'study.seeds'; there are recipe, base, rows"),
    ],
)
def test_what_is_wrong_with_a_study_is_said(values: dict, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    rows = {"recipe": "street_lite", "base": "one", "rows": [{"name": "one"}]}
    file.write_text(yaml.safe_dump({**rows, **values}))
    with pytest.raises(ValueError, match=message):
        plan(load_study(file), range(1), [], tmp_path)


def test_an_unknown_study_lists_the_known_ones() -> None:
    with pytest.raises(FileNotFoundError, match="light, table_ix, table_x, table_xi, table_xii"):
        load_study("tabel")


# The scheduler and the processes.


def job_of(tmp_path: Path, name: str, code: str = "", needs: tuple[str, ...] = ()) -> Job:
    command = (sys.executable, "-c", code)
    folders = tuple(tmp_path / need for need in needs)
    return Job(name, "stage2", name, 0, command, tmp_path / name, folders, {})


def test_processes_run_side_by_side_and_their_errors_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    wait_for = "import pathlib, time\nwhile not pathlib.Path({!r}).exists(): time.sleep(0.01)"
    sign = f"import pathlib; pathlib.Path({str(tmp_path / 'sign')!r}).touch()"
    fail = "import sys; print('soft'); sys.exit('error: no such folder')"
    jobs = [
        job_of(tmp_path, "waits", wait_for.format(str(tmp_path / "sign"))),
        job_of(tmp_path, "fails", fail),
        job_of(tmp_path, "after", needs=("fails",)),
        job_of(tmp_path, "later", needs=("after",)),
        job_of(tmp_path, "signs", sign, needs=()),
    ]
    ends: dict[str, str | None] = {}
    with locked(tmp_path, "a study") as lock, LocalProcesses(2, lock) as processes:
        runs.run_jobs(jobs, processes.submit, 2, lambda job, why: ends.update({job.name: why}))
    assert ends == {
        "waits": None,
        "fails": "no such folder",
        "after": f"not run: {tmp_path.name}/fails failed",
        "later": f"not run: {tmp_path.name}/after failed",
        "signs": None,
    }
    assert (tmp_path / "fails" / "log.txt").read_text() == "soft\nerror: no such folder\n"


def test_jobs_share_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for workers, threads in ((1, "8"), (3, "2"), (16, "1")):
        with LocalProcesses(workers, 0) as processes:
            assert processes.environment["OMP_NUM_THREADS"] == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    with LocalProcesses(3, 0) as processes:
        assert processes.environment["OMP_NUM_THREADS"] == "5"


def test_a_stopped_study_ends_its_runs(tmp_path: Path) -> None:
    with locked(tmp_path, "a study") as lock, LocalProcesses(1, lock) as processes:
        future = processes.submit(job_of(tmp_path, "long", "import time; time.sleep(600)"))
    assert future.result(0) == "ended by SIGTERM"
    assert error_line(-9, "") == "ended by SIGKILL (out of memory?)"
    assert error_line(3, "") == "exit code 3"
    assert error_line(1, "Traceback ...\nKeyError: 'x'\n\n") == "KeyError: 'x'"


def test_a_run_that_was_left_behind_keeps_the_folder_locked(tmp_path: Path) -> None:
    with locked(tmp_path, "a study") as lock:
        left = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock]
        )
    with (
        pytest.raises(ValueError, match="a study, or a process that one left behind"),
        locked(tmp_path, "a study"),
    ):
        pass
    left.communicate(b"\n")
    with locked(tmp_path, "a study"):
        pass


def test_the_program_says_what_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole study in one run, whose process finds no data."""
    file, out = tmp_path / "mine.yaml", tmp_path / "out"
    file.write_text(
        "recipe: street_lite\nbase: one\nstages: [stage2]\n"
        "overrides: [stage2.distillation=none, 'train=[{kind: street_rgbt}]']\n"
        "rows: [{name: one}]\n"
    )
    options = ["--data", f"street_rgbt={tmp_path}/nowhere", "--out", str(out), "--seeds", "1"]
    assert __main__.main([str(file), *options]) == 1
    printed = capsys.readouterr()
    assert printed.out == f"{out / 'table.md'}\n"
    lines = printed.err.splitlines()
    assert lines[0] == "1 runs, 0 of them done already"
    assert lines[1].startswith("[1/1] stage2 'one' seed 0: failed: ")
    assert lines[2].startswith("error: 1 of 1 runs failed: stage2 'one' seed 0: ")
    assert "there is no such folder" in lines[2] and len(lines) == 3
    assert "there is no such folder" in (out / "table.md").read_text()
    assert __main__.main([str(file), "--out", str(out), "--seeds", "0"]) == 1


def test_the_time_left_follows_from_the_runs_so_far(tmp_path: Path) -> None:
    jobs = plan(tiny(), range(1), [], tmp_path)
    done = {jobs[0].folder: {"seconds": 40.0}, jobs[1].folder: {"seconds": 80.0}}
    line = runs.progress_line(jobs[1], None, jobs, done, {}, 2)
    assert line == "[2/5] teacher 'base' seed 0: done in 01:20; about 01:30 left"
    line = runs.progress_line(jobs[2], "no", jobs, done, {jobs[2].folder: "no"}, 1)
    assert line == "[3/5] stage2 'base' seed 0: failed: no; about 02:00 left"


# The table.


def test_table_values_are_those_computed_by_hand(tmp_path: Path) -> None:
    """Differences .5, .7, .3: mean .5, deviation .2, half width 4.30265 * .2 / 3^.5 = .49683."""
    rows = (Row("<a> & b", paper={"EN": 6.5}), Row("ours", paper={"EN": 7.0}), Row("once"))
    compared = Study(recipe="street_lite", base="ours", rows=rows, about="By hand")
    results = {
        "ours": {s: {"EN": 1.0 + s, "mIoU": 0.5, "IoU_car": 0.25} for s in range(3)},
        "<a> & b": {s: {"EN": v, "mIoU": 0.51} for s, v in enumerate((1.5, 2.7, 3.3))},
        "once": {2: {"EN": 2.0}},
    }
    cells = summarise(compared, results)
    entropy = cells["<a> & b"]["EN"]
    assert entropy.mean == pytest.approx(2.5)
    assert entropy.deviation == pytest.approx(math.sqrt((1 + 0.04 + 0.64) / 2))
    assert entropy.difference == pytest.approx(0.5)
    assert entropy.half_width == pytest.approx(0.49683, abs=1e-5) and entropy.differs
    assert entropy.paper_difference == pytest.approx(-0.5)
    once = cells["once"]["EN"]  # paired with seed 2 of the base
    assert (once.count, once.difference) == (1, pytest.approx(-1.0))
    assert math.isnan(once.half_width) and math.isnan(once.deviation) and not once.differs
    assert cells["ours"]["EN"].half_width == 0 and "mIoU" not in cells["once"]

    write_tables(tmp_path, compared, results, [])
    lines = (tmp_path / "table.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert table[0] == "| Model |  | EN | SD | SF | VIF | Qabf | AG | mIoU | car |"
    rest = "- | - | - | - | - | 51.00 ± 0.00 | - |"
    assert table[2] == f"| **<a> & b** | mean ± sd | 2.500 ± 0.917 | {rest}"
    assert table[3].startswith("|  | - ours | **+0.500 [+0.003, +0.997]** | - |")
    assert table[4].startswith("|  | paper | 6.5 (-0.5) | - |")
    assert table[6].startswith("|  | paper | 7 | - |") and len(table) == 9
    found = {(r["model"], r["score"]): r for r in csv.DictReader((tmp_path / "table.csv").open())}
    line = ",".join(found["<a> & b", "EN"].values())
    assert line == "<a> & b,EN,3,2.5,0.916515,0.5,0.00317246,0.996828,6.5,-0.5"
    assert found["once", "EN"]["low"] == "" and found["ours", "IoU_car"]["mean"] == "25"
    drawing = ET.parse(tmp_path / "table.svg")  # noqa: S314
    texts = {element.text for element in drawing.iter() if element.tag.endswith("text")}
    assert {"<a> & b", "once", "EN", "mIoU"} <= texts and "ours" not in texts


def test_a_table_before_the_first_result(tmp_path: Path) -> None:
    write_tables(tmp_path, load_study("table_xii"), {}, [])
    assert "| **SegNeXt MSCAN-L** | mean ± sd | - |" in (tmp_path / "table.md").read_text()
    ET.parse(tmp_path / "table.svg")  # noqa: S314


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (30, 2.0423)]
)
def test_quantiles_are_those_of_printed_tables(freedom: int, expected: float) -> None:
    assert student_quantile(freedom) == pytest.approx(expected, abs=5e-5)
