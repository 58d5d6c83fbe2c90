"""scripts/gpu_report.py: without a GPU, and with steps that crash, hang or fail."""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from gpu_stand_in import write_site

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
# In place of the steps: each writes a check first, then does as its name says.
STEPS = """
import argparse, json, os, pathlib, signal, sys
parser = argparse.ArgumentParser()
parser.add_argument("step")
for name in ("size", "frames", "scratch", "found"):
    parser.add_argument("--" + name)
args = parser.parse_args()
def tell(check, verdict, end="\\n"):
    with open(args.found, "a") as found:
        found.write(json.dumps({"check": check, "verdict": verdict, "facts": {"n": 1}}) + end)
tell("begun", "pass")
print("what", args.step, "says", flush=True)
if args.step == "crashes":
    tell("cut off", "pass", end="")
    os.kill(os.getpid(), signal.SIGSEGV)
elif args.step == "hangs":
    os.fork()
    signal.pause()
elif args.step == "exits":
    sys.exit(3)
elif args.step == "absent":
    tell("no CUDA device", "absent")
"""


def report_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "gpu_report.json").read_text(encoding="utf-8"))


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with other steps."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec = importlib.util.spec_from_file_location("gpu_report", SCRIPTS / "gpu_report.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_report", module)  # dataclasses look there
    spec.loader.exec_module(module)
    program = tmp_path / "steps.py"
    program.write_text(STEPS)
    monkeypatch.setattr(module, "PROGRAM", program)
    return module


