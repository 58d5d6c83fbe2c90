"""`mafs fleet` and a study on a Ray cluster of this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fleet_bags import arguments, kill_workers, records, same_report

from mafs_ros.cli import main
from training.study.on_ray import RayRuns
from training.study.plan import Job


@pytest.fixture(scope="module")
def cluster() -> Iterator[ModuleType]:
    """Two processors of a cluster that ends with these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")  # tests speak to nobody
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        ray = pytest.importorskip("ray", reason="needs Ray: requirements/test.txt")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80 << 20,
            log_to_driver=False,
            logging_level="ERROR",
        )
        yield ray
        ray.shutdown()


def test_ray_with_a_killed_worker_gives_the_same_report(
    cluster: ModuleType, fleet: Path, serial: Path, tmp_path: Path, capsys
) -> None:
    out, ended, killed = tmp_path / "out", threading.Event(), []

    def kill() -> None:
        killed.append(kill_workers(out, 1, lambda: not ended.is_set(), set()))

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        code = main(arguments(fleet, out, "--ray", "auto", "--memory", "0.5"))
    finally:
        ended.set()
        killer.join()
    said = capsys.readouterr().err
    assert code == 1 and killed == [1]
    assert "7 bags; 2 at a time" in said
    assert said.count("its process was lost: ") == 1
    assert same_report(serial, out) and len(records(out)) == 7


# Ends at its second run, which finds what the first one left; the first is killed in the middle.
TRAINING = """
import os, pathlib, signal, sys
left = pathlib.Path(sys.argv[1], "checkpoint")
if not left.exists():
    left.write_text(str(os.getpid()))
    os.kill(os.getppid(), signal.SIGKILL)  # the worker of Ray
    signal.pause()
print("error: the checkpoint is of", left.read_text())
sys.exit(int(sys.argv[2]))
"""


def job(folder: Path, code: int) -> Job:
    command = (sys.executable, "-c", TRAINING, str(folder), str(code))
    return Job(f"run {code}", "stage2", "row", 0, command, folder, (), {})


def test_a_run_of_a_study_whose_worker_is_lost_goes_on(cluster, tmp_path: Path, capsys) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "1").mkdir()
    with RayRuns("auto", cpus=1, gpus=0) as runs:
        assert runs.count == 2
        futures = [runs.submit(job(tmp_path / str(code), code)) for code in (0, 1)]
        results = [future.result(200) for future in futures]
    first = [(tmp_path / str(code) / "checkpoint").read_text() for code in (0, 1)]
    assert results == [None, f"the checkpoint is of {first[1]}"]
    assert capsys.readouterr().err.count("was lost, and goes on from its last checkpoint") == 2
    for process in first:  # it ended with its worker, and writes beside nobody
        stat = Path("/proc", process, "stat")
        assert not stat.exists() or stat.read_text().split()[2] == "Z"


def test_no_cluster_is_said(cluster, fleet, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(cluster, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster, "init", refuse)
    assert main(arguments(fleet, tmp_path, "--ray", "192.0.2.1:6379")) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "--ray 192.0.2.1:6379: no cluster answers (nobody there); `ray start --head`" in said


def refuse(**options: object) -> None:
    raise ConnectionError("nobody there")


def test_signals_are_those_of_this_process() -> None:
    """Ray takes none over, which the other tests of this process would notice."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
