"""One engine in a process of its own, so that its memory is its own and nothing is shared.

Started with one argument, a `Job` as JSON. Writes `Facts` as a JSON line when it is ready; then,
for each line read from stdin, has a turn: calls without a pause for `TURN_S`, at least two, and
writes the milliseconds of each but the first, before which other engines have filled the
processor's caches.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from mafs_ros.base.memory import resident_bytes

EAGER = "eager"  # the baseline: the deployed graph in PyTorch, fp32, contiguous tensors
TURN_S = 0.5
ENDING_S = 20.0
Call = Callable[..., Any]  # of rgb uint8 [B, H, W, 3], thermal uint8 [B, H, W]


class BenchmarkError(RuntimeError):
    """A worker that cannot do its job; the message is its own one line."""


@dataclass(frozen=True)
class Job:
    """engine: `EAGER` or 'BACKEND:PRECISION'; cameras: pairs in one call; cache: folder for
    compiled engines, '' for none."""

    engine: str
    weights: str
    height: int
    width: int
    cameras: int = 1
    threads: int = 0
    cache: str = ""


@dataclass(frozen=True)
class Facts:
    """load_s: imports and weights; build_s: compiling and the first call; rss_mb: memory then.

    gflop: floating point operations of a pair in 1e9, 2 per multiply-accumulate of convolutions
    and matrix products alone; known to the baseline, else None.
    """

    description: str
    load_s: float
    build_s: float
    rss_mb: float
    gflop: float | None


class Worker:
    """The process as seen from outside. Raises BenchmarkError where it ends early."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mafs_ros.commands.benchmark.worker", json.dumps(asdict(job))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            self.facts = Facts(**self._read())
        except BaseException:
            self.close()
            raise

    def turn(self) -> list[float]:
        """Milliseconds of each call of one turn."""
        self._stream(self._process.stdin).write("\n")
        self._stream(self._process.stdin).flush()
        return [float(value) for value in self._read()]

    def close(self) -> None:
        """End the process."""
        self._stream(self._process.stdin).close()
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stream(self._process.stdout).close()
        self._stream(self._process.stderr).close()

    def _read(self) -> Any:
        line = self._stream(self._process.stdout).readline()
        if not line:
            said = self._stream(self._process.stderr).read().strip().splitlines()
            raise BenchmarkError(said[-1] if said else "ended without a word")
        return json.loads(line)

    @staticmethod
    def _stream(stream: Any) -> TextIO:
        assert stream is not None  # PIPE above
        return stream


def main() -> int:
    job = Job(**json.loads(sys.argv[1]))
    # What a library prints must not come between the lines of JSON.
    answers, sys.stdout = sys.stdout, sys.stderr
    try:
        serve(job, sys.stdin, answers)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


def serve(job: Job, requests: TextIO, answers: TextIO) -> None:
    """Load, build, and have a turn for each line of `requests`."""
    import numpy as np

    rng = np.random.default_rng(0)
    start = time.perf_counter()
    call, description, gflop = load(job)
    loaded = time.perf_counter()
    shape = job.cameras, job.height, job.width
    pairs = rng.integers(0, 256, (*shape, 3), np.uint8), rng.integers(0, 256, shape, np.uint8)
    ready = time.perf_counter()
    call(*pairs)
    built = time.perf_counter()
    facts = Facts(
        description,
        loaded - start,
        built - ready,
        resident_bytes() / 1e6,
        gflop() if gflop else None,
    )
    answer(answers, asdict(facts))
    for _ in requests:
        answer(answers, turn(lambda: call(*pairs)))


def turn(call: Callable[[], Any]) -> list[float]:
    """Milliseconds of each of the calls that fill `TURN_S`, but the first; at least one."""
    times: list[float] = []
    start = last = time.perf_counter()
    while len(times) < 2 or last - start < TURN_S:
        call()
        now = time.perf_counter()
        times.append(1000 * (now - last))
        last = now
    return times[1:]


def answer(stream: TextIO, value: Any) -> None:
    stream.write(json.dumps(value) + "\n")
    stream.flush()


def load(job: Job) -> tuple[Call, str, Callable[[], float] | None]:
    """The engine, what it is, and what counts its operations where that is known."""
    if job.engine == EAGER:
        return load_eager(job)
    from mafs_ros.engine import create_engine

    backend, _, precision = job.engine.partition(":")
    engine = create_engine(
        backend,
        Path(job.weights),
        precision=precision or "auto",
        threads=job.threads,
        cache_dir=Path(job.cache) if job.cache else None,
    )
    return engine, engine.description, None


def load_eager(job: Job) -> tuple[Call, str, Callable[[], float]]:
    """The baseline: the deployed graph as plain PyTorch on the CPU."""
    import torch

    from mafs_ros.engine.graph import DeployedGraph, example_images
    from mafs_ros.model.weights import load_weights

    if job.threads:
        torch.set_num_threads(job.threads)
    graph = DeployedGraph(load_weights(job.weights)[0])

    @torch.inference_mode()
    def call(rgb: Any, thermal: Any) -> Any:
        return graph(torch.from_numpy(rgb), torch.from_numpy(thermal))

    def gflop() -> float:
        import copy

        from torch.utils.flop_counter import FlopCounterMode

        images = example_images((1, job.height, job.width), "meta")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            copy.deepcopy(graph).to("meta")(*images)
        return counter.get_total_flops() / 1e9

    return call, f"PyTorch {torch.__version__} eager fp32, contiguous", gflop


if __name__ == "__main__":
    sys.exit(main())
