#!/usr/bin/env python3
"""What works on this GPU, how equal and how fast: one report to send back, in 15 minutes.

    python3 scripts/gpu_report.py
    python3 scripts/gpu_report.py --size 1280x720 --out report
    python3 scripts/gpu_report.py --steps machine tensorrt-fp16    # some alone

Writes gpu_report.json, which is to be sent back, and gpu_report.txt, the same for people, both
anew after every step: what was found is there however the next one ends. A step is a process of
its own with a limit of time (`gpu_report_steps.py`), so that one that crashes or hangs takes no
other with it. Nothing is written but these two and a temporary folder. Without a GPU it says so,
and ends.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

FORMAT = 1
PROGRAM = Path(__file__).with_name("gpu_report_steps.py")
MINUTES = 15.0
SHORTEST_S = 1.0  # that a step is begun for
LOG_CHARACTERS = 6000  # of the end of what a step has said
WORDS = {"pass": "PASS", "fail": "FAIL", "told": "    ", "absent": "    "}


@dataclass(frozen=True)
class Step:
    """name: of the function in the other file and its argument. limit_s: where time suffices."""

    name: str
    title: str
    limit_s: float
    without_gpu: bool = False


# What matters most comes first: the later ones may find no time left.
STEPS = (
    Step("machine", "machine", 60, without_gpu=True),
    Step("torch", "PyTorch in fp32, TF32 on and off", 120),
    Step("tensorrt-fp16", "TensorRT fp16: built in a thread, run in another", 420),
    Step("reload-fp16", "TensorRT fp16 from the cache, in a new process", 90),
    Step("truncated-fp16", "a truncated engine", 60),
    Step("node-sized", "node, image size given", 150),
    Step("node-unsized", "node, image size not given", 150),
    Step("training-32-true", "50 training steps in fp32, killed and resumed", 120),
    Step("training-bf16-mixed", "50 training steps in bf16, killed and resumed", 120),
    Step("training-16-mixed", "50 training steps in fp16, killed and resumed", 120),
    Step("sizes", "two more image sizes", 300),
    Step("tensorrt-fp32", "TensorRT fp32: built in a thread, run in another", 420),
    Step("trtexec", "the ONNX file through trtexec", 300),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 where nothing failed, 1 where something did, 2 for wrong usage."""
    args = parse_arguments(argv)
    deadline = time.monotonic() + 60 * args.minutes
    report: dict[str, Any] = {
        "format": FORMAT,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "size": args.size,
        "frames": args.frames,
        "steps": [],
    }
    gpu = True
    with tempfile.TemporaryDirectory(prefix="gpu_report") as scratch:
        for step in STEPS:
            if step.name not in args.steps:
                continue
            if not gpu and not step.without_gpu:
                result = skipped(step, "absent", "not here: no CUDA device")
            elif deadline - time.monotonic() < SHORTEST_S:
                result = skipped(step, "absent", f"no time left of {args.minutes:g} minutes")
            else:
                limit_s = min(step.limit_s, deadline - time.monotonic())
                result = run_step(step, limit_s, args, Path(scratch))
            report["steps"].append(result)
            gpu = gpu and not any(c["check"] == "no CUDA device" for c in result["checks"])
            print("\n".join(lines_of(result)), flush=True)
            write_report(report, args.out)
    failed = [step["name"] for step in report["steps"] if step["verdict"] == "fail"]
    print(f"\n{closing(failed, gpu)} Send {args.out / 'gpu_report.json'} back.")
    return 1 if failed else 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    names = [step.name for step in STEPS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=image_size, default="640x480", metavar="WIDTHxHEIGHT")
    parser.add_argument("--frames", type=int, default=300, help="per measurement; default: 300")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="default: here")
    parser.add_argument("--steps", nargs="+", choices=names, default=names, metavar="STEP")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help=f"for all of it; default: {MINUTES:g}"
    )
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    return args


def image_size(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d{1,4}x[1-9]\d{1,4}", text):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT such as 640x480, got {text!r}")
    return text


def run_step(
    step: Step, limit_s: float, args: argparse.Namespace, scratch: Path
) -> dict[str, Any]:
    """Run a step in a process, and return what it found, whatever became of it."""
    found, log = scratch / f"{step.name}.jsonl", scratch / f"{step.name}.log"
    print(f"...  {step.title} (at most {limit_s:.0f} s)", flush=True)
    start = time.monotonic()
    command = [
        sys.executable,
        str(PROGRAM),
        step.name,
        f"--size={args.size}",
        f"--frames={args.frames}",
        f"--scratch={scratch}",
        f"--found={found}",
    ]
    with open(log, "wb") as said:
        code = run_limited(command, limit_s, said.fileno())
    checks = [json.loads(line) for line in lines_in(found)]
    if code != 0:
        checks.append({"check": how_it_ended(code, limit_s), "verdict": "fail", "facts": {}})
    verdicts = [check["verdict"] for check in checks]
    return {
        "name": step.name,
        "title": step.title,
        "verdict": next((v for v in ("fail", "pass", "told") if v in verdicts), "absent"),
        "seconds": round(time.monotonic() - start, 1),
        "checks": checks,
        "log": log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:],
    }


def run_limited(command: Sequence[str], limit_s: float, output: int) -> int | None:
    """Return a process's exit code; None where it was ended after its time.

    With it end all that it has started. One that the kernel holds, as where a driver hangs, is
    left behind.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )
    code = None
    try:
        code = process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
    return code


def lines_in(path: Path) -> Iterator[str]:
    """The whole lines of a file that its writer may not have come to the end of."""
    with contextlib.suppress(OSError):
        text = path.read_text(encoding="utf-8")
        yield from text[: text.rfind("\n") + 1].splitlines()


def how_it_ended(code: int | None, limit_s: float) -> str:
    if code is None:
        return f"not done after {limit_s:.0f} s, and ended"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"crashed: {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def skipped(step: Step, verdict: str, why: str) -> dict[str, Any]:
    check = {"check": why, "verdict": verdict, "facts": {}}
    return {
        "name": step.name,
        "title": step.title,
        "verdict": verdict,
        "seconds": 0.0,
        "checks": [check],
        "log": "",
    }


def lines_of(result: dict[str, Any]) -> list[str]:
    """A step for people: a verdict on each line."""
    lines = [f"{WORDS[result['verdict']]} {result['title']} ({result['seconds']:.0f} s)"]
    for check in result["checks"]:
        facts = ", ".join(f"{name} {value}" for name, value in check["facts"].items())
        lines.append(f"  {WORDS[check['verdict']]} {check['check']}" + f": {facts}" * bool(facts))
    return lines


def closing(failed: Sequence[str], gpu: bool) -> str:
    if failed:
        return f"Failed: {', '.join(failed)}."
    return "Nothing failed." if gpu else "There is no CUDA device here, so nothing was tried."


def write_report(report: dict[str, Any], out: Path) -> None:
    """Write both files, each whole or not at all."""
    text = "\n".join(line for step in report["steps"] for line in lines_of(step))
    for name, content in (
        ("gpu_report.json", json.dumps(report, indent=1)),
        ("gpu_report.txt", f"mafs_ros, {report['made']}, {report['size']}\n{text}"),
    ):
        temporary = out / f".{name}.{os.getpid()}"
        temporary.write_text(content + "\n", encoding="utf-8")
        temporary.replace(out / name)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that its step ends with it
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("gpu_report: interrupted; both files have what was found")
