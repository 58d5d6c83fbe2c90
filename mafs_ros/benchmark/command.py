"""The command line of `mafs benchmark`, and the order of what it measures."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import chain, product
from pathlib import Path
from typing import Any

from mafs_ros.benchmark.worker import EAGER, BenchmarkError, Job, Worker
from mafs_ros.sizes import image_size

LEAST_ROUNDS = 3
CALIBRATION_PAIRS = 4  # of the simulation, for int8 models that nobody has made
DATA = "benchmark.json"

EXAMPLE = """\
examples:
  mafs benchmark
  mafs benchmark --presets mafs-lite mafs:640x480 --sizes 320x240 640x480 1280x960 \\
      --cameras 1 2 4 --node 15 --out docs
  mafs benchmark --engines openvino:bf16 --profile
  mafs benchmark --node 15 --node-seconds 60 --engines openvino
  mafs benchmark --render docs/benchmark.json --out docs

Every engine has a process of its own for each number of cameras, and a turn in each round, so that
whatever else the machine does meets all of them. In its turn it runs for half a second without a
pause, at least twice; the first call, with other engines' data in the caches, is not counted.
Figures of different runs or machines cannot be compared, ratios of one run can. mafs-lite has the
weights shipped, other presets random ones, which do not change the time. An int8 model that `mafs
quantize` has not made is made here from simulated pairs, without a look at its accuracy.