def run(script: ModuleType, monkeypatch, out: Path, *steps: Any, extra: tuple[str, ...] = ()):
    monkeypatch.setattr(script, "STEPS", steps)
    code = script.main(["--out", str(out), *extra])
    return code, report_in(out)["steps"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_ends_and_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPTS / "gpu_report.py", "--out", tmp_path / "report"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "There is no CUDA device here, so nothing was tried." in done.stdout
    machine, *others = report_in(tmp_path / "report")["steps"]
    told = [check["check"] for check in machine["checks"]]
    assert machine["verdict"] == "told" and "no CUDA device" in told
    assert f"torch: {torch.__version__}" in told and "gpu: not here: no NVIDIA driver" in told
    assert len(others) == 12
    for step in others:
        assert [check["check"] for check in step["checks"]] == ["not here: no CUDA device"]
    text = (tmp_path / "report" / "gpu_report.txt").read_text()
    assert all(f"     {step['title']}" in text for step in others)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert not list(SCRIPTS.glob("__pycache__"))


def test_steps_that_crash_hang_or_fail_lose_nothing(script, tmp_path, monkeypatch, capsys):
    code, steps = run(
        script,
        monkeypatch,
        tmp_path,
        script.Step("crashes", "one that crashes", 30),
        script.Step("hangs", "one that hangs", 1),
        script.Step("exits", "one that fails", 30),
        script.Step("works", "one that works", 30),
    )
    assert code == 1
    assert [step["verdict"] for step in steps] == ["fail", "fail", "fail", "pass"]
    ends = ["crashed: SIGSEGV", "not done after 1 s, and ended", "ended with exit code 3", "begun"]
    assert [step["checks"][-1]["check"] for step in steps] == ends
    assert all(step["checks"][0]["check"] == "begun" for step in steps)
    assert "what crashes says" in steps[0]["log"]
    said = capsys.readouterr().out
    assert "FAIL one that hangs" in said and "  PASS begun: n 1" in said
    assert "Failed: crashes, hangs, exits." in said
    assert (tmp_path / "gpu_report.txt").read_text().count("FAIL") == 6


def test_after_no_gpu_was_found_only_what_needs_none_is_run(script, tmp_path, monkeypatch):
    code, steps = run(
        script,
        monkeypatch,
        tmp_path,
        script.Step("absent", "the machine", 30),
        script.Step("works", "one that needs a GPU", 30),
        script.Step("more", "one that needs none", 30, without_gpu=True),
    )
    assert code == 0 and [step["verdict"] for step in steps] == ["pass", "absent", "pass"]


def test_all_of_it_has_a_limit_of_time(script, tmp_path, monkeypatch):
    start = time.monotonic()
    hangs, works = script.Step("hangs", "one that hangs", 600), script.Step("works", "late", 30)
    _, steps = run(script, monkeypatch, tmp_path, hangs, works, extra=("--minutes", "0.03"))
    assert time.monotonic() - start < 60
    assert steps[0]["checks"][-1]["check"] == "not done after 2 s, and ended"
    assert steps[1]["checks"][0]["check"] == "no time left of 0.03 minutes"


@pytest.mark.parametrize("wrong", [["--size", "640"], ["--steps", "nothing"], ["--minutes", "x"]])
def test_wrong_usage_is_refused(script, wrong, capsys):
    with pytest.raises(SystemExit) as end:
        script.main(wrong)
    assert end.value.code == 2 and "error: argument" in capsys.readouterr().err


# On a machine that seems to have a GPU.

ON_GPU = ("tensorrt-fp16", "reload-fp16", "truncated-fp16")


def run_with_stand_ins(folder: Path):
    """The steps that the script ran, with processes that begin with the stand-ins."""
    site = write_site(folder / "site")
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    arguments = ["--out", folder, "--size", "64x32", "--frames", "6", "--steps", *ON_GPU]
    done = subprocess.run(
        [sys.executable, SCRIPTS / "gpu_report.py", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done, {step["name"]: step for step in report_in(folder)["steps"]}


def verdicts(step: dict[str, Any]) -> dict[str, str]:
    return {check["check"]: check["verdict"] for check in step["checks"]}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_its_steps_run_on_a_gpu(tmp_path):
    done, steps = run_with_stand_ins(tmp_path)
    assert done.returncode == 0, done.stdout + "".join(step["log"] for step in steps.values())
    assert [step["verdict"] for step in steps.values()] == ["pass"] * 3
    built = verdicts(steps["tensorrt-fp16"])
    for check in (
        "built in a thread",
        "there is a CUDA graph",
        "run in another thread it equals the CPU",
        "A B A B a hundred times gives the same",
        "an output outlives the next frames",
        "6 frames need no more memory",
        "without the CUDA graph it is the same",
    ):
        assert built[check] == "pass"
    times = [
        check["facts"] for check in steps["tensorrt-fp16"]["checks"] if "slow" in check["check"]
    ]
    assert times == [{"kind": "kgen", "precision": "fp16", "ms": 1.5}]
    assert verdicts(steps["reload-fp16"]) == {
        "loaded from the cache": "pass",
        "the same output as the process that built it": "pass",
    }
    assert verdicts(steps["truncated-fp16"]) == {
        "without its end is refused": "pass",
        "half of it is refused": "pass",
    }


class Task:
    """Keeps what a step tells."""

    def __init__(self) -> None:
        self.verdicts: dict[str, bool] = {}

    def tell(self, check: str, good: bool, **facts: Any) -> None:
        self.verdicts[check] = good


class Outputs:
    """An engine; late: gives the output of the frame before, reused: always the same buffer."""

    def __init__(self, late: bool = False, reused: bool = False) -> None:
        self.late, self.reused = late, reused
        self.before = self.buffer = (np.zeros(4, np.uint8), np.zeros(4, np.uint8))

    def __call__(self, rgb: Any, thermal: Any) -> Any:
        now = (rgb + 1, thermal + 1)
        if self.reused:
            for kept, image in zip(self.buffer, now, strict=True):
                kept[:] = image
            return self.buffer
        self.before, before = now, self.before
        return before if self.late else now


@pytest.mark.parametrize(
    ("engine", "same", "outlives"),
    [
        (Outputs(), True, True),
        (Outputs(late=True), False, True),
        (Outputs(reused=True), False, False),
    ],
)
def test_it_finds_outputs_of_other_frames(engine, same, outlives, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(SCRIPTS))
    alternate = runpy.run_path(str(SCRIPTS / "gpu_report_steps.py"))["alternate"]
    task = Task()
    pairs = [(np.full(4, n, np.uint8), np.full(4, 9 * n, np.uint8)) for n in range(3)]
    alternate(task, engine, pairs)
    assert list(task.verdicts.values()) == [same, outlives]
