#!/usr/bin/env python3
"""Steps of gpu_report_steps.py that ask or start programs: machine, node, trainer, trtexec."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import json
import math
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TRTEXEC = "/usr/src/tensorrt/bin/trtexec"  # on a Jetson it is not on the path
SIMULATED = (480, 640)  # images of the simulated cameras
NODE_FRAMES, NODE_HZ = 150, 10.0
TRAINING_STEPS, CHECKPOINT_EVERY = 50, 10
TRAINING = (
    "train=[{kind: simulation, split: train, count: 8}]",
    "evaluation=[{kind: simulation, split: test, count: 2}]",
    "imagenet=null",
    "workers=0",
    f"stage1.optimisation.steps={TRAINING_STEPS}",
    f"stage1.optimisation.evaluate_every={TRAINING_STEPS}",
    f"stage1.optimisation.checkpoint_every={CHECKPOINT_EVERY}",
)
LAST_LINES = 5


class NotHereError(Exception):
    """What a step needs and this machine does not have; the message names it."""


def need_tensorrt() -> None:
    """Raise NotHereError where there is no backend tensorrt."""
    from mafs_ros.engine import available_backends

    found = available_backends()["tensorrt"]
    if found.startswith("not available"):
        raise NotHereError(f"backend tensorrt ({found})")


def machine(task: Any) -> None:
    from mafs_ros import __version__
    from mafs_ros.base.machine import libraries
    from mafs_ros.base.nvidia import ask
    from mafs_ros.engine.gpu import gpu_rows

    rows = {"mafs_ros": __version__, "python": platform.python_version()}
    rows |= {"system": platform.platform(), **libraries(), **gpu_rows()}
    for name, value in rows.items():
        task.tell(f"{name}: {value}")
    with contextlib.suppress(OSError):
        model = Path("/proc/device-tree/model").read_bytes().rstrip(b"\0").decode()
        task.tell(f"board: {model}")
    for name, command in {
        "jetpack": ["dpkg-query", "-W", "nvidia-jetpack", "nvidia-l4t-core"],
        "clocks": ["nvidia-smi", "-q", "-d", "CLOCK,MEMORY,POWER"],
        "clocks of the board": ["jetson_clocks", "--show"],  # for root alone on some
        "memory": ["free", "-m"],
    }.items():
        if said := ask(command):
            task.tell(name, said=said[:2000])
    import torch

    task.tell("PyTorch", cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version())
    if not torch.cuda.is_available():
        task.absent("no CUDA device")
        return
    major, minor = torch.cuda.get_device_capability()
    task.tell("one kernel computes", bool((torch.ones(8, device="cuda") * 2).sum().item() == 16))
    own = f"sm_{major}{minor}" in torch.cuda.get_arch_list()
    task.tell("PyTorch is compiled for this GPU", own, has=" ".join(torch.cuda.get_arch_list()))
    free, total = torch.cuda.mem_get_info()
    task.tell("memory of the GPU", free_mb=free >> 20, total_mb=total >> 20)


def node(task: Any, sized: str) -> None:
    """The real node with simulated cameras over DDS; told the image size, or not."""
    if importlib.util.find_spec("rclpy") is None:
        raise NotHereError("ROS 2 (source it before, if it is installed)")
    need_tensorrt()
    height, width = SIMULATED if sized == "sized" else (0, 0)
    out = task.scratch / f"node-{sized}"
    arguments = [
        *("-m", "mafs_ros.demo", "--no-pictures", "--out", str(out)),
        *("--frames", str(NODE_FRAMES), "--rate", str(NODE_HZ)),
        *("-p", "backend:=tensorrt", "-p", f"cache_dir:={task.cache}"),
        *("-p", f"image_height:={height}", "-p", f"image_width:={width}"),
    ]
    done = python(arguments)
    said = tail(done.stdout)
    if done.returncode or not (out / "summary.json").exists():
        task.tell("frames come out", False, said=said)
        return
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    frames = summary["frames_out"]
    drops = {cause: count for cause, count in summary["drops"].items() if count}
    # A slow one drops what it has no time for; none may fail.
    good = frames > 0 and not {"failed", "bad_image"} & set(drops)
    task.tell("frames come out", good, of=NODE_FRAMES, came=frames, drops=drops)
    task.tell("the engine is TensorRT's", summary["engine"].startswith("TensorRT"))
    task.tell(summary["engine"], latency_ms=summary["latency_ms"], engine_ms=summary["engine_ms"])


def training(task: Any, precision: str) -> None:
    """A run from beginning to end, and one that is killed after a checkpoint and resumed."""
    if importlib.util.find_spec("lightning_fabric") is None:
        raise NotHereError("what the trainer needs (requirements/training.txt)")
    whole, cut = task.scratch / f"whole-{precision}", task.scratch / f"cut-{precision}"
    start = time.monotonic()
    done = python(command(whole, precision))
    task.tell(
        f"{TRAINING_STEPS} steps",
        done.returncode == 0,
        seconds=round(time.monotonic() - start, 1),
        said=tail(done.stdout) if done.returncode else "",
    )
    if done.returncode:
        return
    losses = losses_of(whole)
    task.tell("the losses are numbers", all(map(math.isfinite, losses)), last=losses[-1:])
    task.tell("killed after a checkpoint", killed(command(cut, precision), cut / "checkpoint.pt"))
    done = python([*command(cut, precision), "--resume"])
    said = tail(done.stdout) if done.returncode else ""
    task.tell("resumed to its end", done.returncode == 0, said=said)
    if done.returncode == 0:
        task.tell("largest difference of a weight", difference=difference(whole, cut))


def command(out: Path, precision: str) -> list[str]:
    settings = [*TRAINING, f"stage1.optimisation.precision={precision}"]
    base = ["-m", "training.stage1", "--recipe", "street_lite", "--out", str(out)]
    return [*base, "--set", *settings]


def killed(arguments: Sequence[str], checkpoint: Path) -> bool:
    """Start a training and kill it once it has a checkpoint; False where it ended before."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    while process.poll() is None and not checkpoint.exists():
        time.sleep(0.05)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    process.wait()
    return True