With --out: benchmark.json, performance.md made from it, and performance.svg."""


def add_parser(commands) -> None:
    """Add `mafs benchmark` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "benchmark",
        help="measure engines, precisions and the node",
        epilog=EXAMPLE,
        description="Measure every engine and precision against plain eager PyTorch, and the node "
        "from camera to picture.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--presets",
        nargs="+",
        type=preset_and_size,
        metavar="NAME[:WxH]",
        default=[("mafs-lite", None)],
        help="a slow one may be given with a size: "
        "it is measured at that alone, with one camera; default: mafs-lite",
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a model file instead")
    parser.add_argument("--sizes", nargs="+", type=image_size, default=[(480, 640)], metavar="WxH")
    parser.add_argument(
        "--engines",
        nargs="+",
        metavar="NAME[:PRECISION]",
        help="such as openvino:bf16; default: all that there are",
    )
    parser.add_argument(
        "--cameras",
        nargs="+",
        type=int,
        default=[1],
        metavar="N",
        help="pairs in one call; default: 1",
    )
    parser.add_argument("--rounds", type=int, default=20, help="default: 20")
    parser.add_argument(
        "--limit-s",
        type=float,
        default=120,
        metavar="S",
        help="time for the rounds of one preset, size and number of cameras, "
        f"of which at least {LEAST_ROUNDS} are made; default: 120",
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="also the time of each module in OpenVINO's fastest precision",
    )
    parser.add_argument(
        "--node",
        type=float,
        metavar="HZ",
        help="also the node with simulated cameras at this rate (needs ROS 2)",
    )
    parser.add_argument("--node-seconds", type=float, default=60, metavar="S", help="default: 60")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the report here")
    parser.add_argument(
        "--render",
        type=Path,
        metavar="JSON",
        help="measure nothing, make the report of an earlier benchmark.json",
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def preset_and_size(text: str) -> tuple[str, tuple[int, int] | None]:
    """Parse NAME or NAME:WIDTHxHEIGHT; raises argparse.ArgumentTypeError."""
    name, _, size = text.partition(":")
    return name, image_size(size) if size else None


def run(args: argparse.Namespace) -> int:
    """Measure, print the report and write it; raises ValueError, OSError or RuntimeError."""
    from mafs_ros.benchmark.report import chart, markdown
    from mafs_ros.files import prepare_output_folder, write_bytes

    check(args)
    folder = prepare_output_folder(args.out) if args.out else None
    if args.render:
        report = json.loads(args.render.read_text(encoding="utf-8"))
    else:
        report = measure(args)
    text = markdown(report)
    print(text, end="")
    if folder is not None:
        write_bytes(folder / DATA, (json.dumps(report, indent=1) + "\n").encode())
        write_bytes(folder / "performance.md", text.encode())
        write_bytes(folder / "performance.svg", chart(report).encode())
    return 0


def check(args: argparse.Namespace) -> None:
    """End with a usage error where a number is impossible."""
    for name, value, least in (
        ("rounds", args.rounds, 1),
        ("cameras", min(args.cameras), 1),
        ("node-seconds", args.node_seconds, 1),
    ):
        if value < least:
            args.usage_error(f"--{name}: got {value:g}, expected at least {least}")
    if args.node is not None and not 0.1 <= args.node <= 1000:
        args.usage_error(f"--node: got {args.node:g}, expected 0.1 to 1000 Hz")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for, as benchmark.json holds it."""
    from mafs_ros.benchmark import peak

    engines = chosen_engines(args.engines)
    report: dict[str, Any] = {
        "machine": machine(),
        "arguments": {"rounds": args.rounds, "threads": args.threads},
        "results": [],
        "skipped": [],
        "profiles": [],
        "node": None,
    }
    note("peak of this CPU")
    report["peak_gflops"] = peak.measure(args.threads)
    with tempfile.TemporaryDirectory(prefix="mafs_benchmark") as scratch:
        for preset, weights in models(args, Path(scratch)).items():
            own_size = dict(args.presets).get(preset)
            for size, cameras in (
                [(own_size, 1)] if own_size else product(args.sizes, args.cameras)
            ):
                series = Series(preset, weights, size, cameras, args, Path(scratch))
                results, skipped = series.measure(engines, set(args.engines or ()))
                report["results"] += results
                report["skipped"] += [row for row in skipped if row not in report["skipped"]]
                if args.profile and cameras == 1:
                    report["profiles"] += series.profiles(results)
    if args.node is not None:
        report["node"] = measure_node(args.node, args.node_seconds, node_parameters(args))
    return report


def chosen_engines(given: list[str] | None) -> list[str]:
    """Names 'BACKEND:PRECISION'; raises ValueError for unknown ones."""
    from mafs_ros.engine import PRECISIONS, BackendError, available_backends

    names = []
    there = [
        name
        for name, version in available_backends().items()
        if not version.startswith("not available")
    ]
    for engine in given or there:
        backend, _, precision = engine.partition(":")
        if backend not in PRECISIONS:
            raise BackendError(
                f"unknown backend {backend!r}: choose one of {', '.join(PRECISIONS)}"
            )
        if precision and precision not in PRECISIONS[backend]:
            raise BackendError(
                f"backend {backend!r} has no precision {precision!r}: choose one "
                f"of {', '.join(PRECISIONS[backend])}"
            )
        precisions = [precision] if precision else PRECISIONS[backend]
        names += [f"{backend}:{name}" for name in precisions]
    return names


def models(args: argparse.Namespace, scratch: Path) -> dict[str, Path]:
    """Preset -> model file: the one given, the one shipped, or one with random weights.

    A copy, with what lies beside it: int8 models that are missing are made in `scratch`.
    """
    from mafs_ros.model.weights import read_info
    from mafs_ros.resources import default_weights

    shipped = default_weights()
    if args.weights:
        found = {read_info(args.weights).preset: args.weights}
    else:
        found = {
            preset: shipped if preset == read_info(shipped).preset else None
            for preset, _ in args.presets
        }
    copies = {}
    for preset, weights in found.items():
        if weights is None:
            copies[preset] = random_weights(preset, scratch)
            continue
        copies[preset] = scratch / weights.name
        for file in weights.parent.glob(f"{weights.stem}.*"):
            shutil.copyfile(file, scratch / file.name)
    return copies


def random_weights(preset: str, folder: Path) -> Path:
    """Write a model file of a preset with random weights and return its path."""
    import torch

    from mafs_ros.labels import load_class_table
    from mafs_ros.model import build_model
    from mafs_ros.model.weights import ModelInfo, save_weights

    table = load_class_table("mfnet")
    torch.manual_seed(0)
    network = build_model(preset, table.num_classes, auxiliary=False)
    path = folder / f"{preset}.safetensors"
    save_weights(path, network, ModelInfo(preset, {}, table.to_dict()))
    return path


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
        from mafs_ros.engine import int8
        from mafs_ros.engine.openvino import write_model
        from mafs_ros.engine.openvino_graph import convert
        from mafs_ros.quantize import unchecked_record

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
        from mafs_ros.benchmark.layers import profile

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
    from mafs_ros.simulation import StreetSimulation
    from mafs_ros.thermal import ThermalScaler

    street, scaler = StreetSimulation(seed=0, height=size[0], width=size[1]), ThermalScaler()
    frames = [street.frame(float(second)) for second in range(CALIBRATION_PAIRS)]
    return [(frame.rgb, scaler(frame.thermal, float(i))) for i, frame in enumerate(frames)]


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


def machine() -> dict[str, Any]:
    """What the figures were measured on, and with."""
    from mafs_ros import __version__
    from mafs_ros.info import cpu_name, libraries

    return {
        "cpu": cpu_name(),
        "threads": os.cpu_count(),
        "system": platform.platform(),
        "load_at_start": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
        "versions": {"mafs_ros": __version__, "python": platform.python_version(), **libraries()},
    }


def note(text: str) -> None:
    """Progress, for people."""
    print(f"mafs benchmark: {text}", file=sys.stderr, flush=True)
