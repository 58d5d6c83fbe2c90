"""Forty bags by one process, by two that are killed again and again, and by Ray: minutes.

MAFS_FLEET_FORTY=1 .venv/bin/python -m pytest test/commands/fleet/test_fleet_forty.py -s
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import cv2
import pytest
from fleet_bags import (
    START,
    STEP,
    arguments,
    kill_workers,
    records,
    same_report,
    start,
    workers_at_work,
    write_fleet_of,
)

from mafs_ros.bags.writer import BagWriter
from mafs_ros.cli import main

BAGS, REAL, KILLS = 40, 18, 5
HEIGHT, WIDTH, FRAMES = 64, 96, 6

pytestmark = [
    pytest.mark.skipif(
        "MAFS_FLEET_FORTY" not in os.environ,
        reason="takes minutes; test_fleet.py does it with seven bags (MAFS_FLEET_FORTY=1)",
    ),
    pytest.mark.timeout(3000),
]


def write_real_drives(folder: Path, data: Path) -> None:
    """Bags of consecutive real pairs, made small."""
    pairs = sorted((data / "street_rgbt" / "train" / "vi").iterdir())
    for number in range(REAL):
        with BagWriter(folder / f"real_{number:02d}") as writer:
            for index, path in enumerate(pairs[number * FRAMES : (number + 1) * FRAMES]):
                stamp = START + number * 10**9 + index * STEP
                thermal = path.parents[1] / "ir" / path.name
                rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
                grey = cv2.imread(str(thermal), cv2.IMREAD_GRAYSCALE)
                writer.write_image("/rgb/image", small(rgb), stamp, "rgb")
                writer.write_image("/thermal/image", small(grey), stamp, "thermal")


def small(image):
    return cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def forty(tmp_path_factory, shared_data: Path) -> tuple[Path, Path]:
    """The bags, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("forty")
    write_fleet_of(folder, BAGS - REAL)
    write_real_drives(folder / "bags", shared_data)
    begun = time.monotonic()
    assert main(arguments(folder, folder / "serial", "--jobs", 1, labels=False)) == 1
    print(f"\none process: {time.monotonic() - begun:.0f} s")
    assert len(records(folder / "serial")) == BAGS
    return folder, folder / "serial"


def test_two_processes_killed_five_times_and_a_killed_driver(forty) -> None:
    folder, serial = forty
    out = folder / "two"
    command = arguments(folder, out, "--jobs", 2, labels=False)
    program = start(command)
    killed = kill_workers(out, KILLS, lambda: program.poll() is None, set())
    while len(records(out)) < BAGS // 2:
        assert program.poll() is None
        time.sleep(0.01)
    program.send_signal(signal.SIGKILL)
    first = program.communicate()[1]
    done, dead = records(out), workers_at_work(out)
    program = start(command)
    killed_again = kill_workers(out, KILLS, lambda: program.poll() is None, dead)
    second = program.communicate()[1]
    lost = (first + second).count("was lost by SIGKILL")
    print(f"killed {killed} and {killed_again} of the processes; {lost} in the middle of a bag")
    assert program.returncode == 1 and killed == killed_again == KILLS and lost >= KILLS
    assert done.items() <= records(out).items() and len(records(out)) == BAGS
    assert f"{len(done)} of them done already" in second
    assert second.count("mafs fleet: [") == BAGS - len(done)
    assert same_report(serial, out)
    begun = time.monotonic()
    program = start(command)
    program.communicate()
    seconds = time.monotonic() - begun
    print(f"nothing to do: {seconds:.1f} s")
    assert seconds < 10 and same_report(serial, out)


def test_ray_with_two_workers_killed_five_times(forty, monkeypatch, capsys) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80 << 20)
    folder, serial = forty
    out, ended, killed = folder / "ray", threading.Event(), []
    killer = threading.Thread(
        target=lambda: killed.append(kill_workers(out, KILLS, lambda: not ended.is_set(), set()))
    )
    killer.start()
    begun = time.monotonic()
    try:
        code = main(arguments(folder, out, "--ray", "auto", "--memory", "0.5", labels=False))
    finally:
        ended.set()
        killer.join()
        ray.shutdown()
    said = capsys.readouterr().err
    with capsys.disabled():
        print(f"\nRay: {time.monotonic() - begun:.0f} s, killed {killed[0]} workers")
    assert code == 1 and killed == [KILLS]
    assert said.count("its process was lost: ") >= 1 and said.count("mafs fleet: [") == BAGS
    assert same_report(serial, out)
