"""`mafs fleet` by processes of this machine: what is merged, skipped, repeated and lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from fleet_bags import (
    arguments,
    kill_workers,
    records,
    same_report,
    start,
    workers_at_work,
    write_drive,
)

from mafs_ros.cli import main
from mafs_ros.commands.fleet import drive
from mafs_ros.commands.fleet.drive import run_tasks
from mafs_ros.commands.fleet.plan import plan
from mafs_ros.commands.fleet.sources import find_bags
from mafs_ros.commands.fleet.task import ERROR, Outcome, perform


def report_of(out: Path) -> dict:
    return json.loads((out / "fleet.json").read_text())


def test_each_bag_is_there_and_the_copy_counts_once(fleet: Path, serial: Path) -> None:
    report = report_of(serial)
    assert report["bags"] == {
        "complete": 3,
        "partial": 1,
        "failed": 2,
        "error": 0,
        "duplicate": 1,
    }
    rows = {Path(row["bag"]).name: row for row in report["drives"]}
    assert list(rows) == sorted(rows) and len(rows) == 7
    assert "File magic is invalid" in rows["unreadable.mcap"]["reason"]
    assert rows["drive_01"]["status"] != "complete" and rows["drive_01"]["reason"]
    assert rows["same_as_drive_00"]["reason"] == (
        f"the same recording as {fleet / 'bags' / 'drive_00'}"
    )
    counted = [row for row in rows.values() if row["evaluated"]]
    assert report["all"]["evaluated"] == sum(row["evaluated"] for row in counted)
    assert rows["drive_03"]["light"] == "night" and rows["drive_00"]["light"] == "day"
    assert rows["drive_00"]["rgb_dropped"] == 1
    assert rows["drive_00"]["age_ms"] == pytest.approx(3.0)
    assert rows["drive_03"]["date"] == "2023-11-15"


def test_the_numbers_are_those_of_replay(fleet: Path, serial: Path, tmp_path: Path) -> None:
    command = arguments(fleet, tmp_path, "-p", "threads:=1")
    command[:2] = ["replay", str(fleet / "bags" / "drive_00")]
    assert main(command) == 0
    alone = json.loads((tmp_path / "report.json").read_text())
    row = next(row for row in report_of(serial)["drives"] if row["bag"].endswith("drive_00"))
    for metric, value in alone["fusion"]["mean"].items():
        assert row[metric] == pytest.approx(value, abs=1e-12)
    for name, value in alone["segmentation"]["iou_percent"].items():
        assert row[f"iou_{name}"] == value
    own = json.loads((serial / row["report"]).with_name("report.json").read_text())
    assert own == alone


def test_what_is_done_is_skipped_and_again_is_not(
    fleet: Path, serial: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, page = records(serial), (serial / "fleet.html").read_bytes()
    assert main(arguments(fleet, serial)) == 1
    assert records(serial) == before and (serial / "fleet.html").read_bytes() == page
    assert "at a time" not in capsys.readouterr().err
    command = arguments(fleet, tmp_path / "out", "--jobs", 1)
    command[1] = str(fleet / "bags" / "unreadable.mcap")  # for which no network is loaded
    assert main(command) == 1
    (first,) = records(tmp_path / "out").items()
    assert main([*command, "--again"]) == 1
    (second,) = records(tmp_path / "out").items()
    assert first[0] == second[0] and first[1] < second[1]


def test_a_killed_worker_and_a_killed_driver_lose_nothing_that_was_done(
    fleet: Path, serial: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    program = start(arguments(fleet, out, "--jobs", 2))
    while len(records(out)) < 2:
        assert program.poll() is None
        time.sleep(0.005)
    program.send_signal(signal.SIGKILL)
    program.communicate()
    done, dead = records(out), workers_at_work(out)
    program = start(arguments(fleet, out, "--jobs", 2))
    killed = kill_workers(out, 1, lambda: program.poll() is None, dead)
    said = program.communicate()[1]
    assert killed == 1 and program.returncode == 1
    lost = [line for line in said.splitlines() if "was lost by SIGKILL (out of memory?)" in line]
    assert len(lost) == 1 and "again in 1 s" in lost[0]
    assert same_report(serial, out)
    assert done.items() <= records(out).items()  # not evaluated twice
    ended = [line for line in said.splitlines() if line.startswith("mafs fleet: [")]
    assert len(ended) + int(said.split(" of them done already")[0].split()[-1]) == 7
    assert not (out / ".work").exists()


def test_a_bag_that_is_gone_is_said_and_tried_again(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        monkeypatch.setenv(name, "1")  # which `perform` sets
    (tmp_path / "bags").mkdir()
    bag = Path(shutil.copy2(fleet / "bags" / "unreadable.mcap", tmp_path / "bags"))
    (task,) = tasks_of(fleet, tmp_path)
    moved = bag.rename(tmp_path / "elsewhere")
    outcome = perform(task)
    assert outcome.kind == "error" and "there is no such bag any more" in outcome.text
    drive.keep_error(task, outcome, 1)
    moved.rename(bag)
    command = arguments(fleet, tmp_path / "out", "--jobs", 1)
    command[1] = str(tmp_path / "bags")
    assert (task.folder / ERROR).exists()
    assert main(command) == 1
    assert records(tmp_path / "out") and not (task.folder / ERROR).exists()


def tasks_of(fleet: Path, folder: Path) -> list:
    """The tasks of the bags in a folder, whose results go beside it."""
    from mafs_ros.cli import make_parser
    from mafs_ros.commands.replay.options import options_from
    from mafs_ros.parameters.file import read_values

    args = make_parser().parse_args(arguments(fleet, folder / "out"))
    bags = find_bags([str(folder / "bags")])
    return plan(bags, options_from(args), read_values(None, []), 1)


class Scripted:
    """Workers whose outcomes are given, by name of the bag."""

    count = 2

    def __init__(self, outcomes: dict[str, list[Outcome]]) -> None:
        self.outcomes, self.running = outcomes, []

    def room(self) -> int:
        return self.count - len(self.running)

    def submit(self, task) -> None:
        self.running.append(task)

    def finished(self, timeout):
        task = self.running.pop(0) if self.running else None
        return [(task, self.outcomes[task.source.name].pop(0))] if task else []


def test_only_what_may_pass_is_tried_again(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(drive, "FIRST_PAUSE_S", 0.001)
    for name in ("ends", "error", "lost", "slow"):
        write_drive(tmp_path / "bags" / name, 8, 1)
    outcomes = {
        "ends": [Outcome("done", "complete")],
        "error": [Outcome("error", "no such weights")],
        "lost": [Outcome("lost", "killed")] * drive.ATTEMPTS,
        "slow": [Outcome("unreachable", "no answer")] * 2 + [Outcome("done", "complete")],
    }
    tasks = tasks_of(fleet, tmp_path)
    run_tasks(tasks, Scripted(outcomes), len(tasks))
    assert not any(outcomes.values())
    errors = {
        task.source.name: json.loads((task.folder / ERROR).read_text())["error"]
        for task in tasks
        if (task.folder / ERROR).exists()
    }
    assert errors == {
        "error": "no such weights",
        "lost": f"given up after {drive.ATTEMPTS} attempts: killed",
    }
    pauses = [line.rpartition(" in ")[2] for line in capsys.readouterr().err.splitlines()
              if line.startswith("mafs fleet: lost: killed; again")]  # fmt: skip
    assert pauses == ["0.001 s", "0.002 s", "0.004 s", "0.008 s", "0.016 s"]


def test_two_programs_do_not_share_a_folder(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mafs_ros.base.lock import locked

    with locked(tmp_path, "mafs fleet"):
        assert main(arguments(fleet, tmp_path)) == 1
    said = capsys.readouterr().err
    assert "mafs fleet, or a process that one left behind" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--jobs", "0"], "--jobs: got 0, expected 1 or more"),
        (["--memory", "0"], "--memory: got 0, expected more than 0"),
        (["--every", "0"], "--every: got 0, expected 1 or more"),
    ],
)
def test_options_that_mean_nothing_are_refused(fleet, tmp_path, capsys, options, said) -> None:
    with pytest.raises(SystemExit):
        main(arguments(fleet, tmp_path, *options))
    assert said in capsys.readouterr().err
    assert os.listdir(tmp_path) == []
