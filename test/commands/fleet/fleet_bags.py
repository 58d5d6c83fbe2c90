"""A small fleet of simulated drives, some of them of no use, and `mafs fleet` on it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from untrained import FEW, save_untrained

from mafs_ros.bags.reader import IMAGE, TYPES
from mafs_ros.bags.writer import BagWriter, image_header
from mafs_ros.commands.fleet.task import RECORD, WORK
from mafs_ros.simulation import StreetSimulation

HEIGHT, WIDTH = 48, 64
START, DAY, STEP = 1_700_000_000 * 10**9, 86_400 * 10**9, 10**8
REPORT = ("fleet.json", "fleet.csv", "fleet.html")


def write_drive(path: Path, seed: int, count: int = 3, damaged: bool = False) -> Path:
    """Odd seeds are at night; two drives a day, one image without a partner each.

    damaged: the last thermal image is cut off.
    """
    street = StreetSimulation(seed=seed, height=HEIGHT, width=WIDTH, night=bool(seed % 2))
    start = START + seed // 2 * DAY
    with BagWriter(path) as writer:
        for index in range(count):
            frame, stamp = street.frame(0.5 * index), start + index * STEP
            writer.write_image("/rgb/image", frame.rgb, stamp, "rgb")
            if damaged and index == count - 1:
                writer.write_raw("/thermal/image", IMAGE, cut_off_image(stamp), stamp)
                continue
            writer.write_image("/thermal/image", frame.thermal, stamp + 3_000_000, "thermal")
            writer.write_image("/labels/image", frame.labels, stamp, "rgb")
        writer.write_image("/rgb/image", frame.rgb, start + count * STEP, "rgb")
    return path


def cut_off_image(stamp: int) -> bytes:
    """A message that holds nine bytes of its image."""
    message = TYPES.types[IMAGE](
        header=image_header(stamp, "thermal"),
        height=HEIGHT,
        width=WIDTH,
        encoding="16UC1",
        is_bigendian=0,
        step=2 * WIDTH,
        data=np.zeros(9, np.uint8),
    )
    return bytes(TYPES.serialize_cdr(message, IMAGE))


def write_fleet_of(folder: Path, count: int) -> list[str]:
    """So many bags: two of them damaged, one unreadable, one the copy of another; their names.

    The network is beside them, network.safetensors.
    """
    bags = folder / "bags"
    bags.mkdir(parents=True)
    for number in range(count - 2):
        write_drive(bags / f"drive_{number:02d}", number, damaged=number == 2)
    cut = next((bags / "drive_01").glob("*.mcap"))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 6 // 10])
    (bags / "unreadable.mcap").write_bytes(b"nothing of a bag" * 100)
    shutil.copytree(bags / "drive_00", bags / "same_as_drive_00")
    save_untrained(folder / "network.safetensors", **FEW)
    return sorted(path.name for path in bags.iterdir())


def arguments(folder: Path, out: Path, *options: object, labels: bool = True) -> list[str]:
    """Of `mafs`, for the bags of `write_fleet_of`."""
    return [
        *("fleet", str(folder / "bags"), "--out", str(out), "--backend", "torch"),
        *("--weights", str(folder / "network.safetensors")),
        *(("--labels", "/labels/image") if labels else ()),
        *map(str, options),
    ]


def start(command: list[str]) -> subprocess.Popen[str]:
    """`mafs` as a program."""
    return subprocess.Popen(
        [sys.executable, "-m", "mafs_ros.cli", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def same_report(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in REPORT)


def records(out: Path) -> dict[str, int]:
    """The folders of results that are there, and when each was written, in ns."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob(f"bags/*/{RECORD}")}


def workers_at_work(out: Path) -> set[int]:
    """The processes that have begun a bag and not ended it, dead ones too."""
    found = (re.search(r"\.(\d+)$", path.name) for path in (out / WORK).glob("*"))
    return {int(match[1]) for match in found if match}


def kill_workers(out: Path, times: int, running, but: set[int]) -> int:
    """SIGKILL processes in the middle of a bag, another each time; how many.

    running: whether the program still runs; but: processes of earlier ones.
    """
    killed: set[int] = set()
    while len(killed) < times and running():
        for process in list(workers_at_work(out) - killed - but)[:1]:
            os.kill(process, signal.SIGKILL)
            killed.add(process)
        time.sleep(0.002)  # a poll, which nothing hangs on
    return len(killed)
