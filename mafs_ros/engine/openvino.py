"""Engine on a CPU through OpenVINO."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import openvino
from openvino import properties
from openvino.properties import hint

from mafs_ros.engine.interface import Engine, Image
from mafs_ros.model.weights import load_weights, read_info

log = logging.getLogger(__name__)

KEPT_SIZES = 4  # compiled image sizes held at a time


class OpenVinoEngine(Engine):
    """The deployed graph compiled by OpenVINO for the CPU, one compilation per image size; fp32.

    The converted graph is kept in `cache_dir`, so that torch is needed for the first use of a
    model file at a size only; a cache that cannot be written costs time, not function.
    """

    name = "openvino"

    def __init__(self, weights: Path, threads: int = 0, cache_dir: Path | None = None) -> None:
        self.model_info = read_info(weights)
        self._weights, self._cache_dir = weights, cache_dir
        self._core = openvino.Core()
        self._options: dict[str, Any] = {
            hint.performance_mode(): hint.PerformanceMode.LATENCY,
            hint.inference_precision(): openvino.Type.f32,
        }
        if threads:
            self._options[properties.inference_num_threads()] = threads
        self._requests: dict[tuple[int, ...], openvino.InferRequest] = {}
        version = openvino.__version__.split("-")[0]
        device = self._core.get_property("CPU", "FULL_DEVICE_NAME")
        self.description = f"OpenVINO {version} fp32 on {device}"
        self._key = _hash([weights, *_graph_sources()])
        self._network: Any = None

    def run(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        shape = rgb.shape[:3]
        if shape not in self._requests:
            if len(self._requests) >= KEPT_SIZES:
                self._requests.pop(next(iter(self._requests)))
            self._requests[shape] = self._compile(shape)
        results = self._requests[shape].infer([rgb, thermal], share_inputs=True)
        return results[0], results[1]

    def close(self) -> None:
        self._requests.clear()
        self._network = None

    def _compile(self, shape: tuple[int, ...]) -> openvino.InferRequest:
        compiled = self._core.compile_model(self._graph(shape), "CPU", self._options)
        return compiled.create_infer_request()

    def _graph(self, shape: tuple[int, ...]) -> openvino.Model:
        cached = self._cached_file(shape)
        if cached is not None and cached.exists():
            try:
                return self._core.read_model(cached)
            except RuntimeError as error:
                log.warning("rebuilding %s, which cannot be read: %s", cached, error)
        model = self._convert(shape)
        if cached is not None and _store(model, cached):
            # Not the one in memory: it is optimised a little differently, and every start shall
            # give the same bytes.
            return self._core.read_model(cached)
        return model

    def _convert(self, shape: tuple[int, ...]) -> openvino.Model:
        import torch

        from mafs_ros.engine.graph import DeployedGraph

        if self._network is None:
            self._network = load_weights(self._weights)[0]
        graph = DeployedGraph(self._network)
        example = (
            torch.zeros((*shape, 3), dtype=torch.uint8),
            torch.zeros(shape, dtype=torch.uint8),
        )
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch, to torch
            return openvino.convert_model(torch.export.export(graph, example))

    def _cached_file(self, shape: tuple[int, ...]) -> Path | None:
        if self._cache_dir is None:
            return None
        size = "x".join(map(str, shape))
        version = openvino.__version__.split("-")[0]
        return self._cache_dir / f"openvino-{version}-{self._key}-{size}.xml"


def _store(model: openvino.Model, path: Path) -> bool:
    """Write `path` (.xml) and its .bin, the .xml last; return whether that worked."""
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.xml")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        openvino.save_model(model, temporary, compress_to_fp16=False)
        os.replace(temporary.with_suffix(".bin"), path.with_suffix(".bin"))
        os.replace(temporary, path)
        return True
    except (OSError, RuntimeError) as error:
        log.warning("cannot keep the converted graph in %s: %s", path.parent, error)
        for suffix in (".xml", ".bin"):
            with contextlib.suppress(OSError):
                temporary.with_suffix(suffix).unlink(missing_ok=True)
        return False


def _graph_sources() -> list[Path]:
    """The code that defines the graph: a kept graph of other code must not be used."""
    package = Path(__file__).parents[1]
    return [package / "engine" / "graph.py", *sorted((package / "model").glob("*.py"))]


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
