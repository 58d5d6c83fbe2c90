#!/usr/bin/env python3
"""The steps of gpu_report.py, which runs each in a process of its own.

    python3 scripts/gpu_report_steps.py STEP --size=640x480 --frames=300 --scratch=DIR --found=FILE

Each check is a line of JSON in FILE as soon as it is made, with a verdict: pass, fail, told (a
figure) or absent (not here). What a step keeps for later ones lies in DIR.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where it is not installed too
sys.dont_write_bytecode = True  # nothing is left beside the scripts

import gpu_report_programs as programs  # noqa: E402

# Largest differences from fp32 on the CPU: grey levels, share of equal labels.
EQUAL = {"fp32": (1, 0.9995), "tf32": (2, 0.995), "half": (2, 0.995)}
GROWTH_MB = 32
PAIRS = 4
MORE_SIZES = ((97, 131), (96, 128))


@dataclass(frozen=True)
class Task:
    """size: height, width. scratch: folder of this report."""

    size: tuple[int, int]
    frames: int
    scratch: Path
    found: Path

    @property
    def cache(self) -> Path:
        return self.scratch / "cache"

    def tell(self, check: str, good: bool | None = None, **facts: Any) -> None:
        """Add a check; good: None for a mere figure."""
        self._add(check, "told" if good is None else "pass" if good else "fail", facts)

    def absent(self, what: str) -> None:
        self._add(what, "absent", {})

    def _add(self, check: str, verdict: str, facts: dict[str, Any]) -> None:
        with self.found.open("a", encoding="utf-8") as file:
            line = {"check": check, "verdict": verdict, "facts": facts}
            file.write(json.dumps(line, default=str) + "\n")


def street(size: tuple[int, int], count: int) -> list[tuple[Any, Any]]:
    """Pairs of the simulated street, as an engine takes them."""
    from mafs_ros.perception.thermal import ThermalScaler
    from mafs_ros.simulation import StreetSimulation

    simulation = StreetSimulation(seed=5, height=size[0], width=size[1])
    scaler = ThermalScaler("percentile")
    shots = [(n / 5, simulation.frame(n / 5)) for n in range(count)]
    return [(shot.rgb[None].copy(), scaler(shot.thermal, t)[None].copy()) for t, shot in shots]


def reference(task: Task, size: tuple[int, int], pairs: Sequence[tuple[Any, Any]]) -> list[Any]:
    """What fp32 on the CPU makes of the pairs: without TF32 and cuDNN; once for all steps."""
    import numpy as np
    import torch

    from mafs_ros.base.resources import default_weights
    from mafs_ros.engine.graph import DeployedGraph
    from mafs_ros.model.weights import load_weights

    kept = task.scratch / f"reference_{size[1]}x{size[0]}.npz"
    if not kept.exists():
        graph = DeployedGraph(load_weights(default_weights())[0])
        with torch.inference_mode():
            made = [[x.numpy() for x in graph(*map(torch.from_numpy, pair))] for pair in pairs]
        np.savez(kept, fused=[m[0] for m in made], labels=[m[1] for m in made])
    with np.load(kept) as arrays:
        return list(zip(arrays["fused"], arrays["labels"], strict=True))


def tell_equal(
    task: Task, what: str, got: Sequence[Any], wanted: Sequence[Any], kind: str
) -> None:
    import numpy as np

    grey = max(
        int(np.abs(a[0].astype(int) - b[0]).max()) for a, b in zip(got, wanted, strict=True)
    )
    labels = min(float((a[1] == b[1]).mean()) for a, b in zip(got, wanted, strict=True))
    levels, share = EQUAL[kind]
    good = grey <= levels and labels >= share
    task.tell(what, good, grey_levels=grey, labels_equal=round(labels, 5))


def tell_speed(task: Task, what: str, engine: Any, pairs: Sequence[Any], count: int) -> None:
    times = []
    for n in range(count):
        start = time.perf_counter()
        engine(*pairs[n % len(pairs)])
        times.append(1e3 * (time.perf_counter() - start))
    times.sort()
    rank = min(int(0.95 * count), count - 1)
    figures = {"median": statistics.median(times), "p95": times[rank], "max": times[-1]}
    task.tell(what, **{f"{name}_ms": round(value, 2) for name, value in figures.items()})


def on_gpu(image: Any) -> Any:
    import torch

    buffer = torch.empty(image.shape, dtype=torch.uint8, device="cuda")
    buffer.copy_(torch.from_numpy(image))
    return buffer


def torch_(task: Task) -> None:
    import torch

    from mafs_ros.base.backend_names import PRECISIONS
    from mafs_ros.base.resources import default_weights
    from mafs_ros.engine import create_engine
    from mafs_ros.engine.graph import DeployedGraph
    from mafs_ros.model.weights import load_weights

    pairs = street(task.size, PAIRS)
    wanted = reference(task, task.size, pairs)
    count = max(task.frames // 3, 5)
    graph = DeployedGraph(load_weights(default_weights())[0]).cuda()

    def eager(*images: Any) -> list[Any]:
        with torch.inference_mode():
            return [x.cpu().numpy() for x in graph(*map(on_gpu, images))]

    for kind, allowed in (("tf32", True), ("fp32", False)):
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
        got = [eager(*pair) for pair in pairs]
        tell_equal(task, f"eager {kind} equals the CPU", got, wanted, kind)
        tell_speed(task, f"time of eager {kind}", eager, pairs, count)
    for precision in PRECISIONS["torch"]:
        engine = create_engine("torch", default_weights(), precision=precision)
        got = [engine(*pair) for pair in pairs + pairs][len(pairs) :]  # as it is in the long run
        kind = "fp32" if precision == "fp32" else "half"
        tell_equal(task, f"{engine.description} equals the CPU", got, wanted, kind)
        tell_speed(task, f"time of backend torch {precision}", engine, pairs, count)
        engine.close()


def tensorrt_engine(task: Task, precision: str) -> Any:
    from mafs_ros.base.resources import default_weights
    from mafs_ros.engine import create_engine

    programs.need_tensorrt()
    return create_engine("tensorrt", default_weights(), precision=precision, cache_dir=task.cache)


def tensorrt(task: Task, precision: str) -> None:
    import numpy as np
    import torch

    from mafs_ros.base.memory import resident_bytes

    pairs = street(task.size, PAIRS)
    wanted = reference(task, task.size, pairs)
    engine = tensorrt_engine(task, precision)
    task.tell(engine.description)
    before = torch.cuda.mem_get_info()[0]
    warnings = Warnings()
    in_a_thread(task, engine)
    task.tell("there is a CUDA graph", not any("no CUDA graph" in t for t in warnings.texts))
    task.tell("without a warning", not warnings.texts, said=warnings.texts[:5])
    outputs = [engine(*pair) for pair in pairs]
    tell_equal(task, "run in another thread it equals the CPU", outputs, wanted, "half")
    np.savez(task.scratch / f"{precision}.npz", fused=outputs[0][0], labels=outputs[0][1])
    task.tell(
        "memory",
        process_mb=resident_bytes() >> 20,
        gpu_mb=(before - torch.cuda.mem_get_info()[0]) >> 20,
    )
    alternate(task, engine, pairs)
    free, resident = torch.cuda.mem_get_info()[0], resident_bytes()
    tell_speed(task, "time as it is", engine, pairs, task.frames)
    grown = (free - torch.cuda.mem_get_info()[0]) >> 20, (resident_bytes() - resident) >> 20
    good = max(grown) < GROWTH_MB
    task.tell(
        f"{task.frames} frames need no more memory", good, gpu_mb=grown[0], process_mb=grown[1]
    )
    without_graph(task, engine, precision, pairs)
    found = engine.inspect(*task.size)
    slowest = sorted(found.layers, key=lambda layer: -(layer.ms or 0))[:5]
    task.tell("layers", count=len(found.layers), memory=found.memory, remark=found.remark)
    for layer in slowest:
        task.tell("slow layer", kind=layer.kind, precision=layer.precision, ms=layer.ms)
    engine.close()


def in_a_thread(task: Task, engine: Any) -> None:
    """Build as the node does, in another thread than the one that runs."""
    start = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(engine.prepare, *task.size).result()
    plans = [path.stat().st_size for path in task.cache.rglob("*.plan")]
    seconds = round(time.monotonic() - start, 1)
    task.tell("built in a thread", True, seconds=seconds, plan_mb=round(max(plans) / 1e6, 1))


def alternate(task: Task, engine: Any, pairs: Sequence[Any]) -> None:
    """A B A B: no frame may have the output of the one before."""
    import numpy as np

    a, b = pairs[0], pairs[-1]
    first = engine(*a)
    kept, other = [image.copy() for image in first], engine(*b)
    apart = not np.array_equal(first[0], other[0])  # else nothing could be seen
    stale = 0
    for n in range(100):
        got, wanted = (engine(*b), other) if n % 2 else (engine(*a), first)
        stale += any(not np.array_equal(x, y) for x, y in zip(got, wanted, strict=True))
    task.tell("A B A B a hundred times gives the same", apart and stale == 0, changed=stale)
    same = all(np.array_equal(x, y) for x, y in zip(first, kept, strict=True))
    task.tell("an output outlives the next frames", same)


def without_graph(task: Task, engine: Any, precision: str, pairs: Sequence[Any]) -> None:
    """The same engine from the cache, which is refused its recording."""
    import numpy as np

    refused = RuntimeError("left out for the report")
    with mock.patch("torch.cuda.graph", side_effect=refused):
        other = tensorrt_engine(task, precision)
        other.prepare(*task.size)
    outputs = zip(engine(*pairs[0]), other(*pairs[0]), strict=True)
    same = all(np.array_equal(x, y) for x, y in outputs)
    task.tell("without the CUDA graph it is the same", same)
    tell_speed(task, "time without the CUDA graph", other, pairs, max(task.frames // 3, 5))
    other.close()


class Warnings(logging.Handler):
    """Keeps what is logged as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        logging.getLogger("mafs_ros").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def reload(task: Task, precision: str) -> None:
    import numpy as np

    pairs = street(task.size, 1)
    before = {path: path.stat().st_ino for path in task.cache.rglob("*.plan")}
    engine = tensorrt_engine(task, precision)
    start = time.monotonic()
    engine.prepare(*task.size)
    seconds = time.monotonic() - start
    after = {path: path.stat().st_ino for path in task.cache.rglob("*.plan")}
    task.tell("loaded from the cache", after == before, seconds=round(seconds, 2))
    fused, labels = engine(*pairs[0])
    with np.load(task.scratch / f"{precision}.npz") as kept:
        same = np.array_equal(fused, kept["fused"]) and np.array_equal(labels, kept["labels"])
    task.tell("the same output as the process that built it", same)
    engine.close()


