"""`mafs benchmark`: latency of every engine as a ratio to plain eager PyTorch in the same run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mafs_ros.complexity import image_size

if TYPE_CHECKING:
    import numpy as np

EXAMPLE = """\
examples:
  mafs benchmark
  mafs benchmark --presets mafs mafs-lite --sizes 480x640 --rounds 5 --out out/benchmark

Rounds are interleaved: every engine runs once in each round, so that whatever else the machine
does meets all of them. Weights are random: they do not change the time. Figures of different runs
or machines cannot be compared, ratios of one run can."""

EAGER = "eager"  # the baseline: the deployed graph in PyTorch, fp32, contiguous tensors


@dataclass(frozen=True)
class Result:
    """Times of one engine on one network and size; ratio: eager's median over its median."""

    preset: str
    size: str
    engine: str
    description: str
    load_s: float
    build_s: float
    median_ms: float
    p95_ms: float
    ratio_to_eager: float


def add_parser(commands) -> None:
    """Add `mafs benchmark` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "benchmark",
        help="measure the engines against plain eager PyTorch",
        epilog=EXAMPLE,
        description="Measure the latency of every engine as a ratio to plain eager PyTorch.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--presets", nargs="+", default=["mafs-lite"], metavar="NAME")
    parser.add_argument("--sizes", nargs="+", type=image_size, default=[(480, 640)], metavar="HxW")
    parser.add_argument("--engines", nargs="+", metavar="NAME", help="default: all available")
    parser.add_argument("--rounds", type=int, default=10, help="default: 10")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="also write benchmark.json and .md"
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Measure, print the table and write it; raises ValueError for unknown names."""
    from mafs_ros.engine import available_backends
    from mafs_ros.files import prepare_output_folder, write_bytes

    if args.rounds < 1:
        args.usage_error(f"--rounds: got {args.rounds}, expected at least 1")
    folder = prepare_output_folder(args.out) if args.out else None
    available = [
        name
        for name, version in available_backends().items()
        if not version.startswith("not available")
    ]
    results = []
    for preset in args.presets:
        with tempfile.TemporaryDirectory(prefix="mafs_benchmark") as scratch:
            weights = random_weights(preset, Path(scratch))
            for size in args.sizes:
                results += measure(
                    preset, weights, size, args.engines or available, args.rounds, args.threads
                )
    table = markdown(results, args.rounds)
    print(table, end="")
    if folder is not None:
        report = {"machine": machine(), "results": [asdict(result) for result in results]}
        write_bytes(folder / "benchmark.json", json.dumps(report, indent=2).encode())
        write_bytes(folder / "benchmark.md", table.encode())
    return 0


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


def measure(
    preset: str,
    weights: Path,
    size: tuple[int, int],
    engines: list[str],
    rounds: int,
    threads: int,
) -> list[Result]:
    """Load and build every engine, then time them in turn for `rounds` rounds."""
    import numpy as np
    from tqdm import tqdm

    from mafs_ros.engine import create_engine

    rng = np.random.default_rng(0)
    images = (
        rng.integers(0, 256, (1, *size, 3), np.uint8),
        rng.integers(0, 256, (1, *size), np.uint8),
    )
    runs: dict[str, Callable[..., Any]] = {}
    facts: dict[str, tuple[str, float, float]] = {}
    for name in [EAGER, *engines]:
        start = time.perf_counter()
        call, description = (
            eager(weights, threads)
            if name == EAGER
            else described(create_engine(name, weights, threads=threads))
        )
        loaded = time.perf_counter()
        call(*images)
        facts[name] = (description, loaded - start, time.perf_counter() - loaded)
        runs[name] = call
    times: dict[str, list[float]] = {name: [] for name in runs}
    title = f"{preset} {size[0]}x{size[1]}"
    for _ in tqdm(range(rounds), desc=title, unit="round", disable=None):
        for name, call in runs.items():
            start = time.perf_counter()
            call(*images)
            times[name].append(1000 * (time.perf_counter() - start))
    baseline = statistics.median(times[EAGER])
    return [
        Result(
            preset,
            f"{size[0]}x{size[1]}",
            name,
            *facts[name],
            median_ms=statistics.median(values),
            p95_ms=float(np.percentile(values, 95)),
            ratio_to_eager=baseline / statistics.median(values),
        )
        for name, values in times.items()
    ]


def eager(weights: Path, threads: int) -> tuple[Callable[..., Any], str]:
    """Return the baseline: the deployed graph as plain PyTorch on the CPU."""
    import torch

    from mafs_ros.engine.graph import DeployedGraph
    from mafs_ros.model.weights import load_weights

    if threads:
        torch.set_num_threads(threads)
    graph = DeployedGraph(load_weights(weights)[0])

    @torch.inference_mode()
    def call(rgb: np.ndarray, thermal: np.ndarray) -> Any:
        return graph(torch.from_numpy(rgb), torch.from_numpy(thermal))

    return call, f"PyTorch {torch.__version__} eager fp32, contiguous"


def described(engine: Any) -> tuple[Callable[..., Any], str]:
    """Return an engine and its description."""
    return engine, engine.description


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    from mafs_ros.info import cpu_name

    return {"cpu": cpu_name(), "threads": os.cpu_count(), "system": platform.platform()}


def markdown(results: list[Result], rounds: int) -> str:
    """Render the results as a Markdown table with the machine named."""
    lines = [
        f"{machine()['cpu']}, {os.cpu_count()} threads; batch 1, {rounds} interleaved rounds, "
        "random weights",
        "",
        "| preset | size | engine | median ms | p95 ms | times eager | load s | build s | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.preset} | {r.size} | {r.engine} | {r.median_ms:.1f} | {r.p95_ms:.1f} "
        f"| {r.ratio_to_eager:.2f} | {r.load_s:.1f} | {r.build_s:.1f} | {r.description} |"
        for r in results
    ]
    return "\n".join(lines) + "\n"
