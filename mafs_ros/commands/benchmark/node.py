"""Measures the node in a drive."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mafs_ros.commands.benchmark.progress import note
from mafs_ros.commands.benchmark.worker import BenchmarkError


def node_parameters(args: argparse.Namespace) -> dict[str, Any]:
    """What the node is given: the weights, the threads, and the engine if just one is named."""
    parameters: dict[str, Any] = {"threads": args.threads}
    if args.weights:
        parameters["weights"] = args.weights.resolve()
    if args.engines and len(args.engines) == 1:
        backend, _, precision = args.engines[0].partition(":")
        parameters.update(backend=backend, precision=precision or "auto")
    return parameters


def measure_node(rate_hz: float, seconds: float, parameters: dict[str, Any]) -> dict[str, Any]:
    """The node and two simulated cameras as processes; the demo's summary.

    Raises BenchmarkError with the demo's own words.
    """
    note(f"the node, {rate_hz:g} Hz for {seconds:g} s")
    with tempfile.TemporaryDirectory(prefix="mafs_benchmark") as folder:
        command = [
            sys.executable,
            "-m",
            "mafs_ros.demo",
            "--rate",
            str(rate_hz),
            "--frames",
            str(round(rate_hz * seconds)),
            "--no-pictures",
            "--out",
            folder,
        ]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise BenchmarkError(f"the node: {lines[-1] if lines else 'ended without a word'}")
        summary: dict[str, Any] = json.loads(
            (Path(folder) / "summary.json").read_text(encoding="utf-8")
        )
    summary.pop("files", None)
    summary["weights"] = Path(summary["weights"]).name
    return summary
