"""The trainer's speed: what measures it, and the memory that it keeps."""

from __future__ import annotations

import re
import subprocess
import sys

from training import throughput

TINY = [
    "train=[{kind: simulation, count: 4}]",
    "imagenet=null",
    "augmentation.crop=64",
    "stage2.optimisation.batch=2",
    "stage2.distillation=none",
    "workers=0",
]


def test_both_loops_are_timed(capfd) -> None:
    arguments = ["--recipe", "street_lite", "--rounds", "2", "--steps", "1", "--set", *TINY]
    assert throughput.main(arguments) == 0
    lines = capfd.readouterr().out.splitlines()
    rates = [re.match(r"(\w+) +([\d.]+) images/s, [\d.]+ times the plain loop", x) for x in lines]
    assert [rate and rate[1] for rate in rates] == ["plain", "trainer"]
    assert all(rate and float(rate[2]) > 0 for rate in rates)


def test_what_cannot_be_measured_is_one_line(capfd) -> None:
    arguments = ["--recipe", "street_lite", "--set", "stage2.distillation=none"]
    assert throughput.main(arguments) == 1
    assert "give --data street_rgbt=DIR" in capfd.readouterr().err


PROGRAM = """
import resource, sys, torch
from torch import nn
from mafs_ros.base.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
layers = [nn.Conv2d(32, 32, 1), nn.BatchNorm2d(32), nn.ReLU()]
network, images = nn.Sequential(*layers * 4), torch.rand(8, 32, 128, 128)
faults = []
for _ in range(16):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    network(images).sum().backward()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(sum(faults[4:]))
"""


def page_faults(how: str) -> int:
    """Faults of twelve training steps: now and then one needs room beside what is kept."""
    command = [sys.executable, "-c", PROGRAM, how]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_the_memory_of_freed_tensors_is_kept() -> None:
    assert page_faults("keep") < page_faults("leave") / 4