def losses_of(run: Path) -> list[float]:
    """All losses that a run has written, by step."""
    with open(run / "losses.csv", encoding="utf-8", newline="") as file:
        rows = [
            {k: v for k, v in row.items() if k != "step" and v} for row in csv.DictReader(file)
        ]
    return [float(value) for row in rows for value in row.values()]


def difference(one: Path, other: Path) -> float:
    from safetensors.numpy import load_file

    first, second = (load_file(run / "model.safetensors") for run in (one, other))
    return max(float(abs(first[name] - second[name]).max()) for name in first if first[name].size)


def trtexec(task: Any) -> None:
    """TensorRT's own program builds and runs our ONNX file."""
    tool = shutil.which("trtexec") or (TRTEXEC if os.access(TRTEXEC, os.X_OK) else "")
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if not tool or missing:
        raise NotHereError(" and ".join(missing) if tool else "trtexec")
    file = task.scratch / "graph.onnx"
    height, width = task.size
    export = ["-m", "mafs_ros.cli", "export", "--precision", "fp16"]
    done = python([*export, "--size", f"{width}x{height}", str(file)])
    task.tell("exported", done.returncode == 0, said=tail(done.stdout) if done.returncode else "")
    if done.returncode:
        return
    with contextlib.suppress(OSError):
        task.tell("the file", mb=round(file.stat().st_size / 1e6, 1))
    run = subprocess.run(
        [
            tool,
            f"--onnx={file}",
            "--stronglyTyped",
            "--useCudaGraph",
            "--memPoolSize=workspace:1024",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    words = ("Latency:", "Throughput", "GPU Compute Time:", "Engine built", "[E]")
    lines = [line for line in run.stdout.splitlines() if any(word in line for word in words)]
    task.tell("built and run", run.returncode == 0)
    for line in lines[:12]:
        task.tell(line[:300])


def python(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run this Python in the checkout; the limit of time is the step's."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def tail(text: str) -> str:
    return " | ".join(text.strip().splitlines()[-LAST_LINES:])[-1000:]
