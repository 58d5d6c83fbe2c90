"""`mafs replay` and Ctrl-C: a report of what was evaluated until then."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

from replay_bag import replay, write_bag

from mafs_ros.bags import reader
from mafs_ros.commands.replay.candidates import Candidate


def test_interrupted_replay_reports_what_it_has(tmp_path, frames, monkeypatch):
    calls = []

    def perceive(self, *images):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return undisturbed(self, *images)

    undisturbed = Candidate.perceive
    monkeypatch.setattr(Candidate, "perceive", perceive)
    bag = write_bag(tmp_path / "bag", frames)
    code, report = replay(bag, tmp_path / "out")
    assert (code, report["status"], report["frames"]["evaluated"]) == (130, "partial", 2)
    assert report["pairing"]["rgb"]["received"] == 3
    assert report["problems"][0].startswith("interrupted")
    with reader.Bag(tmp_path / "out" / "output.mcap") as bag:
        assert len(list(bag.messages(["/mafs/fused/image"]))) == 2


def test_two_interrupts_leave_a_report(tmp_path, frames):
    """As from Ctrl-C under ros2 launch: the terminal sends one, launch another."""
    bag, out = write_bag(tmp_path / "bag", frames * 20), tmp_path / "out"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mafs_ros.cli",
            "replay",
            str(bag),
            "--out",
            str(out),
            "--backend",
            "torch",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (out / "frames.csv").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    report = json.loads((out / "report.json").read_text())
    assert (process.returncode, report["problems"][0][:11]) == (130, "interrupted"), said
    assert report["frames"]["evaluated"] < 120
    assert (out / "report.html").exists()
