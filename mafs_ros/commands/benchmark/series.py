"""Measures engines in turn."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

from mafs_ros.commands.benchmark.progress import note
from mafs_ros.commands.benchmark.worker import EAGER, BenchmarkError, Job, Worker

LEAST_ROUNDS = 3
CALIBRATION_PAIRS = 4  # of the simulation, for int8 models that nobody has made
DATA = "benchmark.json"


class Series:
    """All engines on one network, size and number of cameras."""

    def __init__(
        self,
        preset: str,
        weights: Path,
        size: tuple[int, int],
        cameras: int,
        args: argparse.Namespace,
        scratch: Path,
    ) -> None:
        self.preset, self.weights, self.size, self.cameras = preset, weights, size, cameras
        self.args, self.scratch = args, scratch
        self.title = f"{preset} {size[1]}x{size[0]}" + f", {cameras} cameras" * (cameras > 1)

    def measure(self, engines: list[str], named: set[str]) -> tuple[list[Any], list[Any]]:
        """Results and what was skipped; raises BenchmarkError where one of `named` cannot run."""
        skipped = []
        with ExitStack() as stack:
            workers = {EAGER: self.start(EAGER, stack)}
            first_s: dict[str, float] = {}
            for engine in engines:
                try:
                    if engine == "openvino:int8":
                        self.make_int8()
                    if not self.cache(engine).exists():
                        with ExitStack() as once:  # fills it for those that stay
                            facts = self.start(engine, once).facts
                            first_s[engine] = facts.load_s + facts.build_s
                    workers[engine] = self.start(engine, stack)
                except (BenchmarkError, ImportError) as error:
                    if engine in named:
                        raise BenchmarkError(f"{engine}, {self.title}: {error}") from error
                    note(f"skipped {engine}: {error}")
                    skipped.append(
                        {
                            "preset": self.preset,
                            "engine": engine,
                            "size": list(self.size),
                            "reason": str(error),
                        }
                    )
            times = self.rounds(workers)
        return self.results(workers, first_s, times), skipped

    def start(self, engine: str, stack: ExitStack) -> Worker:
        note(f"{self.title}: starting {engine}")
        worker = Worker(
            Job(
                engine,
                str(self.weights),
                *self.size,
                self.cameras,
                self.args.threads,
                "" if engine == EAGER else str(self.cache(engine)),
            )
        )
        stack.callback(worker.close)
        return worker

    def cache(self, engine: str) -> Path:
        """A folder of its own, so that its first start is one."""
        height, width = self.size
        return (
            self.scratch / "cache" / f"{self.preset}-{width}x{height}-{engine.replace(':', '-')}"
        )

    def rounds(self, workers: dict[str, Worker]) -> dict[str, list[list[float]]]:
        """Milliseconds by engine and round; each engine has its turn in each round."""
        from tqdm import tqdm

        times: dict[str, list[list[float]]] = {engine: [] for engine in workers}
        start = time.perf_counter()
        bar = tqdm(range(self.args.rounds), desc=self.title, unit="round", disable=None)
        for number in bar:
            if number >= LEAST_ROUNDS and time.perf_counter() - start > self.args.limit_s:
                break
            for engine, worker in workers.items():
                times[engine].append(worker.turn())
        return times

    def results(
        self,
        workers: dict[str, Worker],
        first_s: dict[str, float],
        times: dict[str, list[list[float]]],
    ) -> list[dict[str, Any]]:
        import numpy as np

        gflop = self.cameras * (workers[EAGER].facts.gflop or 0.0)
        medians = {
            engine: statistics.median(chain.from_iterable(turns))
            for engine, turns in times.items()
        }
        rows = []
        for engine, turns in times.items():
            facts, median = workers[engine].facts, medians[engine]
            values = list(chain.from_iterable(turns))
            rows.append(
                {
                    "preset": self.preset,
                    "size": list(self.size),
                    "engine": engine,
                    "cameras": self.cameras,
                    "description": facts.description,
                    "rounds": len(turns),
                    "calls": len(values),
                    "median_ms": median,
                    "p95_ms": float(np.percentile(values, 95)),
                    "ratio_to_eager": medians[EAGER] / median,
                    "gflop": gflop,
                    "gflops": 1000 * gflop / median,
                    "rss_mb": facts.rss_mb,
                    "first_start_s": first_s.get(engine, facts.load_s + facts.build_s),
                    "start_s": facts.load_s + facts.build_s,
                }
            )
        return rows

    def make_int8(self) -> None:
        """Make an int8 model for the size in `scratch`, unless there is one."""
        from mafs_ros.engine.checks import check_file, int8_file, read_checks

        checks = read_checks(self.weights)
        if self.size in checks and not checks[self.size].int8_fault():
            return
        note(f"{self.title}: making an int8 model")
        from mafs_ros.commands.quantize.record import unchecked_record
        from mafs_ros.engine.openvino import int8
        from mafs_ros.engine.openvino.convert import convert
        from mafs_ros.engine.openvino.engine import write_model

        graph, pairs = convert(self.weights, *self.size), simulated_pairs(self.size)
        kept: list[str] | None = next(
            (
                check.facts["precisions"]["int8"].get("kept", [])
                for check in checks.values()
                if "int8" in check.passed
            ),
            None,
        )
        if kept is None:
            kept = int8.slow_parts(graph, int8.quantize(graph, pairs), pairs[0])
        model = int8.quantize(graph, pairs, kept)
        file = int8_file(self.weights, self.size)
        write_model(model, file)
        record = unchecked_record(self.weights, self.size, file)
        check_file(self.weights, self.size).write_text(json.dumps(record), encoding="utf-8")

    def profiles(self, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The modules' times in the fastest of OpenVINO's precisions, if one was measured."""
        from mafs_ros.commands.benchmark.layers import profile

        times = {
            row["engine"]: row["median_ms"]
            for row in results
            if row["cameras"] == 1 and row["engine"].startswith("openvino:")
        }
        if not times:
            return []
        engine = min(times, key=lambda name: times[name])
        note(f"{self.title}: profile of {engine}")
        _, _, precision = engine.partition(":")
        return [
            {
                "preset": self.preset,
                "size": list(self.size),
                "engine": engine,
                **profile(
                    self.weights, self.size, precision, self.args.threads, self.cache(engine)
                ),
            }
        ]


def simulated_pairs(size: tuple[int, int]) -> list[tuple[Any, Any]]:
    """rgb uint8 [H, W, 3] and scaled thermal uint8 [H, W] of a street."""
    from mafs_ros.perception.thermal import ThermalScaler
    from mafs_ros.simulation import StreetSimulation

    street, scaler = StreetSimulation(seed=0, height=size[0], width=size[1]), ThermalScaler()
    frames = [street.frame(float(second)) for second in range(CALIBRATION_PAIRS)]
    return [(frame.rgb, scaler(frame.thermal, float(i))) for i, frame in enumerate(frames)]