def truncated(task: Task, precision: str) -> None:
    """The cache finds a damaged file by its hash; here TensorRT itself is given one."""
    from mafs_ros.engine.tensorrt.library import tensorrt as library

    name = f"tensorrt-{precision}-{task.size[1]}x{task.size[0]}-*"
    plans = list(task.cache.glob(f"{name}/*.plan"))
    if not plans:
        raise programs.NotHereError("an engine: none was built before")
    whole = plans[0].read_bytes()
    parts = {"without its end": whole[:-100], "half of it": whole[: len(whole) // 2]}
    runtime = library.Runtime(library.Logger(library.Logger.ERROR))
    for what, part in parts.items():
        task.tell(f"{what} is refused", runtime.deserialize_cuda_engine(part) is None)


def sizes(task: Task) -> None:
    engine = tensorrt_engine(task, "fp16")
    for size in MORE_SIZES:
        pairs = street(size, 1)
        start = time.monotonic()
        got = [engine(*pair) for pair in pairs]
        seconds = time.monotonic() - start
        what = f"{size[1]}x{size[0]}, built in {seconds:.0f} s, equals the CPU"
        tell_equal(task, what, got, reference(task, size, pairs), "half")
    engine.close()


STEPS: dict[str, Callable[[Task], None]] = {
    "machine": programs.machine,
    "torch": torch_,
    "tensorrt-fp16": partial(tensorrt, precision="fp16"),
    "tensorrt-fp32": partial(tensorrt, precision="fp32"),
    "reload-fp16": partial(reload, precision="fp16"),
    "truncated-fp16": partial(truncated, precision="fp16"),
    "sizes": sizes,
    "node-sized": partial(programs.node, sized="sized"),
    "node-unsized": partial(programs.node, sized="unsized"),
    "training-32-true": partial(programs.training, precision="32-true"),
    "training-bf16-mixed": partial(programs.training, precision="bf16-mixed"),
    "training-16-mixed": partial(programs.training, precision="16-mixed"),
    "trtexec": programs.trtexec,
}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--size", required=True)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--found", type=Path, required=True)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    task = Task((height, width), args.frames, args.scratch, args.found)
    try:
        STEPS[args.step](task)
    except programs.NotHereError as error:
        task.absent(f"not here: {error}")
    except Exception as error:  # one line for the summary, the rest for the log
        task.tell(f"{type(error).__name__}: {' '.join(str(error).split())}"[:600], False)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
