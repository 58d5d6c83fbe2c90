"""The process that builds an engine and checks it, for `mafs_ros.engine.building`.

    python -m mafs_ros.engine.tensorrt.build_process '{"weights": ..., ...}'

It writes the engine and its check into a folder. What it says on stdout is for the process that
started it, a JSON object a line: {"level": 20, "text": "..."}. It ends with that process.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mafs_ros.base.errors import one_line
from mafs_ros.engine.graph import DeployedGraph
from mafs_ros.engine.job import PLAN, Job
from mafs_ros.engine.tensorrt.build import builder
from mafs_ros.engine.tensorrt.compiled import CompiledGraph, read_plan
from mafs_ros.engine.tensorrt.self_check import compare, pair, reference_of
from mafs_ros.model.weights import load_weights

PR_SET_PDEATHSIG = 1  # linux/prctl.h
NICE = 10  # whoever started it may serve frames meanwhile

log = logging.getLogger("mafs_ros.build")


def main(argument: str, plan_builder: Callable[[], Callable[..., bytes]] | None = None) -> int:
    """Do the job that the argument describes; 1 where that fails, and the last line says why.

    plan_builder: returns what builds; by default what is installed here.
    """
    job = Job.from_json(argument)
    end_with(job.parent)
    os.nice(NICE)
    handler = TellParent()
    logging.getLogger().addHandler(handler)
    logging.getLogger("mafs_ros").setLevel(logging.INFO)
    try:
        build = plan_builder() if plan_builder else builder(Path(job.weights), job.precision)
        run(job, build)
    except Exception as error:
        log.debug("", exc_info=True)
        handler.tell(logging.CRITICAL, one_line(error))
        return 1
    return 0


def run(job: Job, build: Callable[..., bytes]) -> None:
    """Build, keep, check. Raises whatever goes wrong."""
    folder, shape = Path(job.folder), tuple(job.shape)
    network = load_weights(Path(job.weights))[0]
    reference = reference_of(network, shape)
    graph = DeployedGraph(network, "fp16" if job.precision == "int8" else job.precision).cuda()
    plan = build(graph, shape, job.precision, workspace_mb=job.workspace_mb)
    (folder / PLAN).write_bytes(plan)
    del graph, network
    torch.cuda.empty_cache()
    log.info("checking the engine against fp32")
    check = compare(CompiledGraph(read_plan(plan), shape)(*pair(shape)), reference, job.precision)
    check.write(folder)
    log.info("%s", check)


class TellParent(logging.Handler):
    """What is logged in this process, for the process that started it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.tell(record.levelno, record.getMessage())

    @staticmethod
    def tell(level: int, text: str) -> None:
        line: dict[str, Any] = {"level": level, "text": text}
        print(json.dumps(line), flush=True)


def end_with(parent: int) -> None:
    """Have the kernel end this process when that one, or its thread that waits, ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
